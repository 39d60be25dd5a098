"""A single request to a provider, in turn with all that the workers ask: for those who answer somebody who waits."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import TypeVar

from billing.cards import pace
from billing.cards.gateway import GatewayMisuse, GatewayUnavailable, RateLimited, Unknown
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

    def __init__(self, sessions: SessionFactory, *, per_second: float, lease: float = 60.0, name: str = NAME) -> None:
        self._sessions, self._rate, self._name, self._lease = sessions, per_second, name, lease

    @classmethod
    def of(cls, sessions: SessionFactory, settings: Settings) -> OneTurn:
        """Return one at the pace of the settings."""
        return cls(sessions, per_second=settings.card_rate_per_second, lease=pace.lease(settings))

    def ask(self, call: Callable[[], T]) -> T:
        """Wait for a turn, call, and tell what kind of answer came. While the provider may be down, the turn may be the
        one that tries whether it is back.

        Raises GatewayUnavailable, nothing having been called, while the provider is left alone and where the next turn
        is too far away; and what the call raises.
        """
        probe = self._turn()
        try:
            result = call()
        except GatewayUnavailable as error:
            self._tell(error, probe=probe)
            raise
        except GatewayMisuse:
            self._tell(None, probe=probe)
            raise
        self._tell(result, probe=probe)
        return result

    def _tell(self, result: object, *, probe: bool) -> None:
        silent = isinstance(result, Unknown | GatewayUnavailable) and not result.answered
        with self._sessions.begin() as session:
            if isinstance(result, RateLimited | GatewayUnavailable) and not silent:
                pace.hold(session, self._name, result.retry_after or AFTER_TOO_MANY)
            if silent:
                pace.failed(session, self._name, probe=probe)
            else:
                pace.answered(session, self._name)

    def _turn(self) -> bool:
        """Wait for a turn; say whether it is the one that tries whether the provider is back."""
        with self._sessions() as session:
            how = pace.state(session, self._name)
        if how.resting:
            raise GatewayUnavailable("the gateway is left alone for now")
        try:
            with self._sessions.begin() as session:
                turns = pace.reserve(session, self._name, 1, self._rate, lease=self._lease)
        except Resting as resting:
            raise GatewayUnavailable(str(resting)) from resting
        [wait] = turns.waits
        if wait > PATIENCE_SECONDS:
            raise GatewayUnavailable("too many wait for their turn at the gateway")
        time.sleep(wait)
        return turns.probe
