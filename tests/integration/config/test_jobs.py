"""The queue and the schedule on a real database: each time once, missed ones caught up, failures tried again."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import commands.base
import commands.jobs
from config import settings as settings_module
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import (
    DateAhead,
    Job,
    JobContext,
    Result,
    answer,
    clock_moved,
    housekeeping,
    ring,
    run_due,
    run_job,
    take_back,
)
from config.worker import make_app

UTC = dt.UTC
NOON = dt.datetime(2026, 3, 10, 11, 0, tzinfo=UTC)
DAILY = Job("daily", "0 8 * * *", "jobs_under_test:work", "", every=True)
OFTEN = Job("often", "*/5 * * * *", "jobs_under_test:work", "")


class Room:
    """Counts what it is asked, and fails as often as it is told."""

    def __init__(self) -> None:
        self.seen: list[dt.datetime] = []
        self.failures = 0

    def work(self, ctx: JobContext, scheduled_for: dt.datetime) -> Result:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the partner does not answer")
        self.seen.append(scheduled_for)
        return {"created": len(self.seen), "args": len(ctx.args)}


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    found, module = Room(), ModuleType("jobs_under_test")
    module.work = found.work  # type: ignore[attr-defined]  # a module made here
    monkeypatch.setitem(sys.modules, "jobs_under_test", module)
    return found


@pytest.fixture
def context(sessions: SessionFactory, tmp_path: Path) -> JobContext:
    return JobContext(sessions, settings_module.load({}, tmp_path / ".env"))


def bells(session: Session) -> list[str]:
    return list(session.scalars(text("SELECT task_name FROM procrastinate_jobs WHERE status = 'todo' ORDER BY id")))


def states(session: Session, job: str) -> list[tuple[str, int]]:
    rows = session.execute(
        text("SELECT state, attempts FROM job_occurrences WHERE job = :j ORDER BY scheduled_for"), {"j": job}
    )
    return [(row.state, row.attempts) for row in rows]


def test_a_schedule_begins_now_and_catches_up_what_was_missed(session: Session) -> None:
    assert run_due(session, [DAILY, OFTEN], NOON) == 0
    assert run_due(session, [DAILY, OFTEN], NOON) == 0
    assert run_due(session, [DAILY, OFTEN], NOON + dt.timedelta(days=3)) == 4  # three days' work, one look
    assert bells(session) == ["daily", "often"]
    assert run_due(session, [DAILY, OFTEN], NOON + dt.timedelta(days=3)) == 0


def test_a_beginning_that_lies_ahead_of_a_clock_moved_back_is_none(session: Session) -> None:
    run_due(session, [DAILY], NOON)
    earlier = NOON - dt.timedelta(days=2)
    clock_moved(session, earlier)
    run_due(session, [DAILY], earlier)
    assert run_due(session, [DAILY], NOON) == 2  # what had been marked as done is done when its time comes
    clock_moved(session, earlier)
    assert run_due(session, [DAILY], NOON) == 0  # what is really there stays


def test_two_schedulers_write_an_occurrence_once(sessions: SessionFactory) -> None:
    with sessions.begin() as one:
        run_due(one, [DAILY], NOON)
    later = NOON + dt.timedelta(days=1)
    with sessions() as one, sessions() as two:
        two.execute(text("SELECT max(scheduled_for) FROM job_occurrences"))
        assert run_due(one, [DAILY], later) == 1
        one.commit()
        assert run_due(two, [DAILY], later) == 0
        two.commit()


def test_a_clock_that_went_far_ahead_and_came_back_does_not_stop_the_schedule(session: Session) -> None:
    run_due(session, [DAILY], NOON)
    run_due(session, [DAILY], NOON + dt.timedelta(days=100))
    assert run_due(session, [DAILY], NOON + dt.timedelta(days=2)) == 0
    assert run_due(session, [DAILY], NOON + dt.timedelta(days=101)) == 1


def test_an_answer_does_every_due_occurrence_in_order(engine: Engine, context: JobContext, room: Room) -> None:
    with context.sessions.begin() as session:
        run_due(session, [DAILY], NOON)
        run_due(session, [DAILY], NOON + dt.timedelta(days=3))
    assert answer(engine, context, DAILY, only_occurrences=True) == 3
    assert room.seen == sorted(room.seen)
    assert [at.day for at in room.seen] == [11, 12, 13]
    assert answer(engine, context, DAILY, only_occurrences=True) == 0
    assert answer(engine, context, DAILY, only_occurrences=False) == 1  # a verb's bell: the room looks once


def test_a_failure_is_kept_and_tried_again(engine: Engine, context: JobContext, room: Room) -> None:
    with context.sessions.begin() as session:
        run_due(session, [DAILY], NOON)
        run_due(session, [DAILY], NOON + dt.timedelta(days=2))
    room.failures = 1
    answer(engine, context, DAILY, only_occurrences=True)
    with context.sessions.begin() as session:
        assert states(session, "daily") == [("done", 0), ("failed", 1), ("done", 1)]
        assert "partner" in str(session.scalar(text("SELECT error FROM job_occurrences WHERE state = 'failed'")))
        session.execute(text("DELETE FROM procrastinate_jobs"))
        assert take_back(session) == 0  # not yet
        session.execute(text("UPDATE job_occurrences SET next_at = next_at - interval '1 hour' WHERE state = 'failed'"))
        assert take_back(session) == 1
        assert bells(session) == ["daily"]
    answer(engine, context, DAILY, only_occurrences=True)
    with context.sessions() as session:
        assert states(session, "daily") == [("done", 0), ("done", 2), ("done", 1)]


def test_after_many_failures_somebody_must_look(engine: Engine, context: JobContext, room: Room) -> None:
    with context.sessions.begin() as session:
        run_due(session, [DAILY], NOON)
        run_due(session, [DAILY], NOON + dt.timedelta(days=1))
    room.failures = 100
    for _ in range(10):
        answer(engine, context, DAILY, only_occurrences=True)
        with context.sessions.begin() as session:
            session.execute(text("UPDATE job_occurrences SET next_at = next_at - interval '2 hours'"))
    with context.sessions() as session:
        assert states(session, "daily")[1] == ("given_up", 8)


def test_an_occurrence_of_a_worker_that_died_is_done(engine: Engine, context: JobContext, room: Room) -> None:
    with context.sessions.begin() as session:
        run_due(session, [DAILY], NOON)
        run_due(session, [DAILY], NOON + dt.timedelta(days=1))
        session.execute(text("UPDATE job_occurrences SET state = 'running', attempts = 1 WHERE state = 'due'"))
    assert answer(engine, context, DAILY, only_occurrences=True) == 1


def test_a_bell_belongs_to_the_transaction_and_hangs_once(sessions: SessionFactory) -> None:
    with sessions() as session:
        ring(session, "deliveries")
        session.rollback()
        assert bells(session) == []
        ring(session, "deliveries")
        ring(session, "deliveries")
        ring(session, "deliveries", agreement=7)
        session.commit()
        assert bells(session) == ["deliveries", "deliveries"]


def test_two_transactions_that_ring_do_not_wait_for_each_other(sessions: SessionFactory) -> None:
    with sessions() as one, sessions() as two:
        for session in (one, two):
            session.execute(text("SET LOCAL lock_timeout = '1s'"))
        ring(one, "a")
        ring(two, "b")
        ring(one, "b")
        ring(two, "a")
        one.commit()
        two.commit()


def test_a_dead_workers_bell_is_taken_back(session: Session) -> None:
    ring(session, "deliveries", charge=1)
    worker = session.scalar(text("SELECT * FROM procrastinate_register_worker_v1()"))
    session.execute(text("UPDATE procrastinate_jobs SET status = 'doing', worker_id = :id"), {"id": worker})
    assert take_back(session) == 0  # the worker is alive
    session.execute(text("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '31 seconds'"))
    assert take_back(session) == 1
    assert bells(session) == ["deliveries"]


def test_a_worker_answers_the_bell(engine: Engine, database_url: str, context: JobContext, room: Room) -> None:
    with context.sessions.begin() as session:
        move_clock(session, NOON, running=False)
        ring(session, "often", agreement=3)
    app = make_app(database_url, engine, context, [OFTEN])

    async def work() -> None:
        async with app.open_async():
            await app.run_worker_async(wait=False, delete_jobs="always", install_signal_handlers=False)

    with ThreadPoolExecutor(1) as thread:  # a browser test may have left a loop running in this one
        thread.submit(asyncio.run, work()).result()
    assert room.seen == [NOON]
    with context.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


def test_a_job_in_the_foreground(engine: Engine, context: JobContext, room: Room) -> None:
    assert run_job(engine, context, DAILY, dt.date(2026, 3, 1)) == {"created": 1, "args": 0}
    assert run_job(engine, context, DAILY, dt.date(2026, 3, 1)) == {"created": 2, "args": 0}
    assert room.seen == [dt.datetime(2026, 3, 1, 7, 0, tzinfo=UTC)] * 2
    with context.sessions() as session:
        assert states(session, "daily") == [("done", 2)]
    room.failures = 1
    with pytest.raises(RuntimeError):
        run_job(engine, context, DAILY, dt.date(2026, 3, 2))


def test_a_date_that_has_not_come_is_refused(engine: Engine, context: JobContext, room: Room) -> None:
    with context.sessions.begin() as session:  # 23:30 in Oslo on the 28th, the last day of winter time
        move_clock(session, dt.datetime(2026, 3, 28, 22, 30, tzinfo=UTC), running=False)
    for day in (dt.date(2026, 3, 29), dt.date(2026, 4, 1), dt.date(2030, 1, 1)):
        with pytest.raises(DateAhead, match=f"daily for {day}: that day has not come; it is 2026-03-28"):
            run_job(engine, context, DAILY, day)
    with context.sessions.begin() as session:
        assert (room.seen, states(session, "daily")) == ([], [])
    run_job(engine, context, DAILY, dt.date(2026, 3, 28))
    with context.sessions.begin() as session:  # 00:30 in Oslo on the 29th, while UTC still has the 28th
        move_clock(session, dt.datetime(2026, 3, 28, 23, 30, tzinfo=UTC), running=False)
    run_job(engine, context, DAILY, dt.date(2026, 3, 29))
    assert len(room.seen) == 2


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_refuses_a_date_ahead(
    engine: Engine, context: JobContext, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    opened = SimpleNamespace(engine=engine, sessions=context.sessions, settings=context.settings)
    monkeypatch.setattr(commands.base, "runtime", lambda: nullcontext(opened))
    with context.sessions.begin() as session:
        move_clock(session, dt.datetime(2026, 3, 28, 9, tzinfo=UTC), running=False)
    args = ["run", "invoices", "--date", "2026-04-01", *(["--json"] if as_json else [])]
    done = CliRunner().invoke(commands.jobs.jobs, args)
    assert done.exit_code == 2, done.output
    assert done.stderr == "brikke: invoices for 2026-04-01: that day has not come; it is 2026-03-28.\n"
    if as_json:
        problem = json.loads(done.stdout)
        assert (problem["type"], problem["errors"][0]["field"]) == ("/problems/date-ahead", "date")
    else:
        assert done.stdout == ""
    with context.sessions() as session:
        assert states(session, "invoices") == []


def test_housekeeping_forgets_what_is_old(context: JobContext) -> None:
    with context.sessions.begin() as session:
        run_due(session, [DAILY], NOON)
        ring(session, "often")
        session.execute(text("UPDATE procrastinate_jobs SET status = 'succeeded'"))
    result = housekeeping(context, NOON + dt.timedelta(days=500))
    assert result == {"finished_deleted": 1, "occurrences_deleted": 1, "taken_back": 0}
