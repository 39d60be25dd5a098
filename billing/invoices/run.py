"""The monthly run: invoice what has arrived and is not billed.

A run is a row, unique by its business date. It stores its **cut-off** when it begins: what has arrived by then, and
never later than the end of its date. Doing it again makes nothing, though passages have arrived in between: they
wait for the next run. What is invoiced late (a host was down) is dated the day it is issued, so that nobody loses days.

Who: agreements that pay by invoice, of either kind; and closed ones, however they paid, unless a charge is open on
their card. A sum under the smallest invoice is carried to the next run. A closed agreement has no next one to grow
into: its last invoice has no smallest sum.

Agreements go by id in chunks, each a transaction that ends by moving the run's row, so that a run that is killed goes
on where it was. One that cannot be invoiced is found by halving its chunk, written down in ``run_faults``, and costs
its neighbours nothing; starting the run again tries it again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from billing.claims.make import make
from billing.invoices.issue import issue_fresh
from billing.invoices.models import Run, RunFault
from billing.invoices.numbers import SeriesFull
from billing.invoices.rules import due_date
from billing.invoices.seller import seller_of
from billing.invoices.write import Presented
from billing.passages.balances import lock
from config.clock import business_date, business_now, start_of_day
from config.database import SessionFactory
from config.jobs import JobContext, Result
from config.rates import whole

log = structlog.get_logger(__name__)

CHUNK = 1_000
DAY = dt.timedelta(days=1)


@dataclass
class Tally:
    """What came of some agreements: invoices made and their sum, what failed and why (agreement id → error)."""

    created: int = 0
    sum_ore: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    invoiced: list[int] = field(default_factory=list)

    def add(self, other: Tally) -> Tally:
        """Add another's counts to this one and return it."""
        self.created += other.created
        self.sum_ore += other.sum_ore
        self.faults |= other.faults
        self.invoiced += other.invoiced
        return self


@dataclass(frozen=True)
class Terms:
    """What one chunk is invoiced by: the run, its cut-off, dates, smallest sum (øre), seller, now."""

    run_id: int
    for_date: dt.date
    cutoff: dt.datetime
    issued_on: dt.date
    due_on: dt.date
    minimum_ore: int
    seller: Mapping[str, Any]
    now: dt.datetime


_CANDIDATES = """
    FROM agreements AS a JOIN balances AS b ON b.agreement_id = a.id
    WHERE b.unbilled_count <> 0 AND (b.open_since IS NULL OR b.open_since <= :cutoff)
      AND (a.payment_method = 'invoice'
           OR (b.open_charge_id IS NULL AND (a.standing = 'closed' OR a.closed_at <= :cutoff)))
"""

_NEXT = f"""
    SELECT a.id, a.standing = 'closed' OR coalesce(a.closed_at <= :cutoff, false) AS closed
    {_CANDIDATES} AND a.id > :after AND (CAST(:only AS bigint[]) IS NULL OR a.id = ANY(:only))
    ORDER BY a.id LIMIT :limit
"""

_COUNT = f"SELECT count(*) {_CANDIDATES} AND a.id > :after"

_CARRIED = """
    SELECT count(*) FROM balances
    WHERE agreement_id = ANY(:ids) AND unbilled_ore > 0 AND (open_since IS NULL OR open_since <= :cutoff)
"""


def begin(session: Session, for_date: dt.date, *, now: dt.datetime, actor: str) -> Run:
    """Return the run for a date; made, with its cut-off, when there is none yet."""
    cutoff = min(now, start_of_day(for_date + DAY))
    session.execute(
        insert(Run)
        .values(kind="invoices", for_date=for_date, cutoff_at=cutoff, started_at=now, actor=actor)
        .on_conflict_do_nothing(index_elements=["kind", "for_date"])
    )
    return session.scalars(select(Run).where(Run.kind == "invoices", Run.for_date == for_date)).one()


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """The run for the date of ``scheduled_for``: begun, gone on with, or found done."""
    with ctx.sessions() as session:
        run = begin(session, business_date(scheduled_for), now=business_now(session), actor="schedule")
        session.commit()
    return carry_out(ctx, run.id)


