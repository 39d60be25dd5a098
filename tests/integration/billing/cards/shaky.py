"""What may go wrong between us and the stand-in gateway: its faults by name, and a process that is killed at a call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from billing.cards import sweep
from billing.cards.gateway import CardGateway, ChargeRequest, GatewayMisuse, Outcome, Unknown

FAULTS: dict[str, dict[str, Any]] = {
    "declined": {"kind": "decline", "code": "insufficient_funds"},
    "stolen": {"kind": "decline", "code": "stolen_card"},
    "answer lost": {"kind": "timeout", "when": "after", "hold_seconds": 0.6},
    "request lost": {"kind": "timeout", "when": "before", "hold_seconds": 0.6},
    "failed after": {"kind": "error", "status": 500, "when": "after"},
    "failed before": {"kind": "error", "status": 503, "when": "before"},
    "too fast": {"kind": "rate_limit"},
    "under way": {"kind": "pending", "on": "charge", "state": "processing"},
    "waits": {"kind": "pending", "on": "charge", "state": "requires_action"},
}
KILLED = ("before", "after", "slow")
MINUTE = dt.timedelta(minutes=1)


class Killed(BaseException):
    """The process is gone."""


class Shaky:
    """The gateway, at whose call the process can be killed, and to which a request can be under way for a while."""

    def __init__(self, gateway: CardGateway) -> None:
        self.gateway = gateway
        self.kill: str | None = None
        self.under_way: list[tuple[dt.timedelta, Callable[[], Outcome]]] = []

    def charge(self, request: ChargeRequest) -> Outcome:
        return self._asked(lambda: self.gateway.charge(request))

    def refund(self, **what: Any) -> Outcome:
        return self._asked(lambda: self.gateway.refund(**what))

    def _asked(self, ask: Callable[[], Outcome]) -> Outcome:
        kill, self.kill = self.kill, None
        if kill == "before":
            raise Killed
        if kill == "slow":
            self.under_way.append((dt.timedelta(0), ask))
            return Unknown(reason="no answer", answered=False)
        answer = ask()
        if kill == "after":
            raise Killed
        return answer

    def arrive(self, later: dt.timedelta | None = None, *, lost: bool = False) -> None:
        """What is under way arrives, or so much time goes by: what would be older than a request lives arrives before
        that is over, or never does."""
        old = [one for one in self.under_way if later is None or one[0] + later >= sweep.REQUEST_LIVES]
        self.under_way = [(age + (later or MINUTE), ask) for age, ask in self.under_way if (age, ask) not in old]
        for _, ask in old:
            if not lost:
                with suppress(GatewayMisuse):
                    ask()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)
