"""Check a charger's claim against what we owe it, line by line.

A format (JSON, CSV, ISO 12855 PaymentClaim) only has to make a ``ChargerClaim``. Its lines are copied to a temporary
table and compared set-based with the passages that arrived in its period; they are kept with the differences, of which
claimed − owed is the sum. The same claim again gets the same answer.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import Copy, Cursor
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.settlement.closed import PATIENCE, interval, wait_until_closed
from billing.roadside.settlement.compare import compare
from billing.roadside.settlement.models import ChargerClaim as Row
from billing.roadside.settlement.models import ClaimDifference
from billing.roadside.settlement.rules import DIFFERENCES, Period
from config.checks import Checks, one_line
from config.database import raw
from config.problems import Conflict, Invalid

CURRENCY = "NOK"
LONGEST_NUMBER, LONGEST_ID, LONGEST_PROJECT = 64, 64, 60
MOST_ORE = 10**12
"""Of one line; ten billion kroner is a mistake."""
MOST_LINES = 5_000_000
_WRONG_SHOWN = 20
_BLOCK = 5_000


class ClaimLine(NamedTuple):
    """A line of a claim: what one record (``source_id``) or one project comes to, reversals taken off. ``number`` is
    how many records of a project; of a record 1."""

    source_id: str | None
    project: str | None
    amount_ore: int
    number: int = 1


@dataclass(frozen=True)
class ChargerClaim:
    """A claim as a format read it: its number with the charger, days of arrival (both in it), and lines in order, read
    once. ``total_ore`` is what it says they sum up to, where it does; ``content`` its bytes as received."""

    number: str
    period_from: dt.date
    period_to: dt.date
    currency: str
    lines: Iterable[ClaimLine]
    content: bytes
    total_ore: int | None = None


@dataclass(frozen=True)
class Checked:
    """What came of a claim: its row, the differences by kind, and whether it had been checked before."""

    row: Row
    kinds: dict[str, int]
    repeated: bool


@dataclass
class _Read:
    """What the lines came to while they were copied."""

    lines: int = 0
    ore: int = 0
    form: str | None = None
    digest: bytes = b""


def check_claim(
    session: Session,
    charger: Charger,
    claim: ChargerClaim,
    now: dt.datetime,
    *,
    actor: str,
    patience: float = PATIENCE,
) -> Checked:
    """Keep a claim with what differs from what we owe the charger for its days, and return it.

    Raises Invalid for a claim that cannot be read (nothing is kept then); Conflict for another claim under a number
    that is known (``claim-number-used``), or while its days are not closed (see ``closed``).
    """
    period = _head(claim)
    wait_until_closed(session, period.last, now=now, patience=patience)
    connection = raw(session)
    with connection.cursor() as cursor:
        read = _copy(cursor, claim)
    if claim.total_ore is not None and claim.total_ore != read.ore:
        wrong = {"field": "total_ore", "message": f"The lines sum up to {read.ore} øre."}
        raise Invalid(f"The claim says {claim.total_ore} øre.", slug="claim-total", errors=[wrong])
    # Two at once under one number: the second waits here and then finds the first.
    session.execute(select(Charger.id).where(Charger.id == charger.id).with_for_update(key_share=True))
    known = session.scalar(select(Row).where(Row.charger_id == charger.id, Row.number == claim.number))
    if known is not None:
        if known.digest != read.digest:
            detail = f"{charger.code} sent another claim under {claim.number} on {known.received_at:%Y-%m-%d}."
            raise Conflict(detail, slug="claim-number-used")
        return Checked(known, kinds(session, known.id), True)
    row = _keep(session, charger, claim, read, actor, now)
    compare(session, row, *interval(period))
    return Checked(row, kinds(session, row.id), False)


def _head(claim: ChargerClaim) -> Period:
    checks = Checks()
    checks.take("number", one_line(LONGEST_NUMBER), claim.number, "")
    if claim.currency != CURRENCY:
        checks.note("currency", "currency", f"must be {CURRENCY}")
    if claim.period_to < claim.period_from:
        checks.note("period_to", "period", "must not be before period_from")
    checks.done()
    return Period(claim.period_from, claim.period_to)


def _copy(cursor: Cursor[Any], claim: ChargerClaim) -> _Read:
    """Copy the lines to the temporary table ``claimed``, checking and hashing them on the way."""
    cursor.execute("DROP TABLE IF EXISTS claimed")
    cursor.execute(
        "CREATE TEMPORARY TABLE claimed (line integer, source_id text, project text, count bigint, amount_ore bigint) "
        "ON COMMIT DROP"
    )
    read, wrong = _Read(), list[dict[str, object]]()
    digest = hashlib.sha256(f"{claim.number}\n{claim.period_from}\n{claim.period_to}\n".encode())
    with cursor.copy("COPY claimed FROM STDIN") as copy:
        block: list[str] = []
        for number, line in enumerate(claim.lines, 1):
            why = "more lines than a claim may have" if number > MOST_LINES else _wrong(line, read)
            if why is not None:
                wrong.append({"field": f"line {number}", "line": number, "message": why})
                if len(wrong) == _WRONG_SHOWN:
                    break
                continue
            read.lines += 1
            read.ore += line.amount_ore
            block.append(_row(number, line))
            if len(block) == _BLOCK:
                _write(copy, block, digest)
        _write(copy, block, digest)
    if wrong:
        raise Invalid("Some lines of the claim cannot be used; nothing of it is kept.", errors=wrong)
    read.digest = digest.digest()
    cursor.execute("ANALYZE claimed")
    return read


def _row(number: int, line: ClaimLine) -> str:
    """Return a line as COPY takes it; names are printable, so that only a backslash needs escaping."""
    source, project = ("\\N" if name is None else name.replace("\\", "\\\\") for name in (line.source_id, line.project))
    return f"{number}\t{source}\t{project}\t{line.number}\t{line.amount_ore}\n"


def _write(copy: Copy, block: list[str], digest: Any) -> None:
    """Hand over rows that have gathered; as they are written, they are what the claim says."""
    rows = "".join(block).encode()
    digest.update(rows)
    copy.write(rows)
    block.clear()


def _wrong(line: ClaimLine, read: _Read) -> str | None:
    """Say why a line cannot be used, if so. All lines of a claim are of one form."""
    form = "projects" if line.source_id is None else "records"
    name = line.project if line.source_id is None else line.source_id
    if name is None or (line.source_id is not None and line.project is not None):
        return "must name a record or a project, one of them"
    if not name or len(name) > (LONGEST_PROJECT if form == "projects" else LONGEST_ID) or not name.isprintable():
        return "names nothing that could be a record or a project"
    if read.form is not None and read.form != form:
        return f"is by {form[:-1]}; the lines before are by {read.form[:-1]}"
    read.form = form
    if abs(line.amount_ore) > MOST_ORE or not 0 <= line.number <= MOST_ORE:
        return "has an amount or a count that cannot be"
    return None


def _keep(session: Session, charger: Charger, claim: ChargerClaim, read: _Read, actor: str, now: dt.datetime) -> Row:
    row = session.scalars(
        insert(Row).returning(Row),
        [
            {
                "charger_id": charger.id,
                "number": claim.number,
                "period_from": claim.period_from,
                "period_to": claim.period_to,
                "form": read.form or "records",
                "line_count": read.lines,
                "claimed_ore": read.ore,
                "ours_count": 0,
                "ours_ore": 0,
                "difference_count": 0,
                "digest": read.digest,
                "sha256": hashlib.sha256(claim.content).digest(),
                "content": claim.content,
                "received_at": now,
                "received_by": actor,
            }
        ],
    ).one()
    session.execute(
        text(
            "INSERT INTO charger_claim_lines (claim_id, line, source_id, project, count, amount_ore) "
            "SELECT :claim, line, source_id, project, count, amount_ore FROM claimed ORDER BY line"
        ),
        {"claim": row.id},
    )
    return row


def kinds(session: Session, claim_id: int) -> dict[str, int]:
    """Return how many differences of each kind a claim has; kinds it has none of are left out."""
    found = session.execute(
        select(ClaimDifference.kind, func.count())
        .where(ClaimDifference.claim_id == claim_id)
        .group_by(ClaimDifference.kind)
    ).all()
    counts = {row[0]: int(row[1]) for row in found}
    return {kind: counts[kind] for kind in DIFFERENCES if kind in counts}
