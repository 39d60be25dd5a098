"""Telling Vipps what to do: JSON under `/_control`. Wrong input changes nothing and is answered 400.

| call | what |
|---|---|
| `GET /_control/books` | every payment, what was captured and given back in all, in øre |
| `POST /_control/faults` | something shall go wrong (`faults.py` has the table); `DELETE` clears |
| `POST /_control/payments/{reference}` | `{"do": "approve"}`, abort, expire; or refund with `amount`: by hand |
| `POST /_control/forget_keys` | idempotency keys are forgotten |
| `POST /_control/forget_tokens` | access tokens are good no more |
| `GET /_control/webhooks` | how many are in line |
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from simulator.vipps.courier import Courier
from simulator.vipps.faults import BadFault, Faults
from simulator.vipps.world import Refused, World


class Control:
    """The calls under /_control."""

    def __init__(self, world: World, faults: Faults, courier: Courier) -> None:
        self._world, self._faults, self._courier = world, faults, courier

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Do what is told; return status and object."""
        try:
            asked = json.loads(body or b"{}")
            if not isinstance(asked, dict):
                raise BadFault("the body must be a JSON object")
            with self._world.lock:
                return 200, self._do(method, path.removeprefix("/_control/"), asked)
        except (BadFault, ValueError, TypeError) as wrong:
            return 400, {"error": str(wrong)}
        except Refused as refused:
            return refused.status, {"error": refused.title}

    def _do(self, method: str, what: str, asked: dict[str, Any]) -> dict[str, Any]:
        if (method, what) == ("GET", "books"):
            return self.books()
        if (method, what) == ("GET", "webhooks"):
            return {"waiting": self._courier.waiting()}
        if what == "faults" and method == "DELETE":
            self._faults.clear()
            return {}
        if (method, what) == ("POST", "faults"):
            return asdict(self._faults.add(asked))
        if (method, what) == ("POST", "forget_keys"):
            self._world.books.keys.clear()
            return {}
        if (method, what) == ("POST", "forget_tokens"):
            self._world.tokens.clear()
            return {}
        if method == "POST" and what.startswith("payments/"):
            return self.do(what.removeprefix("payments/"), str(asked.get("do")), int(asked.get("amount", 0)))
        raise Refused(404, "no such call")

    def do(self, reference: str, do: str, amount: int = 0) -> dict[str, Any]:
        """Let something happen to a payment. Raises Refused, BadFault."""
        with self._world.lock:
            one = self._world.find(reference)
            if do == "approve":
                self._world.approve(one)
            elif do == "abort":
                self._world.abort(one)
            elif do == "expire":
                self._world.expire(one)
            elif do == "refund":
                self._world.refund(one, amount)
            else:
                raise BadFault("do must be approve, abort, expire or refund")
            self._world.save()
            return self._world.shown(one)

    def books(self) -> dict[str, Any]:
        """Return what Vipps has done in all."""
        with self._world.lock:
            all_ = list(self._world.books.payments.values())
            return {
                "payments": {one.reference: asdict(one) for one in all_},
                "captured_ore": sum(one.captured for one in all_),
                "refunded_ore": sum(one.refunded for one in all_),
            }
