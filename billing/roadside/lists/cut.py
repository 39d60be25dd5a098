"""Make a version of a list: its number, its range of changes, its bytes, in one transaction."""

from __future__ import annotations

import datetime as dt
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, ListPart, ListPeriod, ListVersion
from accounts.chargers.rules import types_of
from billing.roadside.lists.forms import Heading, form
from billing.roadside.lists.release import highest
from billing.roadside.lists.rows import Row, Wanted, stream
from billing.roadside.lists.rules import Latest
from config.database import SessionFactory
from config.problems import Conflict

PIECE = 1024 * 1024
"""Bytes of a list that are kept in one row."""
SORT_MEMORY = "64MB"

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('brikke status list ' || :which, 0))")


@dataclass(frozen=True)
class Cut:
    """A version that was made."""

    id: int
    charger: str
    list_type: str
    version: int
    kind: str
    rows: int
    size: int
    name: str


def latest(session: Session, charger_id: int, list_type: str) -> Latest | None:
    """Return what must be known of a list's versions to make the next one; None when it has none."""
    mine = select(ListVersion).where(ListVersion.charger_id == charger_id, ListVersion.list_type == list_type)
    last = session.scalar(mine.order_by(ListVersion.version.desc()).limit(1))
    if last is None:
        return None
    full = session.scalars(mine.where(ListVersion.kind == "full").order_by(ListVersion.version.desc()).limit(1)).one()
    # A full list after a rejected one heals it; what was acknowledged meanwhile does not.
    rejected = session.scalar(
        mine.where(ListVersion.state == "rejected", ListVersion.version >= full.version)
        .order_by(ListVersion.version.desc())
        .limit(1)
    )
    since = _taken_since(session, charger_id, list_type)
    stale = since is not None and full.made_at < since
    kind = rejected.kind if rejected is not None else None
    return Latest(last.version, last.through_change, full.made_at, kind, stale)


def _taken_since(session: Session, charger_id: int, list_type: str) -> dt.datetime | None:
    """Return since when a charger has taken a list without a break; None when it does not take it."""
    query = select(ListPeriod).where(ListPeriod.charger_id == charger_id)
    since: dt.datetime | None = None
    for period in session.scalars(query.order_by(ListPeriod.since.desc(), ListPeriod.id.desc())):
        if period.until != since or list_type not in types_of(period.list_types):
            break
        since = period.since
    return since


def cut(session: Session, charger: Charger, list_type: str, kind: str, now: dt.datetime) -> Cut | None:
    """Make the next version of a charger's list and return it, to be sent after the caller has committed.

    None when there is nothing new for an incremental one, when it has no full one yet to build on, or when somebody
    else is making one at this moment. Raises Conflict where the charger takes no such list.
    """
    if charger.lists == "none" or list_type not in types_of(charger.list_types):
        raise Conflict(f"{charger.code} takes no list of {list_type}.", slug="no-list")
    if not session.scalar(_LOCK, {"which": f"{charger.id}/{list_type}"}):
        return None
    before = latest(session, charger.id, list_type)
    through = highest(session)
    if kind == "incremental" and (before is None or before.stale or through <= before.through):
        return None
    first = before.through + 1 if before is not None else 1
    number = before.version + 1 if before is not None else 1
    written = form(charger.list_format)
    row = ListVersion(
        charger_id=charger.id, list_type=list_type, version=number, kind=kind, from_change=first,
        through_change=max(through, first - 1), format=charger.list_format,
        name=f"{charger.code}-{list_type}-{number:06d}-{kind}.{written.suffix}.gz", row_count=0, size=0, sha256=b"",
        state="made", made_at=now, next_at=now,
    )  # fmt: skip
    session.add(row)
    session.flush()
    wanted = Wanted(charger.code, charger.kind == "ferry", now, row.through_change, None if kind == "full" else first)
    _write(session, row, Heading(charger.code, list_type, number, kind, now), wanted)
    return Cut(row.id, charger.code, list_type, number, kind, row.row_count, row.size, row.name)


class _Counted:
    """Rows, counted as they go by."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _write(session: Session, row: ListVersion, heading: Heading, wanted: Wanted) -> None:
    """Write the bytes of a version: streamed from one connection into pieces on the other, in flat memory."""
    counted = _Counted(_rows(session, heading.list_type, wanted))
    digest, size = hashlib.sha256(), 0
    for number, piece in enumerate(_pieces(packed(heading, row.format, counted)), start=1):
        digest.update(piece)
        size += len(piece)
        session.execute(insert(ListPart), [{"version_id": row.id, "part": number, "body": piece}])
    row.row_count, row.size, row.sha256 = counted.count, size, digest.digest()
    session.flush()


def _rows(session: Session, list_type: str, wanted: Wanted) -> Iterator[Row]:
    """Yield a list's rows over a connection of their own: this session's writes the bytes meanwhile. What they show is
    committed: changes up to ``through`` are."""
    with session.get_bind().connect() as beside:  # type: ignore[union-attr]  # an Engine
        beside.exec_driver_sql(f"SET LOCAL work_mem = '{SORT_MEMORY}'")
        raw: Connection[Any] = beside.connection.driver_connection  # type: ignore[assignment]  # the driver is psycopg
        yield from stream(raw, list_type, wanted)


def packed(heading: Heading, form_name: str, rows: Any) -> Iterator[bytes]:
    """Yield a list in its form, gzipped. The same list has the same bytes: gzip's clock is left at zero."""
    squeeze = zlib.compressobj(level=3, wbits=31)
    for piece in form(form_name).render(heading, rows):
        if squeezed := squeeze.compress(piece):
            yield squeezed
    yield squeeze.flush()


def _pieces(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield bytes in pieces of PIECE, the last one shorter."""
    held = bytearray()
    for block in blocks:
        held += block
        while len(held) >= PIECE:
            yield bytes(held[:PIECE])
            del held[:PIECE]
    if held:
        yield bytes(held)


def look(sessions: SessionFactory, charger: Charger, list_type: str, now: dt.datetime) -> Iterator[bytes]:
    """Yield what a full list would say now, gzipped, without a number and without being kept."""
    with sessions() as session:
        wanted = Wanted(charger.code, charger.kind == "ferry", now, highest(session), None)
        heading = Heading(charger.code, list_type, 0, "full", now)
        yield from packed(heading, charger.list_format, _rows(session, list_type, wanted))
