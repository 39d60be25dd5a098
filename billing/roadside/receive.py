"""Receive a batch of records: read, chunk, book, answer. Each chunk is a transaction of its own.

What is committed stays committed: a sender that was cut off sends the batch again, and is answered
``duplicate`` for what had been booked.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, cast

from sqlalchemy.exc import OperationalError

from accounts.chargers.queries import charger as charger_by_code
from billing.passages.incoming import Answer, Chunk, Item, limits_at, prepare
from billing.passages.ingest import Booked, Receiving, StillChanging, Tally, close_batch, open_batch
from billing.passages.rules import Limits
from billing.roadside.chunk import book
from billing.roadside.formats import FORMATS, BrokenFile
from config.clock import business_now
from config.database import SessionFactory
from config.problems import Invalid

CHUNK = 10_000
_TRIES = 3
_RETRIED = ("40001", "40P01")
"""Serialization failure and deadlock: ours are free of them; another program's on the same tables may not be."""


@dataclass(frozen=True)
class Received:
    """What became of a batch: its id and name, and the records and øre by answer code."""

    batch_id: int
    name: str
    tally: Tally

    def as_dict(self) -> dict[str, object]:
        """Return the summary as the API and the command line show it."""
        return {
            "batch": self.batch_id,
            "name": self.name,
            "records": self.tally.done,
            "counts": dict(sorted(self.tally.counts.items())),
            "sums_ore": dict(sorted(self.tally.sums.items())),
        }


class _Hashing(io.RawIOBase):
    """Passes a stream on and hashes what went through."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.sha256.update(data)
        return len(data)


def receive(
    sessions: SessionFactory,
    code: str,
    stream: BinaryIO,
    *,
    form: str,
    name: str,
    answered: Callable[[list[Answer]], None] = lambda _: None,
    chunk_size: int = CHUNK,
) -> Received:
    """Book the batch in ``stream`` (format ``form``, see ``formats.FORMATS``) for charger ``code``.

    ``answered`` gets the answers of each chunk in order, after it is committed. ``name`` is what a later
    duplicate is told. Raises NotFound for an unknown charger; Invalid for a file that cannot be read, saying
    at which line (nothing of it is booked, and the batch is kept as ``refused``).
    """
    with sessions.begin() as session:
        sender = charger_by_code(session, code)
        now = business_now(session)
        batch = open_batch(session, sender, name=name, form=form, sha256=b"", now=now)
    hashing = _Hashing(stream)
    items = FORMATS[form](cast(BinaryIO, io.BufferedReader(hashing, 1 << 20)))
    error: BrokenFile | None = None
    try:
        for chunk in _ahead(items, limits_at(now), chunk_size):
            booked = _book(sessions, batch, chunk)
            batch = booked.batch
            answered(booked.answers)
    except BrokenFile as broken:
        error = broken
    with sessions.begin() as session:
        reason = None if error is None else str(error)
        close_batch(session, batch, sha256=hashing.sha256.digest(), now=business_now(session), error=reason)
    if error is not None:
        where = {"line": error.line, "message": error.reason}
        raise Invalid(f"{name} cannot be read: {error}.", slug="broken-file", errors=[where])
    return Received(batch.batch_id, name, batch.tally)


def _chunks(items: Iterator[Item], limits: Limits, size: int) -> Iterator[Chunk]:
    for number in itertools.count(1):
        some = list(itertools.islice(items, size))
        if not some:
            return
        yield prepare(number, some, limits)


def _ahead(items: Iterator[Item], limits: Limits, size: int) -> Iterator[Chunk]:
    """Yield chunks, the next one being read and normalised while the caller books the last."""
    chunks = _chunks(items, limits, size)
    with ThreadPoolExecutor(1, thread_name_prefix="prepare") as worker:
        waiting = worker.submit(next, chunks, None)
        while (chunk := waiting.result()) is not None:
            waiting = worker.submit(next, chunks, None)
            yield chunk


def _book(sessions: SessionFactory, batch: Receiving, chunk: Chunk) -> Booked:
    """Book a chunk in a transaction; once more where another program's locks or changes got in its way."""
    for left in reversed(range(_TRIES)):
        try:
            with sessions.begin() as session:
                return book(session, batch, chunk, now=business_now(session))
        except StillChanging:
            if not left:
                raise
        except OperationalError as error:
            if not left or getattr(error.orig, "sqlstate", None) not in _RETRIED:
                raise
    raise AssertionError("a try either returns or raises")
