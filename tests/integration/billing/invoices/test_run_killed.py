"""A run whose process is killed outright goes on with every agreement invoiced once and no number missing."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices.numbers import FIRST
from billing.invoices.run import begin, job_unfinished
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.invoices.world import FEBRUARY, World

ROOT = Path(__file__).resolve().parents[4]

# Two agreements a chunk; in the third chunk it stops between issuing and its commit, where it is killed.
WORKER = """
import sys, time
from pathlib import Path
from billing.invoices import candidates, run
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.settings import load

issue, calls = run.issue_fresh, []

def slow(*args, **named):
    made = issue(*args, **named)
    calls.append(1)
    if len(calls) == 3:
        print("now", flush=True)
        time.sleep(60)
    return made

candidates.CHUNK, run.issue_fresh = 2, slow
folder = Path(sys.argv[2])
settings = load({"BRIKKE_VAR": str(folder), "WORKER_CONCURRENCY": "1"}, folder / ".env")
run.carry_out(JobContext(session_factory(make_engine(sys.argv[1])), settings, "invoices"), int(sys.argv[3]))
"""


def test_kill_9_in_the_middle(
    session: Session, sessions: SessionFactory, settings: Settings, world: World, database_url: str, tmp_path: Path
) -> None:
    for _ in range(9):
        world.passage(world.agreement(), 6_000)
    move_clock(session, FEBRUARY, running=False)
    run = begin(session, dt.date(2026, 2, 1), now=FEBRUARY, actor="test")
    session.commit()
    arguments = [sys.executable, "-c", WORKER, database_url, str(tmp_path), str(run.id)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert "now\n" in worker.stdout  # reads on until it says so
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    _wait_until_gone(session)
    assert session.execute(text("SELECT count(*) FROM documents")).scalar_one() == 4
    session.rollback()
    assert job_unfinished(JobContext(sessions, settings, "invoice_runs"), FEBRUARY) == {"runs": 1, "created": 5}
    numbers = session.scalars(text("SELECT number FROM documents ORDER BY number")).all()
    assert list(numbers) == list(range(FIRST, FIRST + 9))
    assert session.execute(text("SELECT count(DISTINCT agreement_id), sum(total_ore) FROM documents")).one() == (
        9,
        54_000,
    )
    row = session.execute(text("SELECT state, created, looked_at, sum_ore FROM runs")).one()
    assert tuple(row) == ("done", 9, 9, 54_000)


def _wait_until_gone(session: Session) -> None:
    """Wait until the server has noticed that the killed process is gone and has rolled it back."""
    for _ in range(100):
        others = session.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND state = 'idle in transaction'"
            )
        ).scalar_one()
        if not others:
            return
        time.sleep(0.1)
    raise AssertionError("the killed process still holds a transaction")
