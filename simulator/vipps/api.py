"""The calls of ePayment v1 and of the access token, each with its idempotency key and its faults."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.vipps.faults import Fault, Faults
from simulator.vipps.world import Refused, World

_PAYMENT = re.compile(r"/epayment/v1/payments/([^/]+)(?:/(capture|cancel|refund))?")
MAX_KEY = 50
TOKEN_SECONDS = 3600


@dataclass(frozen=True)
class Call:
    """A request as it came; header names in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What is answered: an object, or text as it is (garbage)."""

    status: int
    body: dict[str, Any] | str


class CutOff(Exception):
    """No answer: the connection is held so long, then cut."""

    def __init__(self, hold_seconds: float) -> None:
        super().__init__("cut off as told")
        self.hold_seconds = hold_seconds


class Api:
    """Answers calls."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world, self._faults = world, faults

    def answer(self, call: Call) -> Answer:
        """Answer one call. Raises CutOff."""
        name = _name(call)
        self._world.calls.append(name)
        self._before(name)
        try:
            answer = self._token(call) if name == "token" else self._payments(name, call)
        except Refused as refused:
            return Answer(refused.status, {"title": refused.title, "status": refused.status, "type": "about:blank"})
        self._cut(self._faults.take("timeout", on=name, when="after"))
        failed = self._faults.take("error", on=name, when="after")
        if failed is not None:
            return Answer(failed.status, {"title": "Internal error"})
        if self._faults.take("garbage", on=name) is not None:
            return Answer(200, "<html>all is well</html>")
        return answer

    def _before(self, name: str) -> None:
        self._cut(self._faults.take("timeout", on=name, when="before"))
        if self._faults.take("rate_limit", on=name) is not None:
            raise _Early(Answer(429, {"title": "Too many requests"}))
        failed = self._faults.take("error", on=name, when="before")
        if failed is not None:
            raise _Early(Answer(failed.status, {"title": "Internal error"}))
        no = self._faults.take("refuse", on=name)
        if no is not None:
            raise _Early(Answer(no.status, {"title": no.title, "status": no.status}))

    def _cut(self, fault: Fault | None) -> None:
        if fault is not None:
            raise CutOff(fault.hold_seconds)

    def _token(self, call: Call) -> Answer:
        ids, headers = self._world.ids, call.headers
        given = (headers.get("client_id"), headers.get("client_secret"), headers.get("ocp-apim-subscription-key"))
        if given != (ids.client_id, ids.client_secret, ids.subscription_key):
            return Answer(401, {"error": "unauthorized_client"})
        token = secrets.token_urlsafe(24)
        self._world.tokens.add(token)
        return Answer(200, {"token_type": "Bearer", "expires_in": str(TOKEN_SECONDS), "access_token": token})

    def _payments(self, name: str, call: Call) -> Answer:
        world, ids = self._world, self._world.ids
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in world.tokens or call.headers.get("ocp-apim-subscription-key") != ids.subscription_key:
            return Answer(401, {"title": "Unauthorized"})
        if call.headers.get("merchant-serial-number") != ids.msn:
            return Answer(403, {"title": "Not your sales unit"})
        if name == "get":
            with world.lock:
                return Answer(200, world.shown(world.find(call.path.rsplit("/", 1)[1])))
        key, print_ = (
            call.headers.get("idempotency-key", ""),
            hashlib.sha256(call.path.encode() + call.body).hexdigest(),
        )
        if not 1 <= len(key) <= MAX_KEY:
            raise Refused(400, "Idempotency-Key must be 1 to 50 characters")
        with world.lock:
            known = world.books.keys.get(key)
            if known is not None:
                if known[0] != print_:
                    raise Refused(409, "Idempotency-Key was used for another request")
                return Answer(known[1], known[2])
            answer = self._do(name, call)
            world.books.keys[key] = (print_, answer.status, dict(answer.body) if isinstance(answer.body, dict) else {})
            world.save()
            return answer

    def _do(self, name: str, call: Call) -> Answer:
        world, asked = self._world, _read(call.body)
        if name == "create":
            if asked.get("userFlow") != "WEB_REDIRECT" or (asked.get("paymentMethod") or {}).get("type") != "WALLET":
                raise Refused(400, "This stand-in takes WEB_REDIRECT and WALLET only")
            back, text = asked.get("returnUrl"), asked.get("paymentDescription")
            if not isinstance(back, str) or not isinstance(text, str) or not 3 <= len(text) <= 100:
                raise Refused(400, "returnUrl and paymentDescription are needed")
            one = world.make(str(asked.get("reference")), _amount(asked.get("amount")), back, text)
            return Answer(201, {"redirectUrl": world.shown(one)["redirectUrl"], "reference": one.reference})
        one = world.find(call.path.rsplit("/", 2)[1])
        if name == "capture":
            world.capture(one, _amount(asked.get("modificationAmount")))
        elif name == "refund":
            world.refund(one, _amount(asked.get("modificationAmount")))
        else:
            world.cancel(one)
        return Answer(200, world.shown(one))


class _Early(Exception):
    """An answer instead of any work."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("as told")
        self.answer = answer


def answered(api: Api, call: Call) -> Answer:
    """Answer a call, whatever it is told to do wrong. Raises CutOff."""
    try:
        return api.answer(call)
    except _Early as early:
        return early.answer


def _name(call: Call) -> str:
    if call.path == "/accesstoken/get":
        return "token"
    if (call.method, call.path) == ("POST", "/epayment/v1/payments"):
        return "create"
    found = _PAYMENT.fullmatch(call.path)
    if found is None or (call.method == "GET") == bool(found[2]):
        return "get"  # which says 404
    return found[2] or "get"


def _read(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body or b"{}")
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise Refused(400, "The body is no JSON object")
    return asked


def _amount(asked: object) -> int:
    value = asked.get("value") if isinstance(asked, dict) and asked.get("currency") == "NOK" else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused(400, "An amount in NOK is needed")
    return value
