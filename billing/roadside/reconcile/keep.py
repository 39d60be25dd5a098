"""Reconcile every day by itself, keep how it came out, and alarm where it does not hold."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.reconcile.check import DAY, Reconciled, reconcile
from billing.roadside.reconcile.models import Reconciliation
from config.clock import business_date, business_now
from config.jobs import JobContext

log = structlog.get_logger(__name__)


def keep(session: Session, found: Reconciled, now: dt.datetime) -> int:
    """Keep how days came out, over what was kept of them before; return how many do not hold."""
    ids = {row.code: row.id for row in session.execute(select(Charger.code, Charger.id))}
    rows = [
        {
            "charger_id": ids[day.charger],
            "day": day.day,
            "checked_at": now,
            "batches": day.batches,
            "unfinished": day.unfinished,
            "received": day.received,
            "owed_ore": day.owed_ore,
            "sorts": {name: {"count": sort.count, "ore": sort.ore} for name, sort in day.sorts.items()},
            "gaps": [asdict(gap) for gap in found.gaps if gap.charger == day.charger],
            "first_difference": day.first_difference,
        }
        for day in found.days
    ]
    if rows:
        statement = insert(Reconciliation)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in ("charger_id", "day")}
        session.execute(statement.on_conflict_do_update(index_elements=["charger_id", "day"], set_=changed), rows)
    return sum(row["first_difference"] is not None for row in rows)


def days_to_check(session: Session, today: dt.date) -> list[dt.date]:
    """Return yesterday, and earlier days that did not hold or had unfinished batches when they were looked at."""
    again = session.scalars(
        select(Reconciliation.day)
        .where(
            Reconciliation.day < today,
            Reconciliation.first_difference.is_not(None) | (Reconciliation.unfinished > 0),
        )
        .distinct()
    )
    return sorted({today - DAY, *again})


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Reconcile the day before ``scheduled_for``, and again those that did not hold; a day a snapshot."""
    with ctx.sessions() as session:
        days = days_to_check(session, business_date(scheduled_for))
    wrong = 0
    for day in days:
        with ctx.sessions() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            now = business_now(session)
            found = reconcile(session, day, day, now=now)
        with ctx.sessions.begin() as session:
            wrong += keep(session, found, now)
        for one in found.days:
            if one.first_difference is not None:
                log.error("reconcile.wrong", charger=one.charger, day=str(one.day), difference=one.differences[0])
    return {"days": len(days), "wrong": wrong}


def kept(session: Session, *, limit: int) -> list[tuple[str, Reconciliation]]:
    """Return the charger's code with each day kept: those that do not hold first, then the last ones."""
    rows = session.execute(
        select(Charger.code, Reconciliation)
        .join(Charger, Charger.id == Reconciliation.charger_id)
        .order_by(Reconciliation.first_difference.is_(None), Reconciliation.day.desc(), Charger.code)
        .limit(limit)
    )
    return [(code, row) for code, row in rows]


def figures(session: Session) -> list[str]:
    """Return for Prometheus how many charger's days do not hold, and have batches that are not finished."""
    row = session.execute(
        text(
            "SELECT count(*) FILTER (WHERE first_difference IS NOT NULL) AS wrong, "
            "count(*) FILTER (WHERE unfinished > 0) AS unfinished, "
            "coalesce(extract(epoch FROM max(checked_at)), 0)::bigint AS last FROM reconciliations"
        )
    ).one()
    return [
        "# HELP brikke_reconciliation_days Days of chargers that do not hold, or have unfinished batches.",
        "# TYPE brikke_reconciliation_days gauge",
        f'brikke_reconciliation_days{{state="wrong"}} {row.wrong}',
        f'brikke_reconciliation_days{{state="unfinished"}} {row.unfinished}',
        "# HELP brikke_reconciliation_last_seconds Business time of the last look, in seconds since 1970.",
        "# TYPE brikke_reconciliation_last_seconds gauge",
        f"brikke_reconciliation_last_seconds {row.last}",
    ]


def unfinished(session: Session, *, limit: int) -> list[tuple[int, str, str, dt.datetime, int]]:
    """Return the batches that are being received: number, charger, name, when they came, how many are answered."""
    rows = session.execute(
        text(
            "SELECT b.id, c.code, b.name, b.received_at, b.done FROM batches AS b "
            "JOIN chargers AS c ON c.id = b.charger_id WHERE b.state = 'receiving' ORDER BY b.id LIMIT :limit"
        ),
        {"limit": limit},
    )
    return [(row.id, row.code, row.name, row.received_at, row.done) for row in rows]
