"""The queue and the schedule: work is rows in the rooms, a queue job is only a doorbell.

Two ways to wake a room. A verb calls ``ring`` inside its own transaction: "this room has work". And every
scheduler process calls ``run_due`` about once a second: it writes a row per business time that has come
(``job_occurrences``, unique, so it does not matter how many schedulers there are) and rings. A worker answers
a bell by doing all of that job's due occurrences, oldest first; without any, it lets the room look once.
A job never runs beside itself: whoever runs it holds its advisory lock. What was missed while everything was
down is caught up.

A job's function is ``def job(ctx: JobContext, scheduled_for: datetime) -> dict[str, int | str]``. It opens its
own sessions from ``ctx.sessions``, commits a chunk at a time, and must be boring the second time.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import Engine, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from config import metrics, occurrences
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.models import JobOccurrence
from config.problems import Invalid
from config.settings import Settings

log = structlog.get_logger(__name__)

Result = dict[str, int | str]
ATTEMPTS = 8
RETRY_SECONDS = (10, 30, 60, 300, 900, 1800, 3600)
STALLED_SECONDS = 30.0  # a worker beats every ten seconds; three missed beats and its jobs are taken back
KEEP_DAYS = 400
MAX_NAME = 100
BEGINNING = "the schedule begins here"


class DateAhead(Invalid):
    """A job was asked for on a date that the business clock has not come to."""

    slug = "date-ahead"


@dataclass(frozen=True)
class Job:
    """A row of the schedule. ``run`` is ``package.module:function``, found when it is first needed.

    ``when``: five cron fields in Oslo business time, or None for a job that is only rung. ``every``: each
    missed time counts by itself (a day's work); otherwise only the newest of the missed ones is done.
    """

    name: str
    when: str | None
    run: str
    about: str
    every: bool = False

    def function(self) -> Callable[[JobContext, dt.datetime], Result]:
        """Return the function. Raises ImportError or AttributeError when there is none."""
        module, _, name = self.run.partition(":")
        found: Callable[[JobContext, dt.datetime], Result] = getattr(importlib.import_module(module), name)
        return found


@dataclass(frozen=True)
class JobContext:
    """What a job gets: sessions of its own making, the settings, and the bell's arguments."""

    sessions: SessionFactory
    settings: Settings
    name: str = ""
    args: Mapping[str, Any] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def progress(self, done: int, total: int) -> None:
        """Say how far a long job is: how many a second, and how many seconds are left."""
        rate = done / max(time.monotonic() - self.began, 0.001)
        left = round((total - done) / rate) if rate else None
        log.info("job.progress", job=self.name, done=done, total=total, per_second=round(rate), seconds_left=left)


def ring(session: Session, job_name: str, **args: Any) -> None:
    """Say in this transaction that a room has work; the bell rings when it commits.

    The same bell hanging already is enough. It is looked for, not enforced by the queue's unique lock: two
    transactions that ring the same bells would wait for each other's commit, or deadlock. A bell that rings
    just before our commit finds nothing; the job's own schedule finds it then.
    """
    _ring(session, job_name, {"occurrences": False, "args": args})


def _ring(session: Session, job_name: str, payload: Mapping[str, Any]) -> None:
    session.execute(
        text(
            "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW('brikke', CAST(:name AS text), 0, CAST(:name AS text), NULL,"
            " CAST(:args AS jsonb), NULL)::procrastinate_job_to_defer_v1])"
            " WHERE NOT EXISTS (SELECT FROM procrastinate_jobs WHERE task_name = :name AND status = 'todo'"
            " AND args = CAST(:args AS jsonb))"
        ),
        {"name": job_name, "args": json.dumps(payload)},
    )


def run_due(session: Session, jobs: Sequence[Job], now: dt.datetime) -> int:
    """Write the occurrences that have come by business instant ``now``, ring for them; return how many.

    The caller commits. A job that has no occurrence yet begins now: its last one before is written as done.
    """
    written = 0
    last = {
        str(row.job): row.at
        for row in session.execute(
            text("SELECT job, max(scheduled_for) AS at FROM job_occurrences WHERE scheduled_for <= :now GROUP BY job"),
            {"now": now},
        )
    }
    for job in jobs:
        if job.when is None:
            continue
        if job.name not in last:
            if (before := occurrences.latest(job.when, now)) is not None:
                _insert(session, job.name, [before], state="done", result={"note": BEGINNING})
            continue
        if job.every:
            missed = occurrences.between(job.when, last[job.name], now)
            if len(missed) == occurrences.MISSED_AT_MOST:
                log.warning("job.too_many_missed", job=job.name, caught_up_from=missed[0].isoformat())
        else:  # only the newest counts, so the others are not even looked for
            newest = occurrences.latest(job.when, now)
            missed = [newest] if newest is not None and newest > last[job.name] else []
        fresh = _insert(session, job.name, missed, state="due", result=None)
        if fresh:
            _ring(session, job.name, {"occurrences": True, "args": {}})
        written += fresh
    return written


def clock_moved(session: Session, now: dt.datetime) -> None:
    """Take away marks of a beginning that lie ahead of ``now``, when the business clock has been moved back: what
    they stand for has not happened, and will when its time comes. The caller commits."""
    session.execute(
        text("DELETE FROM job_occurrences WHERE scheduled_for > :now AND state = 'done' AND result->>'note' = :note"),
        {"now": now, "note": BEGINNING},
    )


def _insert(session: Session, name: str, times: Sequence[dt.datetime], *, state: str, result: Result | None) -> int:
    """Insert occurrences; return how many were new. Whoever inserts a row first has won it."""
    if not times:
        return 0
    rows = [{"job": name, "scheduled_for": at, "state": state, "result": result} for at in times]
    statement = insert(JobOccurrence).on_conflict_do_nothing().returning(JobOccurrence.scheduled_for)
    return len(session.execute(statement, rows).all())


def take_back(session: Session) -> int:
    """Ring again for what was left behind: bells held by dead workers, and occurrences whose retry has come.

    Returns how many bells. The caller commits.
    """
    session.execute(text("SELECT procrastinate_prune_stalled_workers_v1(:seconds)"), {"seconds": STALLED_SECONDS})
    left = session.execute(
        text(
            "DELETE FROM procrastinate_jobs WHERE id IN (SELECT id FROM procrastinate_jobs"
            " WHERE status = 'doing' AND worker_id IS NULL FOR UPDATE SKIP LOCKED) RETURNING task_name, args"
        )
    ).all()
    for row in left:
        log.warning("job.taken_back", job=row.task_name)
        _ring(session, row.task_name, row.args)
    waiting = session.scalars(
        text("SELECT DISTINCT job FROM job_occurrences WHERE state = 'failed' AND next_at <= :now"), {"now": now_utc()}
    ).all()
    for name in waiting:
        _ring(session, name, {"occurrences": True, "args": {}})
    return len(left) + len(waiting)


@contextmanager
def alone(engine: Engine, name: str) -> Iterator[None]:
    """Hold the job's advisory lock, waiting for it. The server frees it when our connection ends."""
    key = {"key": f"brikke job {name}"}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(hashtextextended(:key, 0))"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), key)


def answer(engine: Engine, context: JobContext, job: Job, *, only_occurrences: bool) -> int:
    """Answer a bell: do the due occurrences, oldest first; without any let the room look once.

    Errors are kept in the occurrence's row and tried again later; they are never raised. Returns how many
    times the job ran.
    """
    ran = 0
    with alone(engine, job.name):
        with context.sessions.begin() as session:
            due = _take_next(session, job.name)
        while due is not None:
            due = _attempt(context, job, due)
            ran += 1
        if ran == 0 and not only_occurrences:
            try:
                with context.sessions() as session:
                    now = business_now(session)
                _call(context, job, now)
                ran = 1
            except Exception:  # the room's rows say what is left to do; its schedule looks again
                log.exception("job.failed", job=job.name)
    return ran


def _take_next(session: Session, name: str) -> dt.datetime | None:
    """Mark the oldest occurrence that is due as running, and return it. The job's lock is held: one that
    says it is running belongs to somebody who died."""
    found: dt.datetime | None = session.scalar(
        text(
            "UPDATE job_occurrences SET state = 'running', attempts = attempts + 1, started_at = :now"
            " WHERE job = :job AND scheduled_for = (SELECT scheduled_for FROM job_occurrences WHERE job = :job"
            " AND (state IN ('due', 'running') OR (state = 'failed' AND next_at <= :now))"
            " ORDER BY scheduled_for LIMIT 1) RETURNING scheduled_for"
        ),
        {"job": name, "now": now_utc()},
    )
    return found


def _attempt(context: JobContext, job: Job, scheduled_for: dt.datetime) -> dt.datetime | None:
    """Run one occurrence, write down what became of it, and take the next in the same transaction."""
    values: dict[str, Any]
    try:
        result = _call(context, job, scheduled_for)
        values = {"state": "done", "result": json.dumps(result), "error": None}
    except Exception as error:  # kept in the row, where `brikke jobs` shows it
        log.exception("job.failed", job=job.name, scheduled_for=scheduled_for.isoformat())
        values = {"state": "failed", "result": None, "error": f"{type(error).__name__}: {error}"[:2000]}
    with context.sessions.begin() as session:
        attempts: int = session.scalar(
            text(
                "UPDATE job_occurrences SET state = :state, result = CAST(:result AS jsonb), error = :error,"
                " finished_at = :now, next_at = NULL WHERE job = :job AND scheduled_for = :at RETURNING attempts"
            ),
            values | {"job": job.name, "at": scheduled_for, "now": now_utc()},
        )
        if values["state"] == "failed":
            wait = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
            session.execute(
                text(
                    "UPDATE job_occurrences SET state = :state, next_at = :next"
                    " WHERE job = :job AND scheduled_for = :at"
                ),
                {
                    "state": "failed" if attempts < ATTEMPTS else "given_up",
                    "next": now_utc() + dt.timedelta(seconds=wait),
                    "job": job.name,
                    "at": scheduled_for,
                },
            )
        return _take_next(session, job.name)


def _call(context: JobContext, job: Job, scheduled_for: dt.datetime) -> Result:
    """Call the job's function, measured and logged."""
    own = JobContext(context.sessions, context.settings, job.name, context.args)
    outcome = "failed"
    try:
        result = job.function()(own, scheduled_for)
        outcome = "done"
    finally:
        seconds = time.monotonic() - own.began
        metrics.JOB_RUNS.labels(job.name, outcome).inc()
        metrics.JOB_SECONDS.labels(job.name).observe(seconds)
    log.info("job.done", job=job.name, scheduled_for=scheduled_for.isoformat(), seconds=round(seconds, 3), **result)
    return result


def troubled(session: Session, limit: int) -> Sequence[JobOccurrence]:
    """Return the occurrences that failed and are tried again, or were given up, the newest first."""
    query = select(JobOccurrence).where(JobOccurrence.state.in_(("failed", "given_up")))
    return session.scalars(query.order_by(JobOccurrence.scheduled_for.desc(), JobOccurrence.job).limit(limit)).all()


def run_job(engine: Engine, context: JobContext, job: Job, day: dt.date | None = None) -> Result:
    """Run a job now, in the foreground, for an Oslo date (or the business clock's now); return its result.

    The occurrence's row says so afterwards. Unlike a worker it raises what the job raises; and DateAhead, nothing
    having been done, for a date later than the business date: what would be made is dated ahead, and the
    schedule would then find that day's work done before its time.
    """
    with context.sessions.begin() as session:
        now = business_now(session)
    if day is not None and day > business_date(now):
        wrong = {"field": "date", "message": f"is later than {business_date(now)}"}
        raise DateAhead(f"{job.name} for {day}: that day has not come; it is {business_date(now)}.", errors=[wrong])
    at = now if day is None else occurrences.on_day(job.when or "0 0 * * *", day)
    with alone(engine, job.name):
        began = now_utc()
        result = _call(context, job, at)
        with context.sessions.begin() as session:
            row = {"state": "done", "result": result, "started_at": began, "finished_at": now_utc(), "next_at": None}
            statement = insert(JobOccurrence).values(job=job.name, scheduled_for=at, attempts=1, **row)
            again = row | {"attempts": JobOccurrence.attempts + 1, "error": None}
            key = [JobOccurrence.job, JobOccurrence.scheduled_for]
            session.execute(statement.on_conflict_do_update(index_elements=key, set_=again))
    return result


def housekeeping(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Delete what the queue no longer needs: finished bells, occurrences older than a year and a bit."""
    with ctx.sessions.begin() as session:
        bells = session.execute(
            text(
                "DELETE FROM procrastinate_jobs WHERE status IN ('succeeded', 'failed', 'cancelled', 'aborted')"
                " RETURNING 1"
            )
        ).all()
        before = {"before": scheduled_for - dt.timedelta(days=KEEP_DAYS)}
        rows = session.execute(
            text("DELETE FROM job_occurrences WHERE scheduled_for < :before AND state = 'done' RETURNING 1"), before
        ).all()
        stalled = take_back(session)
    return {"finished_deleted": len(bells), "occurrences_deleted": len(rows), "taken_back": stalled}
