"""Reads of files and what became of their records: for chargers, for operators, for the support desk."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import zstandard
from sqlalchemy import Select, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from accounts.chargers.models import Charger
from billing.passages import batches
from billing.passages.incoming import Answer
from billing.passages.models import Amendment, Batch, BatchAnswers, Correction, Record
from billing.passages.rules import EPOCH
from billing.roadside import files
from billing.roadside.formats import FORMATS
from config.clock import business_date
from config.database import SessionFactory
from config.http_pages import Page, paged
from config.problems import Conflict, NotFound
from config.rates import whole

REFUSED = (
    "conflict", "unknown_vehicle", "not_valid", "too_old", "invalid_amount", "invalid_record", "unknown_station",
    "tag_plate_mismatch", "wrong_class", "double_read",
)  # fmt: skip
"""Answers by which a charger is not owed what it asked for."""
_MEMORY = 8 * 1024 * 1024
_CHUNKS = 40
"""So many chunks of answers are looked through for one page of a file's refused records."""


@dataclass(frozen=True)
class File:
    """A batch as lists show it. ``file_number`` and ``sender`` are what the file says (None: it does not);
    ``records`` how many have been answered, ``announced`` how many it says there are."""

    batch: int
    charger: str
    name: str
    format: str
    way: str
    state: str
    file_number: int | None
    sender: str | None
    originator: str | None
    announced: int | None
    records: int
    bytes: int | None
    counts: dict[str, int]
    sums_ore: dict[str, int]
    received_at: dt.datetime
    finished_at: dt.datetime | None
    error: str | None
    out_of_order: bool

    @property
    def refused(self) -> int:
        """How many of its records were refused."""
        return sum(self.counts.get(code, 0) for code in REFUSED)


def _query() -> Select[*tuple[Any, ...]]:
    other = aliased(Batch)
    later = exists().where(
        other.charger_id == Batch.charger_id, other.sender == Batch.sender, other.file_number > Batch.file_number,
        other.id < Batch.id, other.state != "refused",
    )  # fmt: skip
    return select(Batch, Batch.id.label("id"), Charger.code, later.label("out_of_order")).join(
        Charger, Charger.id == Batch.charger_id
    )


def _file(row: Any) -> File:
    batch: Batch = row[0]
    return File(
        batch=batch.id,
        charger=row.code,
        name=batch.name,
        format=batch.format,
        way=batch.way,
        state=batch.state,
        file_number=batch.file_number,
        sender=batch.sender or None,
        originator=batch.originator,
        announced=batch.records,
        records=batch.done,
        bytes=batch.bytes,
        counts=dict(sorted(batch.counts.items())),
        sums_ore=dict(sorted(batch.sums.items())),
        received_at=batch.received_at,
        finished_at=batch.finished_at,
        error=batch.error,
        out_of_order=row.out_of_order,
    )


def page(session: Session, charger_id: int | None, *, after: str | None, limit: int, state: str | None = None) -> Page:
    """Return a charger's batches (or everybody's) as ``File``, the newest first. Raises Invalid for a bad cursor."""
    query = _query()
    if charger_id is not None:
        query = query.where(Batch.charger_id == charger_id)
    if state is not None:
        query = query.where(Batch.state == state)
    found = paged(session, query, [Batch.id], after=after, limit=limit, descending=True)
    return Page([_file(row) for row in found.items], found.next)


def one(session: Session, batch_id: int, charger_id: int | None = None) -> File:
    """Return a batch, of a charger if given. Raises NotFound."""
    query = _query().where(Batch.id == batch_id)
    if charger_id is not None:
        query = query.where(Batch.charger_id == charger_id)
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound("There is no such file.")
    return _file(row)


def last_files(session: Session) -> dict[str, File]:
    """Return each charger's newest batch by the charger's code."""
    newest = select(func.max(Batch.id)).group_by(Batch.charger_id)
    return {row.code: _file(row) for row in session.execute(_query().where(Batch.id.in_(newest)))}


def refused_since(session: Session, since: dt.datetime) -> dict[str, Counter[str]]:
    """Return how many records were refused of files that came since an instant: by charger's code and answer code."""
    entry = func.jsonb_each_text(Batch.counts).table_valued("key", "value").lateral("entry")
    query = (
        select(Charger.code, entry.c.key, entry.c.value)
        .select_from(Batch)
        .join(Charger, Charger.id == Batch.charger_id)
        .join(entry, and_(True, entry.c.key.in_(REFUSED)))
        .where(Batch.received_at >= since)
    )
    found: dict[str, Counter[str]] = {}
    for code, answer, count in session.execute(query):
        found.setdefault(code, Counter())[answer] += int(count)
    return found


def received(sessions: SessionFactory, batch_id: int) -> BinaryIO:
    """Return a batch's bytes as they were received, on disk beyond some megabytes. Raises NotFound (not kept)."""
    return files.spooled(sessions, batch_id)


