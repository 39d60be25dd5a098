"""Something that happens beside us, on a connection of its own, while we hold what it wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from sqlalchemy import Engine, text

T = TypeVar("T")

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Beside(Generic[T]):
    """A thread that does ``work``; made when it has ended or waits for a lock in the database."""

    def __init__(self, engine: Engine, work: Callable[[], T]) -> None:
        self._done: list[T] = []
        self._failed: list[BaseException] = []
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        until = time.monotonic() + 20
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            while self._thread.is_alive() and not connection.scalar(text(_WAITING)):
                assert time.monotonic() < until, "it neither ended nor waited"
                self._thread.join(0.01)
        self.waited = self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as error:
            self._failed.append(error)

    def result(self) -> T:
        """Wait for its end and return what it returned, or raise what it raised."""
        self._thread.join(20)
        assert not self._thread.is_alive(), "it still waits"
        if self._failed:
            raise self._failed[0]
        return self._done[0]
