"""Reading ahead: while a chunk is booked, the next is read, normalised and matched, in a thread and a session of its
own.

It is matched only while one is booked that was matched so itself. Both hold every table then (``begin_chunk``), so that
a change of a table waits for both, and neither for it: the one that is booked would else wait for the change, the
change for the next one, and that for the first, which no deadlock detector sees. So whoever books a chunk once more, in
a session that holds nothing, gives up first what has begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from psycopg import OperationalError as DriverError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

from billing.passages.batches import Receiving
from billing.passages.incoming import Chunk
from billing.passages.ingest import Begun, begin_chunk
from config.database import SessionFactory

RETRIED = ("40001", "40P01")
"""Serialization failure and deadlock: ours are free of them; another program's on the same tables may not be."""


_NOT_BEGUN = (*RETRIED, "42P01")
"""Besides: a table was dropped at that moment."""


def sqlstate(error: OperationalError | DriverError) -> str | None:
    """Return PostgreSQL's code of an error, which the driver raises bare where it is asked directly."""
    return getattr(error.orig if isinstance(error, OperationalError) else error, "sqlstate", None)


@dataclass
class Ready:
    """A chunk that was read; where it is begun, with the session that it is in."""

    chunk: Chunk
    begun: tuple[Session, Begun] | None = None

    def take(self) -> tuple[Session, Begun] | None:
        """Take over what was begun, if anything is: whoever takes it closes the session."""
        taken, self.begun = self.begun, None
        return taken

    def give_up(self) -> None:
        """Give up what was begun, if it is not taken over."""
        if (taken := self.take()) is not None:
            taken[0].close()


class Ahead:
    """Iterate over the chunks of a batch, the next one being prepared meanwhile. Used with ``with``."""

    def __init__(self, sessions: SessionFactory, batch: Receiving, chunks: Iterator[Chunk]) -> None:
        self._sessions = sessions
        self._batch = batch
        self._chunks = chunks
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="prepare")
        self._next: Future[Ready | None] | None = None

    def __enter__(self) -> Self:
        self._next = self._worker.submit(self._read, begins=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._worker.shutdown()
        if self._next is not None and self._next.exception() is None:
            self.give_up()

    def __iter__(self) -> Iterator[Ready]:
        """Yield the chunks in order. Raises what reading them raises."""
        while self._next is not None and (ready := self._next.result()) is not None:
            if ready.begun is None:
                ready = self._begin(ready.chunk)
            self._next = self._worker.submit(self._read, begins=ready.begun is not None)
            yield ready

    def give_up(self) -> None:
        """Give up what is begun of the next chunk, once that has come so far; it is read still."""
        if self._next is not None and self._next.exception() is None and (ready := self._next.result()) is not None:
            ready.give_up()

    def _read(self, *, begins: bool) -> Ready | None:
        """Read a chunk and, if it may be, begin it; None at the end."""
        chunk = next(self._chunks, None)
        if chunk is None:
            return None
        return self._begin(chunk) if begins else Ready(chunk)

    def _begin(self, chunk: Chunk) -> Ready:
        """Begin a chunk in a session of its own. Where a lock or a connection was not to be had it is not begun:
        booking tries again."""
        session = self._sessions()
        try:
            begun = begin_chunk(session, self._batch, chunk)
            if begun is not None:
                return Ready(chunk, (session, begun))
        except (OperationalError, DriverError) as error:
            if sqlstate(error) not in _NOT_BEGUN:
                session.close()
                raise
        except NoConnection:
            pass  # they are all in use: it can be booked without
        except BaseException:
            session.close()
            raise
        session.close()
        return Ready(chunk)