def job_unfinished(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Go on with runs that were begun by hand or cut short."""
    del scheduled_for
    with ctx.sessions() as session:
        ids = session.scalars(select(Run.id).where(Run.state == "running").order_by(Run.for_date)).all()
    results = [carry_out(ctx, run_id) for run_id in ids]
    return {"runs": len(ids), "created": sum(int(result["created"]) for result in results)}


def carry_out(ctx: JobContext, run_id: int) -> Result:
    """Do what is left of a run, a chunk a transaction; return what this call did and what was done before it.

    Two that carry out the same run share it: each chunk begins by locking the run's row.
    """
    seller = seller_of(ctx.settings)
    before, total = _start(ctx.sessions, run_id)
    if before.state == "done":
        tally = _again(ctx.sessions, run_id, seller)
        return _result(ctx.sessions, run_id, tally, before.created)
    tally, looked_at, began = Tally(), 0, time.monotonic()
    while True:
        with ctx.sessions() as session:
            seen, done = _chunk(session, run_id, seller, looked_at, began)
            session.commit()
        if done is None:
            return _result(ctx.sessions, run_id, tally, before.created)
        looked_at += seen
        tally.add(done)
        ctx.progress(before.looked_at + looked_at, total)


def _start(sessions: SessionFactory, run_id: int) -> tuple[Run, int]:
    """Count what lies before a run; return the run as it was and the agreements it has in all."""
    with sessions() as session:
        run = session.get_one(Run, run_id, with_for_update=True)
        if run.state != "done":
            left = session.execute(text(_COUNT), {"cutoff": run.cutoff_at, "after": run.last_agreement_id}).scalar_one()
            run.total = run.looked_at + left
        session.commit()
        return run, run.total


def _terms(session: Session, run: Run, seller: Mapping[str, Any]) -> Terms:
    now = business_now(session)
    issued_on = max(run.for_date, business_date(now))
    return Terms(
        run.id,
        run.for_date,
        run.cutoff_at,
        issued_on,
        due_date(issued_on, whole("invoice_term_days", issued_on)),
        whole("invoice_minimum_ore", issued_on),
        seller,
        now,
    )


def _chunk(
    session: Session, run_id: int, seller: Mapping[str, Any], looked_at: int, began: float
) -> tuple[int, Tally | None]:
    """Invoice the next chunk and move the run's row past it; None when there was none and the run is done.

    ``looked_at`` agreements were looked at since ``began`` (monotonic): that is the rate.
    """
    run = session.get_one(Run, run_id, with_for_update=True, populate_existing=True)
    terms = _terms(session, run, seller)
    rows = _candidates(session, terms, after=run.last_agreement_id)
    if run.state == "done" or not rows:
        if run.state != "done":
            run.state, run.finished_at, run.seconds_left = "done", terms.now, 0
        return 0, None
    tally = _invoice(session, rows, terms)
    rest = sorted({row_id for row_id, _ in rows} - set(tally.invoiced) - tally.faults.keys())
    run.carried += session.execute(text(_CARRIED), {"ids": rest, "cutoff": terms.cutoff}).scalar_one()
    run.created += tally.created
    run.sum_ore += tally.sum_ore
    run.looked_at += len(rows)
    run.last_agreement_id = rows[-1][0]
    rate = (looked_at + len(rows)) / max(time.monotonic() - began, 0.001)
    run.per_second = round(rate)
    run.seconds_left = round(max(run.total - run.looked_at, 0) / rate)
    _note(session, tally, terms)
    session.flush()
    return len(rows), tally


def _candidates(
    session: Session, terms: Terms, *, after: int = 0, only: Sequence[int] | None = None
) -> list[tuple[int, bool]]:
    """Return (agreement id, closed) of the next agreements that have something to invoice, by id."""
    rows = session.execute(
        text(_NEXT),
        {"cutoff": terms.cutoff, "after": after, "only": None if only is None else list(only), "limit": CHUNK},
    )
    return [(row.id, row.closed) for row in rows]


def _invoice(session: Session, rows: Sequence[tuple[int, bool]], terms: Terms) -> Tally:
    """Invoice agreements; where that fails, halve them until the ones that fail stand alone."""
    lock(session, [row_id for row_id, _ in rows])  # all in one order, and before their balances are read
    try:
        with session.begin_nested():
            return _make_and_issue(session, rows, terms)
    except (OperationalError, InterfaceError, SeriesFull):
        raise  # the database's trouble or everybody's, not an agreement's: the run stops and goes on later
    except Exception as error:
        if len(rows) == 1:
            log.exception("run.agreement_failed", run=terms.run_id, agreement=rows[0][0])
            return Tally(faults={rows[0][0]: _said(error)})
    middle = len(rows) // 2
    return _invoice(session, rows[:middle], terms).add(_invoice(session, rows[middle:], terms))


def _make_and_issue(session: Session, rows: Sequence[tuple[int, bool]], terms: Terms) -> Tally:
    since = session.execute(
        text("SELECT min(open_since), bool_or(open_since IS NULL) FROM balances WHERE agreement_id = ANY(:ids)"),
        {"ids": [row_id for row_id, _ in rows]},
    ).one()
    made = []
    for closed, minimum_ore in ((False, terms.minimum_ore), (True, 1)):
        ids = [row_id for row_id, is_closed in rows if is_closed is closed]
        run = f"invoices:{terms.for_date}"
        made += make(session, ids, "invoice", run, "", terms.cutoff, minimum_ore, terms.now, terms.due_on)
    presented = Presented(terms.seller, terms.issued_on, terms.due_on, None, terms.run_id, terms.now)
    issue_fresh(session, [claim.claim_id for claim in made], presented, since=None if since[1] else since[0])
    invoiced = [claim.agreement_id for claim in made]
    return Tally(len(made), sum(claim.amount_ore for claim in made), {}, invoiced)


def _said(error: Exception) -> str:
    """Return an error as one can keep it: without the statement and the values that SQLAlchemy adds."""
    shown = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(shown).__name__}: {shown}"[:500]


def _note(session: Session, tally: Tally, terms: Terms) -> None:
    """Write down what failed, and that what failed before no longer does."""
    if tally.faults:
        statement = insert(RunFault)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["run_id", "agreement_id"],
                set_={
                    "error": statement.excluded.error,
                    "attempts": RunFault.attempts + 1,
                    "last_at": statement.excluded.last_at,
                    "resolved_at": None,
                },
            ),
            [
                {
                    "run_id": terms.run_id,
                    "agreement_id": one,
                    "error": error,
                    "first_at": terms.now,
                    "last_at": terms.now,
                }
                for one, error in tally.faults.items()
            ],
        )


def _again(sessions: SessionFactory, run_id: int, seller: Mapping[str, Any]) -> Tally:
    """Try what failed in a run that is done, by its own cut-off."""
    with sessions() as session:
        run = session.get_one(Run, run_id, with_for_update=True)
        unresolved = RunFault.run_id == run_id, RunFault.resolved_at.is_(None)
        failed = list(session.scalars(select(RunFault.agreement_id).where(*unresolved)))
        if not failed:
            return Tally()
        terms = _terms(session, run, seller)
        tally = Tally()
        for at in range(0, len(failed), CHUNK):
            rows = _candidates(session, terms, only=failed[at : at + CHUNK])
            tally.add(_invoice(session, rows, terms) if rows else Tally())
        _note(session, tally, terms)
        session.execute(
            text(
                "UPDATE run_faults SET resolved_at = :now WHERE run_id = :run AND resolved_at IS NULL "
                "AND agreement_id <> ALL(:failed)"
            ),
            {"now": terms.now, "run": run_id, "failed": list(tally.faults)},
        )
        run.created += tally.created
        run.sum_ore += tally.sum_ore
        session.commit()
        return tally


def _result(sessions: SessionFactory, run_id: int, tally: Tally, before: int) -> Result:
    with sessions() as session:
        run = session.get_one(Run, run_id)
        failed = session.execute(
            text("SELECT count(*) FROM run_faults WHERE run_id = :run AND resolved_at IS NULL"), {"run": run_id}
        ).scalar_one()
    result: Result = {
        "created": tally.created,
        "already_done": before,
        "carried": run.carried,
        "failed": failed,
        "sum_ore": tally.sum_ore,
    }
    if failed:
        log.error("run.agreements_failed", run=run_id, failed=failed)
    return result
