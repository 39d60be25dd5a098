"""Telling the gateway what to do: JSON under `/_control`. Wrong input changes nothing and is answered 400.

| call | what |
|---|---|
| `GET /_control/books` | every payment that succeeded, every refund, sums in øre |
| `POST /_control/faults` | something shall go wrong (`faults.py` has the table); `GET` lists, `DELETE` clears |
| `POST /_control/clock` | `{"now": "2026-01-31T12:00:00Z", "running": false}`; now null = real time |
| `POST /_control/settings` | `latency_ms`, `webhook_url` (null = none), `webhook_secrets` (each signs) |
| `POST /_control/forget_keys` | idempotency keys are forgotten, as after 24 hours |
| `POST /_control/setups/{id}` | `{"card": "consumer"}`: the customer types that card on the page |
| `POST /_control/pages/{id}` | `{"do": "pay", "card": "consumer"}` or fail, or expire: on the page of a payment |
| `POST /_control/cards` | `{"customer": "cus_…", "card": "commercial"}`: a card without the page |
| `POST /_control/cards/{pm}` | `{"card": "stolen_card"}`: behaves like that card from now on |
| `POST /_control/cards/{pm}` | `{"becomes": "renewed"}`, or `expired`, `detached`: its bank did that, and tells |
| `GET /_control/cards` | the cards there are |
| `POST /_control/refunds/{re}` | `{"do": "fail"}`, or `succeed`, `cancel`: what becomes of a refund |
| `POST /_control/disputes` | `{"payment": "pi_…"}`: taken back; `amount`, `reason`, `inquiry` (true: its bank asks) |
| `POST /_control/disputes/{dp}` | `{"do": "lose"}`, `win`, or `reverse`; `escalate`, `close` (an inquiry), `update` |
| `POST /_control/payouts` | `{"amount": 12345}`: somebody pays that out by hand |
| `POST /_control/payments/{pi}` | `{"do": "succeed"}` or `fail`: what becomes of a payment under way |
| `POST /_control/payouts/{po}` | `{"do": "fail"}`: the bank sends it back |
| `GET /_control/transactions` | the account's lines; `POST {"type": "stripe_fee", "amount": -50}` adds one |
| `POST /_control/transactions/{txn}` | `{"amount": 12345}`: the line is of another sum than what it is about |
| `POST /_control/events` | `{"type": "…", "object": {…}}`: send an event that nothing caused |
| `GET /_control/webhooks` | how many are waiting, delivered, given up |
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from werkzeug.wrappers import Request

from simulator.gateway import account, checkout, disputes, payments, refunds, setups
from simulator.gateway.api import Api, ApiAnswer
from simulator.gateway.cards import CARDS
from simulator.gateway.errors import ApiError
from simulator.gateway.faults import BadFault
from simulator.gateway.objects import public
from simulator.gateway.world import World

MAX_BODY = 64 * 1024
Asked = dict[str, Any]


class BadControl(ValueError):
    """What was told makes no sense; the text says why."""


class Control:
    """The calls under /_control."""

    def __init__(self, world: World, api: Api) -> None:
        self._world = world
        self._api = api
        self._calls: dict[tuple[str, str], Callable[[str, Asked], Any]] = {
            ("GET", "books"): lambda _id, _asked: payments.books(world) | account.books(world),
            ("GET", "cards"): lambda _id, _asked: {name: card.label for name, card in CARDS.items()},
            ("GET", "faults"): lambda _id, _asked: {"faults": [asdict(one) for one in world.faults.waiting()]},
            ("GET", "webhooks"): lambda _id, _asked: world.courier.counts(),
            ("DELETE", "faults"): lambda _id, _asked: world.faults.clear(),
            ("POST", "cards"): self._cards,
            ("POST", "clock"): self._clock,
            ("POST", "disputes"): self._disputes,
            ("POST", "events"): self._event,
            ("POST", "faults"): lambda _id, asked: asdict(world.faults.add(asked)),
            ("POST", "forget_keys"): lambda _id, _asked: api.keys.forget(),
            ("POST", "pages"): self._page,
            ("POST", "payments"): lambda id_, asked: payments.end(world, id_, _text(asked, "do")),
            ("POST", "payouts"): self._payout,
            ("GET", "transactions"): lambda _id, _asked: {"lines": account.lines(world)},
            ("POST", "transactions"): self._line,
            ("POST", "refunds"): lambda id_, asked: refunds.end(world, id_, _text(asked, "do")),
            ("POST", "settings"): self._settings,
            ("POST", "setups"): lambda id_, asked: setups.give_card(world, id_, _text(asked, "card")),
        }

    def answer(self, request: Request) -> ApiAnswer:
        """Answer one control call."""
        name, _, rest = request.path.removeprefix("/_control/").partition("/")
        call = self._calls.get((request.method, name))
        if call is None or (
            rest
            and name not in {"cards", "disputes", "pages", "payments", "payouts", "refunds", "setups", "transactions"}
        ):
            return ApiAnswer(404, {"error": {"message": f"no {request.method} {request.path} here"}})
        try:
            done = call(rest, _asked(request))
        except (BadControl, BadFault) as error:
            return ApiAnswer(400, {"error": {"message": str(error)}})
        except ApiError as error:
            return ApiAnswer(error.status, error.body)
        return ApiAnswer(200, {"done": True} if done is None else done)

    def _cards(self, payment_method: str, asked: Asked) -> dict[str, Any] | None:
        if payment_method:
            if "becomes" in asked:
                setups.renew_card(self._world, payment_method, _text(asked, "becomes"))
                return None
            setups.change_card(self._world, payment_method, _text(asked, "card"))
            return None
        return setups.add_card(self._world, _text(asked, "customer"), _text(asked, "card"))

    def _disputes(self, dispute: str, asked: Asked) -> dict[str, Any] | None:
        if dispute:
            disputes.end(self._world, dispute, _text(asked, "do"))
            return None
        amount, inquiry = asked.get("amount"), asked.get("inquiry", False)
        if not (amount is None or (isinstance(amount, int) and not isinstance(amount, bool))):
            raise BadControl("amount must be a whole number of øre")
        reason = str(asked.get("reason") or "fraudulent")
        payment = _text(asked, "payment")
        opened: dict[str, Any] = public(
            disputes.open_(self._world, payment, amount, reason=reason, inquiry=bool(inquiry))
        )
        return opened

    def _clock(self, _id: str, asked: Asked) -> None:
        running = asked.get("running", False)
        if "now" not in asked or not isinstance(running, bool):
            raise BadControl('say {"now": an instant or null, "running": true or false}')
        if asked["now"] is None:
            self._world.move_clock(None, running=True)
            return
        try:
            to = datetime.fromisoformat(_text(asked, "now"))
        except ValueError as error:
            raise BadControl(f"now is not an instant: {asked['now']!r}") from error
        if to.tzinfo is None:
            raise BadControl("now needs a time zone")
        self._world.move_clock(to, running=running)

    def _page(self, page_id: str, asked: Asked) -> dict[str, Any]:
        do = asked.get("do", "pay")
        if do == "expire":
            return checkout.end_now(self._world, page_id)
        if do not in ("pay", "fail"):
            raise BadControl("do must be pay, fail or expire")
        return checkout.pay(self._world, page_id, _text(asked, "card"), fails=do == "fail")

    def _payout(self, payout_id: str, asked: Asked) -> dict[str, Any] | None:
        if not payout_id:
            return account.manual_payout(self._world, _whole(asked, "amount"))
        if asked.get("do") != "fail":
            raise BadControl("a payout can fail")
        account.fail_payout(self._world, payout_id)
        return None

    def _line(self, line_id: str, asked: Asked) -> dict[str, Any] | None:
        amount = _whole(asked, "amount")
        if not line_id:
            return account.add_line(self._world, _text(asked, "type"), amount)
        account.change_line(self._world, line_id, amount)
        return None

    def _settings(self, _id: str, asked: Asked) -> None:
        unknown = set(asked) - {"latency_ms", "webhook_url", "webhook_secrets"}
        if unknown:
            raise BadControl(f"no setting {', '.join(sorted(unknown))}")
        latency = asked.get("latency_ms", self._world.latency_ms)
        if not isinstance(latency, int) or isinstance(latency, bool) or not 0 <= latency <= 60_000:
            raise BadControl("latency_ms must be a whole number from 0 to 60000")
        url = asked.get("webhook_url", self._world.courier.url)
        if url is not None and (not isinstance(url, str) or not url.startswith(("http://", "https://"))):
            raise BadControl("webhook_url must be an http address or null")
        signers = asked.get("webhook_secrets", self._world.courier.secrets)
        if not isinstance(signers, list) or not signers or not all(isinstance(one, str) and one for one in signers):
            raise BadControl("webhook_secrets must be a list of secrets")
        self._world.latency_ms = latency
        self._world.courier.url, self._world.courier.secrets = url, signers

    def _event(self, _id: str, asked: Asked) -> dict[str, Any]:
        kind, thing = _text(asked, "type"), asked.get("object")
        if not isinstance(thing, dict):
            raise BadControl("object must be an object")
        with self._world.store.transaction():
            return self._world.emit(kind, thing, whatever_type=True)


def _asked(request: Request) -> Asked:
    if (request.content_length or 0) > MAX_BODY:
        raise BadControl(f"at most {MAX_BODY} bytes")
    raw = request.get_data()
    if not raw:
        return {}
    try:
        asked = json.loads(raw)
    except ValueError as error:  # also a body that is not UTF-8
        raise BadControl("the body is not JSON") from error
    if not isinstance(asked, dict):
        raise BadControl("the body must be a JSON object")
    return asked


def _whole(asked: Asked, name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadControl(f"{name} must be a whole number of øre")
    return value


def _text(asked: Asked, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise BadControl(f"{name} must be text")
    return value
