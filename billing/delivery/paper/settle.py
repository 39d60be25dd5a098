"""A confirmation from the print house becomes the state of its batch and its letters. Any order, any number of times.

A batch that was refused arrived damaged: the same bytes are put again, `TRIES` times in all; then its letters are
failed and support sees them. Accepted wins over refused, whichever comes first. A letter that was posted is never
rejected afterwards, nor the other way round: the first word about it stands.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.delivery.models import DeliveryFile
from billing.delivery.paper.channel import NAME
from billing.delivery.paper.confirm import MOST_WRONG, BadConfirmation, Confirmation, Sheet, parse
from billing.delivery.paper.write import KIND
from billing.delivery.plan import fall_back

log = structlog.get_logger(__name__)

TRIES = 3
LONGEST_ANSWER = 1_000

_POSTED = """
    UPDATE deliveries AS d SET state = 'delivered', delivered_at = :now, error = NULL,
           proof = d.proof || jsonb_build_object('posted_on', t.posted_on, 'ref', t.ref,
                                                 'confirmation', CAST(:name AS text))
    FROM unnest(CAST(:sheets AS integer[]), CAST(:dates AS text[]), CAST(:refs AS text[])) AS t (sheet, posted_on, ref)
    WHERE d.file_id = :file AND d.file_line = t.sheet AND d.state IN ('sent', 'ending')
    RETURNING d.id
"""
_REJECTED = """
    UPDATE deliveries AS d SET state = CASE d.state WHEN 'ending' THEN 'ended' ELSE 'failed' END, error = t.why,
           ended_at = CASE d.state WHEN 'ending' THEN CAST(:now AS timestamptz) END,
           proof = d.proof || jsonb_build_object('rejected', t.why, 'confirmation', CAST(:name AS text))
    FROM unnest(CAST(:sheets AS integer[]), CAST(:whys AS text[])) AS t (sheet, why)
    WHERE d.file_id = :file AND d.file_line = t.sheet AND d.state IN ('sent', 'ending')
    RETURNING d.message_id, d.state
"""
_ALL_OF = "SELECT file_line FROM deliveries WHERE file_id = :file AND state IN ('sent', 'ending') ORDER BY file_line"


@dataclass(frozen=True)
class Settled:
    """What a confirmation came to: ``read``, ``refused`` (it could not be used: ``why``), or ``already``."""

    outcome: str
    posted: int = 0
    rejected: int = 0
    why: str | None = None


def settle(session: Session, name: str, content: bytes, *, now: dt.datetime, real: dt.datetime) -> Settled:
    """Take a confirmation: keep it as it came, and record what it says. ``now`` is business time, ``real`` real time.
    Never raises for what is in it."""
    sha256 = hashlib.sha256(content).digest()
    known = select(DeliveryFile.id).where(DeliveryFile.direction == "in", DeliveryFile.sha256 == sha256)
    if session.scalar(known) is not None:
        return Settled("already")
    row = DeliveryFile(
        channel=NAME, kind="confirmation", direction="in", name=name, sha256=sha256, content=content, state="read",
        made_at=now, answered_at=now,
    )  # fmt: skip
    session.add(row)
    try:
        said = parse(content)
        file = _file(session, said)
    except BadConfirmation as bad:
        row.state, row.answer = "refused", str(bad)[:LONGEST_ANSWER]
        log.warning("paper.confirmation_refused", file=name, why=str(bad))
        return Settled("refused", why=str(bad))
    row.transactions = len(said.sheets)
    notes = [*said.wrong[:MOST_WRONG]]
    beyond = [one.sheet for one in said.sheets if one.sheet > file.transactions]
    if beyond:
        notes.append(f"sheets that the batch has not: {', '.join(map(str, beyond[:MOST_WRONG]))}")
    row.answer = "; ".join(notes)[:LONGEST_ANSWER] or None
    if notes:
        log.warning("paper.confirmation_notes", file=name, notes=len(notes))
    return _apply(session, file, said, name, now, real)


def _file(session: Session, said: Confirmation) -> DeliveryFile:
    """Return the batch that is confirmed, locked. Raises BadConfirmation: not ours, or other bytes than ours."""
    query = select(DeliveryFile).where(
        DeliveryFile.channel == NAME, DeliveryFile.kind == KIND, DeliveryFile.name == f"{said.batch}.zip"
    )
    file = session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if file is None:
        raise BadConfirmation("we have written no such batch")
    if said.state != "refused" and said.sha256 not in (None, file.sha256.hex()):
        raise BadConfirmation("it accepts other bytes than ours: the print house must be asked")
    return file


def _apply(
    session: Session, file: DeliveryFile, said: Confirmation, name: str, now: dt.datetime, real: dt.datetime
) -> Settled:
    # Of a batch that was refused nothing was printed: what it says of sheets is not believed.
    sheets = said.sheets if said.state != "refused" else ()
    posted = [one for one in sheets if one.posted_on is not None]
    rejected = [one for one in sheets if one.posted_on is None]
    if said.state == "accepted" or (said.state is None and sheets):
        if file.state != "accepted":
            file.state, file.answered_at, file.answer = "accepted", now, None
    elif said.state == "refused" and file.state in ("made", "put"):
        file.answer, file.answered_at = said.reason or "refused without a reason", now
        if file.puts < TRIES:
            file.state = "made"  # to be put again
        else:
            file.state = "refused"
            lines = session.scalars(text(_ALL_OF), {"file": file.id}).all()
            rejected = [Sheet(sheet, None, f"the batch was refused: {file.answer}", None) for sheet in lines]
        log.warning("paper.batch_refused", file=file.name, puts=file.puts, again=file.state == "made")
    session.flush()
    return Settled(
        "read",
        _posted(session, file, posted, name, now) if posted else 0,
        _rejected(session, file, rejected, name, now, real) if rejected else 0,
    )


def _posted(session: Session, file: DeliveryFile, sheets: Sequence[Sheet], name: str, now: dt.datetime) -> int:
    columns = {
        "sheets": [one.sheet for one in sheets],
        "dates": [one.posted_on.isoformat() if one.posted_on else None for one in sheets],
        "refs": [one.ref for one in sheets],
    }
    return len(session.execute(text(_POSTED), columns | {"file": file.id, "name": name, "now": now}).all())


def _rejected(
    session: Session, file: DeliveryFile, sheets: Sequence[Sheet], name: str, now: dt.datetime, real: dt.datetime
) -> int:
    columns = {"sheets": [one.sheet for one in sheets], "whys": [one.reason for one in sheets]}
    rows = session.execute(text(_REJECTED), columns | {"file": file.id, "name": name, "now": now}).all()
    for row in rows:
        if row.state == "failed":
            fall_back(session, row.message_id, now=now, real=real)
    return len(rows)
