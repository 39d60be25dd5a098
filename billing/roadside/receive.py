"""Receive a batch of records: keep it as it came, look it over, read, chunk, book. Each chunk is a transaction, and the
next one is read and matched meanwhile.

What is kept is kept: a batch that was cut short, by whatever, goes on where it was, and is answered as if nothing had
happened. The same file again is answered from what is kept. While a batch is being booked, its advisory lock is held
by a connection of its own, which the server frees when the process dies.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from psycopg import OperationalError as DriverError
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from accounts.chargers.queries import charger as charger_by_code
from billing.passages import batches
from billing.passages.batches import Receiving, Tally
from billing.passages.incoming import Chunk, Item, limits_at, prepare
from billing.passages.ingest import StillChanging
from billing.passages.models import Batch
from billing.passages.rules import Limits
from billing.roadside import files
from billing.roadside.ahead import RETRIED, Ahead, Ready, sqlstate
from billing.roadside.chunk import book
from billing.roadside.formats import FORMATS, BrokenFile, Head
from config.clock import business_now
from config.database import SessionFactory
from config.jobs import ring
from config.problems import Conflict, Invalid

CHUNK = 10_000
_PIECE = 1024 * 1024
_TRIES = 3
_USUAL, _SOONER = sys.getswitchinterval(), 0.0003
_WAIT = "60s"
"""How long one waits for another process that is booking the same file."""


class NotAsAnnounced(RuntimeError):
    """A file was found to have as many records as it says before any was booked, and then another number was read: its
    bytes or our reading of them changed. It stays unfinished, and its job fails, until somebody has looked."""


@dataclass(frozen=True)
class Received:
    """What became of a batch: its id and name, the records and øre by answer code, and whether it had been answered
    before and is only answered again."""

    batch_id: int
    name: str
    tally: Tally
    again: bool = False

    def as_dict(self) -> dict[str, object]:
        """Return the summary as the API and the command line show it."""
        return {
            "batch": self.batch_id,
            "name": self.name,
            "records": self.tally.done,
            "counts": dict(sorted(self.tally.counts.items())),
            "sums_ore": dict(sorted(self.tally.sums.items())),
            "again": self.again,
        }


@dataclass(frozen=True)
class Origin:
    """Where a batch comes from. ``way``: http, file, inbox or sftp. ``is_file``: the same bytes again are the same
    file; else they are a batch of their own, whose records are answered ``duplicate``."""

    name: str
    way: str = "file"
    is_file: bool = True


def receive(
    sessions: SessionFactory, code: str, stream: BinaryIO, *, form: str, origin: Origin, chunk_size: int = CHUNK
) -> Received:
    """Book the batch in ``stream`` (format ``form``, see ``formats.FORMATS``) for charger ``code``. The stream is
    seekable, and nobody else writes to it (``files.held``): it is read more than once.

    The answers are in ``answers`` afterwards. Raises NotFound for an unknown charger; Invalid for a file that is cut
    off or cannot be read, saying at which line (nothing of it is booked, and the batch is kept as ``refused``);
    Conflict for another file under a number that there is, and for one that another process is booking too long.
    """
    digest, size = _measure(stream)
    with sessions.begin() as session:
        sender = charger_by_code(session, code)
        known = files.same(session, sender.id, digest) if origin.is_file else None
    if known is None:
        try:
            with sessions.begin() as session:
                batch = batches.open_batch(
                    session,
                    sender,
                    name=origin.name,
                    form=form,
                    sha256=digest,
                    now=business_now(session),
                    way=origin.way,
                    is_file=origin.is_file,
                    chunk_size=chunk_size,
                    size=size,
                )
                stream.seek(0)
                batches.keep_bytes(session, batch.batch_id, stream)
            known, again = batch.batch_id, False
        except IntegrityError:  # the same file by another way at the same moment
            with sessions.begin() as session:
                known, again = files.same(session, sender.id, digest), True
            if known is None:
                raise
    else:
        again = True
    received = _go_on(sessions, known, stream, again=again)
    assert received is not None  # it waited for the lock
    return received


def resume(sessions: SessionFactory, batch_id: int) -> Received | None:
    """Go on with a batch that was cut short, from its bytes as received; None when somebody else is at it."""
    return _go_on(sessions, batch_id, None, again=False, wait=False)


def _measure(stream: BinaryIO) -> tuple[bytes, int]:
    """Return a stream's SHA-256 and length, reading it from its beginning."""
    stream.seek(0)
    hashing, size = hashlib.sha256(), 0
    while piece := stream.read(_PIECE):
        hashing.update(piece)
        size += len(piece)
    return hashing.digest(), size


