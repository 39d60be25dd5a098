"""Files of chargers: the same one again, their numbers, and what they were answered."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.passages import batches
from billing.passages.batches import Receiving
from billing.passages.incoming import Answer
from billing.passages.models import Batch, Correction
from billing.roadside.formats import FORMATS, Answered, Head
from config.database import SessionFactory
from config.problems import Conflict, NotFound

_MEMORY = 8 * 1024 * 1024
_PIECE = 1024 * 1024


class SameFile(Exception):
    """A file that came before as batch ``batch_id``, under the same number with the same bytes."""

    def __init__(self, batch_id: int) -> None:
        super().__init__(f"the same file came before as batch {batch_id}")
        self.batch_id = batch_id


class NumberTaken(Exception):
    """Another file came under the same number from the same sender."""


def same(session: Session, charger_id: int, sha256: bytes) -> int | None:
    """Return the batch that holds the same file of a charger, unless it was refused; or None."""
    return session.scalar(
        select(Batch.id).where(
            Batch.charger_id == charger_id, Batch.sha256 == sha256, Batch.is_file, Batch.state != "refused"
        )
    )


def number(session: Session, batch: Receiving, head: Head) -> None:
    """Note what a file says of itself. Raises SameFile, NumberTaken."""
    values = {
        "file_number": head.number,
        "sender": head.sender or ("" if head.number is not None else None),
        "originator": head.originator,
        "records": head.records,
    }
    try:
        with session.begin_nested():
            session.execute(update(Batch).where(Batch.id == batch.batch_id).values(**values))
    except IntegrityError:
        first, digest = session.execute(
            select(Batch.id, Batch.sha256).where(
                Batch.charger_id == batch.charger.id,
                Batch.sender == values["sender"],
                Batch.file_number == head.number,
                Batch.state != "refused",
            )
        ).one()
        if digest == session.scalar(select(Batch.sha256).where(Batch.id == batch.batch_id)):
            raise SameFile(first) from None
        raise NumberTaken(f"file number {head.number} came before with other contents, as batch {first}") from None


class StillWritten(Conflict):
    """A file that was written to while it was read."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is still being written; nothing of it was read.", slug="still-written")


@contextmanager
def held(path: Path, looks: tuple[int, int] | None = None) -> Iterator[BinaryIO]:
    """Yield what a file holds now, on disk beyond some megabytes, whatever is written to it or put in its place from
    then on. ``looks``: the size and time of change (ns) it must have; else those it has when it is opened. Raises
    StillWritten, OSError."""
    with path.open("rb") as there, tempfile.SpooledTemporaryFile(_MEMORY) as copy:
        if looks is None:
            looks = _looks(there)
        while there.tell() <= looks[0] and (piece := there.read(_PIECE)):
            copy.write(piece)
        if _looks(there) != looks or copy.tell() != looks[0]:
            raise StillWritten(path.name)
        copy.seek(0)
        yield cast(BinaryIO, copy)


def _looks(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def spooled(sessions: SessionFactory, batch_id: int) -> BinaryIO:
    """Return a batch as it was received, on disk beyond some megabytes. Raises NotFound where that is not kept."""
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(_MEMORY))  # noqa: SIM115 - the caller reads it to its end
    with sessions.begin() as session:
        for piece in batches.kept_bytes(session, batch_id):
            file.write(piece)
        if not file.tell() and session.get_one(Batch, batch_id).bytes is None:
            raise NotFound("This batch came before files were kept as received.", slug="not-kept")
    file.seek(0)
    return file


def corrections_wait(session: Session, charger_id: int) -> bool:
    """Say whether a charger's corrections wait for what they correct."""
    waiting = select(Correction.source_id).where(Correction.charger_id == charger_id, Correction.state == "waiting")
    return session.scalar(select(waiting.exists())) or False


def answer_lines(sessions: SessionFactory, batch_id: int) -> Iterator[bytes]:
    """Yield the answers of a batch in order, as JSON Lines, a chunk at a time."""
    with sessions.begin() as session:
        yield from batches.kept_answers(session, batch_id)


def answer_file(sessions: SessionFactory, batch_id: int, form: str | None = None) -> Iterator[bytes]:
    """Yield the answer file of a batch in a format, by default its own: the same bytes whenever it is asked for.

    Raises NotFound, also for a batch from before answers were kept.
    """
    with sessions.begin() as session:
        row = session.get(Batch, batch_id)
        if row is None:
            raise NotFound("There is no such batch.")
        if row.bytes is None and row.done:
            raise NotFound("This batch came before answers were kept.", slug="not-kept")
        code = session.get_one(Charger, row.charger_id).code
    head = Head(row.file_number, row.sender or None, row.originator, row.records)
    about = Answered(row.id, code, row.name, head, row.received_at, dict(row.counts), dict(row.sums))
    written = form or row.format
    if written == "jsonl":  # as it is kept
        return answer_lines(sessions, batch_id)
    return FORMATS[written].answers(about, _chunks(sessions, batch_id))


def _chunks(sessions: SessionFactory, batch_id: int) -> Iterator[list[Answer]]:
    for lines in answer_lines(sessions, batch_id):
        yield batches.read_answers(lines)


@dataclass(frozen=True)
class Gap:
    """Numbers of a sender's files that are missing between two that came: ``first`` to ``last``."""

    charger: str
    sender: str
    first: int
    last: int


def gaps(session: Session, charger_id: int | None = None) -> list[Gap]:
    """Return the file numbers that have not come though later ones have, of one charger or of all."""
    rows = session.execute(
        text("""
        SELECT c.code, n.sender, n.before + 1, n.number - 1
        FROM (
            SELECT charger_id, sender, file_number AS number,
                lag(file_number) OVER (PARTITION BY charger_id, sender ORDER BY file_number) AS before
            FROM batches
            WHERE file_number IS NOT NULL AND state <> 'refused'
                AND (CAST(:charger AS integer) IS NULL OR charger_id = :charger)
        ) AS n JOIN chargers AS c ON c.id = n.charger_id
        WHERE n.number > n.before + 1 ORDER BY c.code, n.sender, n.number
        """),
        {"charger": charger_id},
    )
    return [Gap(*row) for row in rows]


def out_of_order(session: Session, batch_id: int) -> bool:
    """Say whether a file came after one of the same sender with a higher number."""
    return bool(
        session.scalar(
            text("""
            SELECT EXISTS (
                SELECT FROM batches AS b JOIN batches AS o ON o.charger_id = b.charger_id AND o.sender = b.sender
                WHERE b.id = :batch AND o.file_number > b.file_number AND o.id < b.id AND o.state <> 'refused')
            """),
            {"batch": batch_id},
        )
    )
