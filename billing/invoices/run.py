"""The monthly run: invoice what has arrived and is not billed.

A run is a row, unique by its business date. It stores its **cut-off** when it begins: what has arrived by then, and
never later than the end of its date. Doing it again makes nothing, though passages have arrived in between: they
wait for the next run. What is invoiced late (a host was down) is dated the day it is issued, so that nobody loses days.

Who: see candidates.py. A sum under the smallest invoice is carried to the next run, for so many months; then, and of a
closed agreement, which has no next one to grow into, it is invoiced whatever it is. Between two runs an early one
invoices who drives so much that a month is too long.

A sum below zero is never an invoice: it becomes a credit note (below_zero.py). What comes to exactly nothing is taken
out of the way. Who pays by card has no next invoice, and new passages are set off against such a sum before the card is
charged: theirs waits, and becomes a credit note on request or when the agreement closes. Receivers whose rulebook takes
no credit line have what was corrected credited and issued anew first (reissue.py).

Agreements go by id in chunks, each a transaction, some side by side: the database works on one while we add up
another. The run's row moves when a chunk and all before it are done, so that a run that is killed goes on where it
was; what it looks at twice is found done. An agreement that cannot be invoiced is found by halving its chunk, written
down in ``run_faults``, and costs its neighbours nothing; starting the run again tries it again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from billing.claims.make import make
from billing.invoices import candidates
from billing.invoices.below_zero import credit_below_zero
from billing.invoices.candidates import CHUNK, EARLY, MONTHLY, Chunk, Kind
from billing.invoices.issue import issue_fresh
from billing.invoices.models import Run, RunFault
from billing.invoices.numbers import SeriesFull
from billing.invoices.preview import preview
from billing.invoices.reissue import reissue_by_rulebook
from billing.invoices.rules import due_date
from billing.invoices.seller import seller_of
from billing.invoices.write import Presented
from billing.passages.balances import lock
from config.clock import business_date, business_now, start_of_day
from config.database import SessionFactory
from config.jobs import JobContext, Result, ring
from config.problems import NotFound
from config.rates import whole

log = structlog.get_logger(__name__)

DAY = dt.timedelta(days=1)


@dataclass
class Tally:
    """What came of some agreements: invoices made and their sum, credit notes and theirs (øre, ≤ 0), what failed and
    why (agreement id → error)."""

    created: int = 0
    sum_ore: int = 0
    credited: int = 0
    credited_ore: int = 0
    faults: dict[int, str] = field(default_factory=dict)

    def add(self, other: Tally) -> Tally:
        """Add another's counts to this one and return it."""
        self.created += other.created
        self.sum_ore += other.sum_ore
        self.credited += other.credited
        self.credited_ore += other.credited_ore
        self.faults |= other.faults
        return self


@dataclass(frozen=True)
class Terms:
    """What one chunk is invoiced by: the run, its name on claims, cut-off, dates, smallest sums (øre), seller, now."""

    run_id: int
    name: str
    cutoff: dt.datetime
    issued_on: dt.date
    due_on: dt.date
    minimum_ore: int
    credit_minimum_ore: int
    seller: Mapping[str, Any]
    now: dt.datetime


_COUNTED = """
    UPDATE runs SET created = created + :created, sum_ore = sum_ore + :ore, credited = credited + :credited,
        credited_ore = credited_ore + :credited_ore WHERE id = :run
"""

_MOVED = """
    UPDATE runs SET last_agreement_id = :last, looked_at = looked_at + :count, per_second = :rate,
        seconds_left = round(greatest(total - looked_at - :count, 0) / greatest(:rate, 1))
    WHERE id = :run AND last_agreement_id < :last
"""


def begin(session: Session, for_date: dt.date, *, now: dt.datetime, actor: str, kind: Kind = MONTHLY) -> Run:
    """Return the run of a kind for a date; made, with its cut-off, when there is none yet."""
    cutoff = min(now, start_of_day(for_date + DAY))
    session.execute(
        insert(Run)
        .values(kind=kind, for_date=for_date, cutoff_at=cutoff, started_at=now, actor=actor)
        .on_conflict_do_nothing(index_elements=["kind", "for_date"])
    )
    return session.scalars(select(Run).where(Run.kind == kind, Run.for_date == for_date)).one()


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """The run for the date of ``scheduled_for``: begun, gone on with, or found done."""
    with ctx.sessions() as session:
        run = begin(session, business_date(scheduled_for), now=business_now(session), actor="schedule")
        session.commit()
    return carry_out(ctx, run.id)


