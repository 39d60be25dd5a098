"""A single request to a provider, in turn with all that the workers ask: for those who answer somebody who waits."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TypeVar

from billing.cards import pace
from billing.cards.gateway import GatewayUnavailable, RateLimited, Unknown
from billing.cards.pace import Resting
from billing.cards.provider import NAME
from config.database import SessionFactory
from config.settings import Settings

T = TypeVar("T")

PATIENCE_SECONDS = 2.0
"""Nobody who is waited for waits longer for a turn."""
AFTER_TOO_MANY = dt.timedelta(seconds=1)


class OneTurn:
    """Asks a provider at the pace that all workers share, a turn at a time."""

    def __init__(self, sessions: SessionFactory, *, per_second: float, name: str = NAME) -> None:
        self._sessions, self._rate, self._name = sessions, per_second, name

    @classmethod
    def of(cls, sessions: SessionFactory, settings: Settings) -> OneTurn:
        """Return one at the pace of the settings."""
        return cls(sessions, per_second=settings.card_rate_per_second)

    def ask(self, call: Callable[[], T]) -> T:
        """Wait for a turn, call, and tell what kind of answer came.

        Raises GatewayUnavailable, nothing having been called, while the provider is left alone, where only a worker may
        try whether it is back, and where the next turn is too far away; and what the call raises.
        """
        self._turn()
        result = call()
        with self._sessions.begin() as session:
            if isinstance(result, RateLimited):
                pace.hold(session, self._name, result.retry_after or AFTER_TOO_MANY)
            elif isinstance(result, Unknown) and not result.answered:
                pace.failed(session, self._name, probe=False)
            else:
                pace.answered(session, self._name)
        return result

    def _turn(self) -> None:
        with self._sessions() as session:
            how = pace.state(session, self._name)
        if how.resting or how.probe:
            raise GatewayUnavailable("the gateway is left alone for now")
        try:
            with self._sessions.begin() as session:
                [wait] = pace.reserve(session, self._name, 1, self._rate).waits
        except Resting as resting:
            raise GatewayUnavailable(str(resting)) from resting
        if wait > PATIENCE_SECONDS:
            raise GatewayUnavailable("too many wait for their turn at the gateway")
        time.sleep(wait)