def answered(sessions: SessionFactory, file: File, form: str | None = None) -> tuple[BinaryIO, str]:
    """Return the answer file of a batch and its name, in ``form`` or else the batch's own. Written out first: a slow
    reader holds no transaction. Raises NotFound (not kept); Conflict while it is being booked, and for a file that was
    refused whole and has no answers."""
    if file.state == "receiving":
        raise Conflict("This file is being booked; its answers are whole when it is done.", slug="being-booked")
    if file.state == "refused" and not file.records:
        raise Conflict(f"This file was refused whole: {file.error}.", slug="file-refused")
    written = form or file.format
    out = cast(BinaryIO, tempfile.SpooledTemporaryFile(_MEMORY))  # noqa: SIM115 - the caller reads it to its end
    for piece in files.answer_file(sessions, file.batch, written):
        out.write(piece)
    out.seek(0)
    return out, f"batch-{file.batch}{FORMATS[written].answer_suffix}"


@dataclass(frozen=True)
class Said:
    """Answers of a file that support should see, and from which position on the next are to be looked for."""

    answers: Sequence[Answer]
    next: int | None


def noteworthy(session: Session, batch_id: int, after: int, limit: int) -> Said:
    """Return the answers of a file after a position that refuse a record or flag it, a page.

    They are found by reading the answers: no index is kept of them. After so many chunks without enough the page ends.
    """
    row = session.get(Batch, batch_id)
    if row is None:
        raise NotFound("There is no such file.")
    unpack = zstandard.ZstdDecompressor().decompress
    query = select(BatchAnswers.chunk, BatchAnswers.content).where(BatchAnswers.batch_id == batch_id)
    chunk, found, seen = _reached(session, row, after), list[Answer](), after
    for _ in range(_CHUNKS):
        kept = session.execute(query.where(BatchAnswers.chunk > chunk).order_by(BatchAnswers.chunk).limit(1)).first()
        if kept is None:
            return Said(found, None)
        chunk = kept.chunk
        for answer in batches.read_answers(unpack(kept.content)):
            seen = max(seen, answer.position)
            if answer.position > after and (answer.code in REFUSED or _flagged(answer.flags)):
                found.append(answer)
                if len(found) == limit:
                    return Said(found, answer.position)
    return Said(found, seen)


def _reached(session: Session, batch: Batch, after: int) -> int:
    """Return the last chunk whose answers are all at positions up to ``after``. Lines that are no records (a head,
    empty ones) push positions up, so it is looked for, by halves."""
    first, last = 0, -(-batch.done // batch.chunk_size)
    unpack = zstandard.ZstdDecompressor().decompress
    while first < last and after:
        middle = (first + last + 1) // 2
        kept = session.get(BatchAnswers, (batch.id, middle))
        answers = batches.read_answers(unpack(kept.content)) if kept is not None else []
        if kept is None or answers[-1].position > after:
            last = middle - 1
        else:
            first = middle
    return first


def _flagged(flags: Iterable[str]) -> bool:
    """Say whether an answer has a flag that is not everyday."""
    return bool(set(flags) - {"by_plate"})


@dataclass(frozen=True)
class Waiting:
    """A correction whose original has not come: since when it waits, and from when on it is refused."""

    source_id: str
    action: str
    original: str
    version: int | None
    issued_at: dt.datetime | None
    since: dt.datetime
    until: dt.datetime
    batch: int
    position: int


def waiting(session: Session, charger_id: int, now: dt.datetime, *, after: str | None, limit: int) -> Page:
    """Return a charger's corrections whose original has not come, by id. Raises Invalid for a bad cursor."""
    days = whole("correction_wait_days", business_date(now))
    query = (
        select(
            Correction.source_id, Correction.action, Correction.original_id, Correction.version, Correction.issued_at,
            Correction.received_at, Record.batch_id, Record.position,
        )
        .join(Record, and_(Record.charger_id == Correction.charger_id, Record.source_id == Correction.source_id))
        .where(Correction.charger_id == charger_id, Correction.state == "waiting")
    )  # fmt: skip
    found = paged(session, query, [Correction.source_id], after=after, limit=limit)
    items = [
        Waiting(
            row.source_id, row.action, row.original_id, row.version or None,
            None if row.issued_at == EPOCH else row.issued_at, row.received_at,
            row.received_at + dt.timedelta(days=days), row.batch_id, row.position,
        )
        for row in found.items
    ]  # fmt: skip
    return Page(items, found.next)


def count_waiting(session: Session) -> dict[str, int]:
    """Return how many corrections of each charger wait for what they correct, by its code."""
    rows = session.execute(
        select(Charger.code, func.count())
        .join(Correction, Correction.charger_id == Charger.id)
        .where(Correction.state == "waiting")
        .group_by(Charger.code)
    )
    return {row[0]: row[1] for row in rows}


def amendments(session: Session, charger_id: int, *, after: str | None, limit: int) -> Page:
    """Return what of a charger's records was decided anew, the last first. Raises Invalid for a bad cursor."""
    query = select(Amendment).where(Amendment.charger_id == charger_id)
    return paged(session, query, [Amendment.id], after=after, limit=limit, descending=True)
