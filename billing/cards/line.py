"""A worker's place in the line to the provider: its threads take turns from the shared pace, a few at a time, and what
the provider answers is told back.

"Too many" (429) is an answer: the provider is up, and we are too fast. So it does not count towards closing the door;
everybody waits, and from then on this worker goes at half its speed, which it wins back a little with every call that
is let in. What was turned away has certainly not happened; its attempt stays as it is and is asked again by the sweep
under the same key, which cannot charge twice whatever else was under way. It is no decline: no try and no bank day is
used up.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from billing.cards import pace
from billing.cards.gateway import Outcome, RateLimited, Unknown
from billing.cards.pace import Resting
from billing.cards.provider import NAME
from billing.cards.steps import passed
from config.database import SessionFactory
from config.settings import Settings

R = TypeVar("R", bound=Outcome | None)

FIRST_BACKOFF = dt.timedelta(seconds=1)
LONGEST_BACKOFF = dt.timedelta(seconds=60)
SLOWEST = 1.0
"""Requests a second that a worker keeps, however often it is turned away."""
FASTER = 0.01
"""What part of the whole speed a call that is let in wins back."""
STALE = 1.0
"""A turn that nobody used for so many seconds is lost: used late it would be on top of what others do then."""


class Line:
    """Asks a provider at the shared pace. Safe between threads."""

    def __init__(self, sessions: SessionFactory, *, per_second: float, lease: float = 60.0, name: str = NAME) -> None:
        self._sessions, self._name, self._lease = sessions, name, lease
        self._most = self._rate = per_second
        self._lock = threading.Lock()
        self._turns: deque[tuple[float, bool]] = deque()
        self._resting_until = self._held_at = 0.0
        self._backoff, self._troubled = FIRST_BACKOFF, True

    @classmethod
    def of(cls, sessions: SessionFactory, settings: Settings) -> Line:
        """Return a line at the pace of the settings."""
        return cls(sessions, per_second=settings.card_rate_per_second, lease=pace.lease(settings))

    @property
    def rate(self) -> float:
        """Requests a second that this worker takes turns for: the whole speed, or less after "too many"."""
        return self._rate

    def state(self) -> pace.State:
        """Return how it stands with the provider."""
        with self._sessions() as session:
            return pace.state(session, self._name)

    def ask(self, call: Callable[[], R]) -> R:
        """Wait for a turn, call, and tell what kind of answer came. Raises Resting, nothing having been called."""
        probe = self._turn()
        passed("turn")
        began = time.monotonic()
        result = call()
        passed("called")
        self._tell(result, began=began, probe=probe)
        return result

    def _turn(self) -> bool:
        """Wait for a turn; say whether it is the one that tries whether the provider is up."""
        while True:
            with self._lock:
                at, probe = self._next()
                held = self._held_at
            wait = at - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if held == self._held_at:
                return probe

    def _next(self) -> tuple[float, bool]:
        now = time.monotonic()
        while self._turns and self._turns[0][0] < now - STALE:
            self._turns.popleft()
        if not self._turns:
            if now < self._resting_until:
                raise Resting(self._resting_until - now)
            try:
                with self._sessions.begin() as session:
                    at_once = max(1, round(self._rate / 10))
                    turns = pace.reserve(session, self._name, at_once, self._rate, lease=self._lease)
            except Resting as resting:
                self._resting_until = time.monotonic() + min(resting.seconds, 1.0)
                raise
            now = time.monotonic()
            self._turns.extend((now + wait, turns.probe) for wait in turns.waits)
        return self._turns.popleft()

    def _tell(self, result: Outcome | None, *, began: float, probe: bool) -> None:
        if isinstance(result, Unknown) and not result.sent:
            return  # whether the provider is back is tried by the next turn, when this one's lease is over
        if self._rate < self._most and not isinstance(result, RateLimited) and began >= self._held_at:
            with self._lock:
                self._rate = min(self._most, self._rate + FASTER * self._most)
        if isinstance(result, RateLimited):
            self._hold(result.retry_after, began)
            if probe:
                self._up()
        elif isinstance(result, Unknown) and not result.answered:
            with self._sessions.begin() as session:
                pace.failed(session, self._name, probe=probe)
            with self._lock:
                self._troubled = True
                if self._turns and self.state().resting:
                    self._turns.clear()
        elif self._troubled or probe:
            self._up()
            with self._lock:
                self._troubled, self._backoff = False, FIRST_BACKOFF

    def _up(self) -> None:
        with self._sessions.begin() as session:
            pace.answered(session, self._name)

    def _hold(self, asked: dt.timedelta | None, began: float) -> None:
        """Move everybody's next turn: as far as the provider asks, else twice as far as the last time.

        What had been asked before that last time was turned away by the same crowd, and moves nothing further.
        """
        with self._lock:
            fresh = began >= self._held_at
            wait = asked or self._backoff
            if fresh:
                self._held_at = time.monotonic()
                self._backoff = min(2 * self._backoff, LONGEST_BACKOFF)
                self._rate = max(min(SLOWEST, self._most), self._rate / 2)
                self._troubled = True
                self._turns.clear()
        if fresh or asked:
            with self._sessions.begin() as session:
                pace.hold(session, self._name, wait)
