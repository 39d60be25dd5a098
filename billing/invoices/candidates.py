"""Whom a run invoices: agreements that pay by invoice, of either kind; and closed ones, however they paid, unless a
charge is open on their card.

The month's run takes all of them. An *early* one takes those whose sum is so large that a month is too long to wait,
and who were not invoiced in the last days. A sum is *last* where it is not carried any further: of an agreement that
is closed, or carried so many months already.
"""

from __future__ import annotations

import datetime as dt
from calendar import monthrange
from collections.abc import Sequence
from typing import Any, Literal, cast

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices.models import Run
from config.clock import start_of_day
from config.database import SessionFactory
from config.rates import whole

Kind = Literal["invoices", "early"]
MONTHLY: Kind = "invoices"
EARLY: Kind = "early"
CHUNK = 1_000
Chunk = list[tuple[int, bool]]
"""Agreements: (id, whether its sum is carried no further)."""

CANDIDATES = """
    FROM agreements AS a JOIN balances AS b ON b.agreement_id = a.id
    WHERE b.unbilled_count <> 0 AND (b.open_since IS NULL OR b.open_since <= :cutoff)
      AND (a.payment_method = 'invoice'
           OR (b.open_charge_id IS NULL AND (a.standing = 'closed' OR a.closed_at <= :cutoff)))
      AND (CAST(:least AS bigint) IS NULL OR (b.unbilled_ore >= :least AND NOT EXISTS (
          SELECT FROM claims AS l WHERE l.agreement_id = a.id AND l.kind = 'invoice' AND l.made_at > :lately)))
"""

LAST = """(a.standing = 'closed' OR coalesce(a.closed_at <= :cutoff, false)
           OR coalesce(b.open_since < :carried, false))"""

_NEXT = f"""
    SELECT a.id, {LAST} AS last
    {CANDIDATES} AND a.id > :after AND (CAST(:only AS bigint[]) IS NULL OR a.id = ANY(:only))
    ORDER BY a.id LIMIT :limit
"""

_COUNT = f"SELECT count(*) {CANDIDATES} AND a.id > :after"

_CARRIED = f"SELECT count(*) {CANDIDATES} AND b.unbilled_ore > 0 AND a.id <> ALL(:failed)"


def next_chunk(sessions: SessionFactory, run: Run, after: int) -> Chunk:
    """Return the next agreements of a run that have something to invoice, by id."""
    with sessions() as session:
        return of_run(session, run, after=after)


def of_run(session: Session, run: Run, *, after: int = 0, only: Sequence[int] | None = None) -> Chunk:
    """Return agreements of a run that have something to invoice, by id: those after one, or of a few."""
    kind = cast(Kind, run.kind)
    return of_kind(session, kind, run.for_date, run.cutoff_at, after=after, only=only, limit=CHUNK)


def of_kind(
    session: Session,
    kind: Kind,
    for_date: dt.date,
    cutoff: dt.datetime,
    *,
    after: int,
    limit: int,
    only: Sequence[int] | None = None,
) -> Chunk:
    """Do the same for a run that may not be there yet."""
    values = {"after": after, "only": None if only is None else list(only), "limit": limit}
    rows = session.execute(text(_NEXT), {**values, **figures(kind, for_date, cutoff)})
    return [(row.id, row.last) for row in rows.all()]


def count(session: Session, run: Run) -> int:
    """Count the agreements that lie before a run."""
    values: dict[str, Any] = {"after": run.last_agreement_id} | figures(
        cast(Kind, run.kind), run.for_date, run.cutoff_at
    )
    return int(session.execute(text(_COUNT), values).scalar_one())


def count_carried(session: Session, run: Run, failed: Sequence[int]) -> int:
    """Count the agreements whose sums a run leaves for the next one, those aside that it could not invoice."""
    known = figures(cast(Kind, run.kind), run.for_date, run.cutoff_at)
    values = {"failed": list(failed), **known}
    return int(session.execute(text(_CARRIED), values).scalar_one())


def figures(kind: Kind, for_date: dt.date, cutoff: dt.datetime) -> dict[str, Any]:
    """Return what ``CANDIDATES`` and ``LAST`` (SQL) ask for of a run's kind, date and cut-off."""
    early = kind == EARLY
    months = whole("invoice_carry_months", for_date)
    return {
        "cutoff": cutoff,
        "carried": start_of_day(months_before(for_date, months)),
        "least": whole("invoice_early_ore", for_date) if early else None,
        "lately": start_of_day(for_date - dt.timedelta(days=whole("invoice_early_days", for_date))),
    }


def months_before(day: dt.date, months: int) -> dt.date:
    """Return the same day so many months earlier, the month's last where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return dt.date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