def _go_on(
    sessions: SessionFactory, batch_id: int, stream: BinaryIO | None, *, again: bool, wait: bool = True
) -> Received | None:
    """Book what is left of a batch, if anything, and return what it came to; None when, without ``wait``, somebody
    else is at it. Raises as ``receive`` does."""
    first: int | None = None
    with _alone(sessions, batch_id, wait=wait) as alone:
        if not alone:
            return None
        with sessions.begin() as session:
            row = session.get_one(Batch, batch_id)
            batch = batches.receiving(session, row)
        if row.state == "receiving":
            if stream is None:
                stream = files.spooled(sessions, batch_id)
            try:
                batch = _book_all(sessions, row, batch, stream)
            except files.SameFile as same:
                _close(sessions, batch, str(same))
                first = same.batch_id
    if first is not None:
        return _go_on(sessions, first, stream, again=True, wait=wait)
    if row.state == "refused":
        raise Invalid(f"{row.name} was refused: {row.error}.", slug="broken-file", errors=[])
    return Received(batch_id, row.name, batch.tally, again)


@contextmanager
def _alone(sessions: SessionFactory, batch_id: int, *, wait: bool) -> Iterator[bool]:
    """Hold a batch's lock. Raises Conflict when it does not come free; without ``wait`` yields False."""
    engine: Engine = sessions.kw["bind"]
    key = {"key": f"brikke batch {batch_id}"}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if wait:
            try:
                connection.execute(text(f"SET lock_timeout = '{_WAIT}'"))
                connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), key)
            except OperationalError as error:
                if getattr(error.orig, "sqlstate", None) != "55P03":
                    raise
                raise Conflict("This file is being booked just now; ask again later.", slug="being-booked") from None
            finally:
                connection.execute(text("RESET lock_timeout"))
        elif not connection.scalar(text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))"), key):
            yield False
            return
        try:
            yield True
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), key)


def _book_all(sessions: SessionFactory, row: Batch, batch: Receiving, stream: BinaryIO) -> Receiving:
    """Look a batch over and book what of it is not booked. Raises Invalid, Conflict: it is refused then."""
    form = FORMATS[row.format]
    try:
        if not batch.tally.done:
            stream.seek(0)
            head = form.check(stream)
            if head.originator not in (None, batch.charger.code):
                raise BrokenFile(1, f"the file is {head.originator}'s, and came as {batch.charger.code}'s")
            _number(sessions, batch, head)
        stream.seek(0)
        items = itertools.islice(form.parse(stream), batch.tally.done, None)
        first = batch.tally.done // row.chunk_size + 1
        chunks = _chunks(items, limits_at(row.received_at), row.chunk_size, first)
        with _giving_way(), Ahead(sessions, batch, chunks) as ahead:
            for ready in ahead:
                batch = _book(sessions, batch, ready, ahead)
    except BrokenFile as broken:
        _close(sessions, batch, str(broken))
        where = {"line": broken.line, "message": broken.reason}
        raise Invalid(f"{row.name} cannot be read: {broken}.", slug="broken-file", errors=[where]) from None
    except files.NumberTaken as taken:
        _close(sessions, batch, str(taken))
        raise Conflict(f"{row.name}: {taken}.", slug="file-number") from None
    _hold_to_its_word(sessions, batch)
    _close(sessions, batch, None)
    return batch


def _hold_to_its_word(sessions: SessionFactory, batch: Receiving) -> None:
    """Raise NotAsAnnounced where the file said another number of records than were answered."""
    with sessions.begin() as session:
        row = session.get_one(Batch, batch.batch_id)
        if row.records is not None and row.records != batch.tally.done:
            raise NotAsAnnounced(f"batch {row.id}, {row.name}: {batch.tally.done} of {row.records} records were read")


def _number(sessions: SessionFactory, batch: Receiving, head: Head) -> None:
    with sessions.begin() as session:
        files.number(session, batch, head)


def _close(sessions: SessionFactory, batch: Receiving, error: str | None) -> None:
    with sessions.begin() as session:
        batches.close_batch(session, batch, now=business_now(session), error=error)


def _chunks(items: Iterator[Item], limits: Limits, size: int, first: int) -> Iterator[Chunk]:
    for number in itertools.count(first):
        some = list(itertools.islice(items, size))
        if not some:
            return
        yield prepare(number, some, limits)


@contextmanager
def _giving_way() -> Iterator[None]:
    """Have threads give way to each other sooner. At each of a chunk's thirty statements who books waits for the thread
    that reads ahead to let go of the interpreter, 5 ms by default: a tenth of the time a file takes."""
    sys.setswitchinterval(_SOONER)
    try:
        yield
    finally:
        sys.setswitchinterval(_USUAL)


def _book(sessions: SessionFactory, batch: Receiving, ready: Ready, ahead: Ahead) -> Receiving:
    """Book a chunk in a transaction; once more where another program's locks or changes got in its way."""
    for left in reversed(range(_TRIES)):
        session, begun = ready.take() or (sessions(), None)
        try:
            with session:
                after = book(session, batch, ready.chunk, now=business_now(session), begun=begun).batch
                _call_waiting(session, batch)
                session.commit()
                return after
        except StillChanging:
            if not left:
                raise
        except (OperationalError, DriverError) as error:
            if not left or sqlstate(error) not in RETRIED:
                raise
        ahead.give_up()
    raise AssertionError("a try either returns or raises")


def _call_waiting(session: Session, batch: Receiving) -> None:
    """Ring for corrections that wait, as what they correct may have come."""
    if files.corrections_wait(session, batch.charger.id):
        ring(session, "corrections")
