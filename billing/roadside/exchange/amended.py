"""Amended answers: what was decided anew, told to the charger that was told otherwise.

Each amendment goes out in one file. Which it is in is written down (``amendments_sent``) when the file's row is made,
so the file has the same bytes however often it is sent.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.passages.incoming import Answer
from billing.passages.models import Batch
from billing.passages.rules import flag_names
from billing.roadside.exchange.models import AmendmentSent, Outgoing
from billing.roadside.exchange.outgoing import send_file
from billing.roadside.exchange.produce import FIRST_NUMBER
from billing.roadside.formats import FORMATS, Answered, Head
from config.database import SessionFactory

MOST = 50_000
"""Amended answers in a file; what is beyond them goes in the next."""
LATE = 100_000
"""Numbers of amendments within which one may become visible after a higher one: some hundred chunks of them."""
CSV_COLUMNS = (
    "amends_batch", "amends_position", "amends_file", "id", "was", "code", "flags", "detail", "cause", "at",
)  # fmt: skip

_UNSENT = text("""
    SELECT a.id, a.batch_id FROM amendments AS a
    WHERE a.charger_id = :charger AND a.id > (
        SELECT coalesce(max(s.amendment_id), 0) - :late FROM amendments_sent AS s
        JOIN outgoing_files AS o ON o.id = s.outgoing_id
        WHERE o.id = (
            SELECT max(id) FROM outgoing_files WHERE charger_id = :charger AND kind = 'amended_answers'))
        AND NOT EXISTS (SELECT FROM amendments_sent AS s WHERE s.amendment_id = a.id)
    ORDER BY a.id LIMIT :most
""")
_ROWS = text("""
    SELECT a.id, a.batch_id, a.position, a.source_id, a.code, a.flags, a.detail, a.cause, a.at, b.name AS file,
        (SELECT f.was_code FROM amendments AS f
        WHERE f.charger_id = a.charger_id AND f.source_id = a.source_id ORDER BY f.id LIMIT 1) AS was
    FROM amendments_sent AS s JOIN amendments AS a ON a.id = s.amendment_id LEFT JOIN batches AS b ON b.id = a.batch_id
    WHERE s.outgoing_id = :outgoing ORDER BY a.id
""")


def gather(session: Session, charger: Charger, form: str | None, now: dt.datetime) -> int:
    """Make the file of what was decided anew for a charger and is in none; return how many records it tells of.

    In ISO 12855 an answer is of one message, so there it is a file for each batch. The caller holds the charger's lock.
    """
    found = [
        (row.id, row.batch_id) for row in session.execute(_UNSENT, {"charger": charger.id, "late": LATE, "most": MOST})
    ]
    if not found:
        return 0
    if form == "iso12855":
        by_batch = sorted(found, key=lambda one: (one[1], one[0]))
        for _, some in groupby(by_batch, key=lambda one: one[1]):
            _file(session, charger, form, [one[0] for one in some], now)
    else:
        _file(session, charger, "csv" if form == "csv" else "jsonl", [one[0] for one in found], now)
    return len(found)


def _file(session: Session, charger: Charger, form: str, amendments: Sequence[int], now: dt.datetime) -> None:
    name = f"amended-{amendments[0]:09d}{FORMATS[form].answer_suffix}"
    row = send_file(session, charger.id, "amended_answers", str(amendments[0]), name, now, form=form)
    session.execute(insert(AmendmentSent), [{"amendment_id": one, "outgoing_id": row.id} for one in amendments])


def content(sessions: SessionFactory, row: Outgoing) -> Iterator[bytes]:
    """Yield the amended answers of a file in its form (docs/formats.md)."""
    with sessions() as session:
        found: Sequence[Any] = session.execute(_ROWS, {"outgoing": row.id}).all()
        if row.form == "iso12855":
            code = session.get_one(Charger, row.charger_id).code
            batch = session.get_one(Batch, found[0].batch_id)
    if row.form == "iso12855":
        head = Head(batch.file_number, batch.sender or None, batch.originator, len(found))
        about = Answered(FIRST_NUMBER + row.id, code, batch.name, head, row.made_at, amends=batch.id)
        answers = [Answer(one.position, one.source_id, one.code, flag_names(one.flags), None, one.detail)
                   for one in found]  # fmt: skip
        yield from FORMATS["iso12855"].answers(about, [answers])
    elif row.form == "csv":
        yield _csv(found)
    else:
        yield msgspec.json.Encoder().encode_lines([_said(one) for one in found])


def _said(row: Any) -> dict[str, Any]:
    """Return an amended answer as JSON says it."""
    said = {
        "amends": {"batch": row.batch_id, "position": row.position, "file": row.file},
        "id": row.source_id,
        "was": row.was,
        "code": row.code,
        "flags": flag_names(row.flags) or None,
        "detail": row.detail,
        "cause": row.cause,
        "at": _instant(row.at),
    }
    return {name: value for name, value in said.items() if value is not None}


def _csv(rows: Sequence[Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        flags = " ".join(flag_names(row.flags))
        writer.writerow((row.batch_id, row.position, row.file, row.source_id, row.was, row.code, flags, row.detail,
                         row.cause, _instant(row.at)))  # fmt: skip
    return out.getvalue().encode()


def _instant(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
