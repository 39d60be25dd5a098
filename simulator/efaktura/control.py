"""Telling the hub what to do: JSON under `/_control`. Wrong input changes nothing and is answered 400.

| call | what |
|---|---|
| `POST /_control/consumers` | `{"identifier": "123456789", "yes_to_all": true, …}`: add or replace |
| `GET /_control/consumers` | those there are |
| `GET /_control/transactions` | every transaction that was taken |
| `POST /_control/transactions/{id}` | `{"do": "accept"}`, or reject, stop, cancel, with `reason` |
| `POST /_control/transactions/{id}` | `{"do": "change", "amount_ore": 100, "on": "2026-03-02"}`: the consumer pays so |
| `POST /_control/advance` | what is under way is accepted (or what the faults say) |
| `GET /_control/payments` | what consumers pay: kid, account, amount_ore, on; `POST`: and it is paid with that |
| `POST /_control/settings` | `{"at_once": false}`: what comes in stays under way until `advance` |
| `POST /_control/faults` | something shall go wrong (`faults.py` has the table); `GET` lists, `DELETE` clears |
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from simulator.efaktura.faults import Faults
from simulator.efaktura.hub import Hub

Asked = dict[str, Any]
_ENDS = {"accept": "ACCEPTED", "reject": "REJECTED", "stop": "STOPPED", "cancel": "CANCELLED"}


class Control:
    """The calls under /_control."""

    def __init__(self, hub: Hub, faults: Faults) -> None:
        self._hub = hub
        self._calls: dict[tuple[str, str], Callable[[str, Asked], Any]] = {
            ("GET", "consumers"): lambda _id, _asked: {"consumers": [asdict(one) for one in hub.consumers.values()]},
            ("POST", "consumers"): lambda _id, asked: asdict(hub.add_consumer(asked)),
            ("GET", "transactions"): lambda _id, _asked: {"transactions": hub.listed()},
            ("POST", "transactions"): self._transaction,
            ("POST", "advance"): lambda _id, _asked: {"advanced": hub.advance()},
            ("GET", "payments"): lambda _id, _asked: {"payments": hub.payments()},
            ("POST", "payments"): lambda _id, _asked: {"payments": hub.payments(take=True)},
            ("POST", "settings"): self._settings,
            ("GET", "faults"): lambda _id, _asked: {"faults": [asdict(one) for one in faults.waiting()]},
            ("POST", "faults"): lambda _id, asked: asdict(faults.add(asked)),
            ("DELETE", "faults"): lambda _id, _asked: faults.clear(),
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Asked]:
        """Answer one call: status and JSON."""
        name, _, rest = path.removeprefix("/_control/").partition("/")
        call = self._calls.get((method, name))
        if call is None or (rest and name != "transactions"):
            return 404, {"error": {"message": f"no {method} {path} here"}}
        try:
            asked = json.loads(body) if body else {}
            if not isinstance(asked, dict):
                raise ValueError("say it in an object")
            done = call(rest, asked)
        except (ValueError, TypeError) as error:
            return 400, {"error": {"message": str(error)}}
        return 200, {"done": True} if done is None else done

    def _transaction(self, id_: str, asked: Asked) -> None:
        do = asked.get("do")
        if do == "change":
            amount, on = asked.get("amount_ore"), asked.get("on")
            if amount is not None and type(amount) is not int:
                raise ValueError("amount_ore must be a whole number of øre")
            self._hub.change(id_, amount, dt.date.fromisoformat(on) if on is not None else None)
        elif do in _ENDS:
            self._hub.end(id_, _ENDS[do], str(asked.get("reason") or ""))
        else:
            raise ValueError(f"do must be change, {', '.join(_ENDS)}")

    def _settings(self, _id: str, asked: Asked) -> None:
        at_once = asked.get("at_once")
        if set(asked) != {"at_once"} or not isinstance(at_once, bool):
            raise ValueError('say {"at_once": true or false}')
        self._hub.at_once = at_once