def job_early(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Invoice who drives so much that a month is too long, on the date of ``scheduled_for``. No run without any."""
    for_date = business_date(scheduled_for)
    with ctx.sessions.begin() as session:
        now = business_now(session)
        if not candidates.of_kind(session, EARLY, for_date, min(now, start_of_day(for_date + DAY)), after=0, limit=1):
            return {"created": 0}
        run = begin(session, for_date, now=now, actor="schedule", kind=EARLY)
    return carry_out(ctx, run.id)


def job_unfinished(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Go on with runs that were begun by hand or cut short."""
    del scheduled_for
    with ctx.sessions() as session:
        ids = session.scalars(select(Run.id).where(Run.state == "running").order_by(Run.for_date)).all()
    results = [carry_out(ctx, run_id) for run_id in ids]
    return {"runs": len(ids), "created": sum(int(result["created"]) for result in results)}


def carry_out(ctx: JobContext, run_id: int) -> Result:
    """Do what is left of a run; return what this call did and what was done before it.

    Of two that carry out the same run each agreement is invoiced by the one that comes to it first.
    """
    seller = seller_of(ctx.settings)
    before = _start(ctx.sessions, run_id)
    if before.state == "held":
        return {"created": 0, "already_done": 0, "held": 1}
    if before.state == "done":
        tally = _again(ctx.sessions, run_id, seller)
    else:
        tally = _chunks(ctx, before, seller)
        _finish(ctx.sessions, run_id)
    return _result(ctx.sessions, run_id, tally, before.created)


def _chunks(ctx: JobContext, run: Run, seller: Mapping[str, Any]) -> Tally:
    """Invoice chunk after chunk, as many at a time as the settings let a worker do, and move the run's row."""
    tally, looked_at, began, after = Tally(), 0, time.monotonic(), run.last_agreement_id
    lanes = ctx.settings.worker_concurrency
    ahead: deque[tuple[Chunk, Future[Tally]]] = deque()
    with ThreadPoolExecutor(lanes, thread_name_prefix="invoices") as threads:
        while True:
            while len(ahead) <= lanes and (chunk := candidates.next_chunk(ctx.sessions, run, after)):
                after = chunk[-1][0]
                ahead.append((chunk, threads.submit(_chunk, ctx.sessions, run.id, chunk, seller)))
            if not ahead:
                return tally
            chunk, future = ahead.popleft()
            try:
                tally.add(future.result())
            except BaseException:
                for _, waiting in ahead:
                    waiting.cancel()
                raise
            looked_at += len(chunk)
            rate = looked_at / max(time.monotonic() - began, 0.001)
            with ctx.sessions.begin() as session:
                moved = {"run": run.id, "last": chunk[-1][0], "count": len(chunk), "rate": round(rate)}
                session.execute(text(_MOVED), moved)
            ctx.progress(run.looked_at + looked_at, run.total)


def _start(sessions: SessionFactory, run_id: int) -> Run:
    """Count what lies before a run; return the run as it is then."""
    with sessions.begin() as session:
        run = session.get_one(Run, run_id, with_for_update={"key_share": True})
        if run.state != "done":
            run.total = run.looked_at + candidates.count(session, run)
            if run.odd is None and run.kind == MONTHLY and not run.looked_at:
                _look(session, run)
    return run


def _look(session: Session, run: Run) -> None:
    """Look at what a run would do before it does anything; where that is odd it waits for a person."""
    found = preview(session, MONTHLY, run.for_date, run.cutoff_at, largest=False)
    run.odd = list(found.odd)
    if found.odd:
        run.state = "held"
        log.error("run.held", run=run.id, odd=run.odd, invoices=found.invoices, sum_ore=found.sum_ore)


def release(session: Session, run_id: int, *, actor: str, now: dt.datetime) -> Run:
    """Let a run go on that looked odd and waits for a person; another stays as it is. Raises NotFound."""
    run = session.get(Run, run_id, with_for_update={"key_share": True}, populate_existing=True)
    if run is None:
        raise NotFound("There is no such run.")
    if run.state == "held":
        run.state, run.released_by, run.released_at = "running", actor, now
        ring(session, "invoice_runs")
    return run


def _finish(sessions: SessionFactory, run_id: int) -> None:
    """Mark a run done and count what it leaves for the next."""
    with sessions.begin() as session:
        run = session.get_one(Run, run_id, with_for_update={"key_share": True})
        if run.state != "done":
            failed = session.scalars(
                select(RunFault.agreement_id).where(RunFault.run_id == run_id, RunFault.resolved_at.is_(None))
            )
            run.carried = candidates.count_carried(session, run, list(failed))
            run.state, run.finished_at, run.seconds_left = "done", business_now(session), 0


def _terms(session: Session, run: Run, seller: Mapping[str, Any]) -> Terms:
    now = business_now(session)
    issued_on = max(run.for_date, business_date(now))
    return Terms(
        run.id,
        f"{run.kind}:{run.for_date}",
        run.cutoff_at,
        issued_on,
        due_date(issued_on, whole("invoice_term_days", issued_on)),
        whole("invoice_minimum_ore", issued_on),
        whole("credit_note_minimum_ore", issued_on),
        seller,
        now,
    )


def _chunk(sessions: SessionFactory, run_id: int, rows: Chunk, seller: Mapping[str, Any]) -> Tally:
    """Invoice a chunk and count it on the run's row, in one transaction."""
    with sessions.begin() as session:
        terms = _terms(session, session.get_one(Run, run_id), seller)
        tally = _invoice(session, rows, terms)
        _note(session, tally, terms)
        counted = {"created": tally.created, "ore": tally.sum_ore, "run": run_id}
        credited = {"credited": tally.credited, "credited_ore": tally.credited_ore}
        session.execute(text(_COUNTED), counted | credited)
    return tally


def _invoice(session: Session, rows: Chunk, terms: Terms) -> Tally:
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


def _make_and_issue(session: Session, rows: Chunk, terms: Terms) -> Tally:
    every = [row_id for row_id, _ in rows]
    reissue_by_rulebook(session, every, terms.cutoff, seller=terms.seller, now=terms.now)
    since = session.execute(
        text("SELECT min(open_since), bool_or(open_since IS NULL) FROM balances WHERE agreement_id = ANY(:ids)"),
        {"ids": every},
    ).one()
    oldest = None if since[1] else since[0]
    presented = Presented(terms.seller, terms.issued_on, terms.due_on, None, terms.run_id, terms.now)
    parts = [
        ([row_id for row_id, is_last in rows if is_last is last], least, credit_least)
        for last, least, credit_least in ((False, terms.minimum_ore, terms.credit_minimum_ore), (True, 1, 1))
    ]
    made = []
    for ids, minimum_ore, _ in parts:
        made += make(session, ids, "invoice", terms.name, "", terms.cutoff, minimum_ore, terms.now, terms.due_on)
    issue_fresh(session, [claim.claim_id for claim in made], presented, since=oldest)
    tally = Tally(len(made), sum(claim.amount_ore for claim in made))
    note = replace(presented, due_on=None)
    for ids, _, minimum_ore in parts:
        done = credit_below_zero(
            session, ids, run=terms.name, cutoff=terms.cutoff, minimum_ore=minimum_ore, presented=note, since=oldest
        )
        tally.add(Tally(credited=len(done.documents), credited_ore=done.sum_ore))
    return tally


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
        run = session.get_one(Run, run_id, with_for_update={"key_share": True})
        unresolved = RunFault.run_id == run_id, RunFault.resolved_at.is_(None)
        failed = list(session.scalars(select(RunFault.agreement_id).where(*unresolved)))
        if not failed:
            return Tally()
        terms = _terms(session, run, seller)
        tally = Tally()
        for at in range(0, len(failed), CHUNK):
            rows = candidates.of_run(session, run, only=failed[at : at + CHUNK])
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
        run.credited += tally.credited
        run.credited_ore += tally.credited_ore
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
        "credited": tally.credited,
        "already_done": before,
        "carried": run.carried,
        "failed": failed,
        "sum_ore": tally.sum_ore,
    }
    if failed:
        log.error("run.agreements_failed", run=run_id, failed=failed)
    return result
