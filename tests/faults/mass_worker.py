"""Carry out mass corrections in one database undisturbed, in another in processes that are killed, until one ends.

Run by test_kill_mass: ``python -m tests.faults.mass_worker CLEAN URL CHUNK DELAY…``; prints how many were killed. The
clean run comes first and in the process that forks the others, so that all is loaded: a moment is one of the work. The
last of those killed dies when the customers have been told, and that is not committed.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from functools import partial
from typing import Any, cast

import structlog
from sqlalchemy import event

import migrations.tables  # noqa: F401 - every table is declared, as in the application
from billing.passages.mass import carry_out, tell
from config.clock import now_utc
from config.database import make_engine, session_factory
from config.jobs import JobContext
from config.settings import Settings


def _work(url: str) -> None:
    engine = make_engine(url)
    no_settings = cast(Settings, None)
    carry_out.job(JobContext(session_factory(engine), no_settings, "mass_corrections"), now_utc())
    engine.dispose()


def _work_until_told(url: str) -> None:
    """Die at the commit of the transaction that told the customers."""
    usual = tell.tell_customers

    def told_and_dead(session: Any, *args: Any, **about: Any) -> int:
        told = usual(session, *args, **about)
        event.listen(session, "before_commit", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        return told

    setattr(carry_out, "tell_customers", told_and_dead)  # noqa: B010 - it only imports it
    _work(url)


def _child(work: Any, url: str) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(url)
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Kill one process a delay (seconds after it began) and one at the end, then let one end."""
    clean, url, chunk = sys.argv[1], sys.argv[2], int(sys.argv[3])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    carry_out.carry_out_chunk = partial(carry_out.carry_out_chunk, limit=chunk)
    _work(clean)
    killed = 0
    for delay in sys.argv[4:]:
        child = _child(_work, url)
        time.sleep(float(delay))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
    _, status = os.waitpid(_child(_work_until_told, url), 0)
    killed += os.WIFSIGNALED(status)
    _, status = os.waitpid(_child(_work, url), 0)
    assert os.WIFEXITED(status), status
    assert os.WEXITSTATUS(status) == 0, status
    print(killed)


if __name__ == "__main__":
    main()
