"""The two processes behind the web: the worker answers bells, the scheduler hangs them up.

Any number of each may run, on any number of hosts. Both outlive a database that goes away and comes back.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import procrastinate
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from procrastinate.exceptions import ConnectorException
from psycopg import OperationalError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from config.clock import business_now
from config.jobs import Job, JobContext, answer, run_due, take_back
from config.settings import Settings

log = structlog.get_logger(__name__)

TICK_SECONDS = 1
TAKE_BACK_SECONDS = 15
RECONNECT_SECONDS = 1.0
# Bells are announced. This is for an announcement that was lost, as one is now and then: the queue forgets one that
# comes while it looks and finds nothing.
POLL_SECONDS = 1.0
GRACE_SECONDS = 20.0  # how long a running job may go on when we are told to stop


def make_app(url: str, engine: Engine, context: JobContext, jobs: Sequence[Job]) -> procrastinate.App:
    """Return the queue with a task for each job. ``url`` goes past any pgbouncer: announcements need it."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=4))
    for job in jobs:
        _task(app, engine, context, job)
    return app


def _task(app: procrastinate.App, engine: Engine, context: JobContext, job: Job) -> None:
    """Register one job's bell. It never raises: what is left to do stands in rows, not in the queue."""

    @app.task(name=job.name, queue="brikke")
    def ring(occurrences: bool, args: Mapping[str, Any]) -> None:
        try:
            own = JobContext(context.sessions, context.settings, job.name, args)
            answer(engine, own, job, only_occurrences=occurrences)
        except (DBAPIError, OperationalError) as error:
            log.warning("job.database_gone", job=job.name, error=type(error).__name__)


def run_worker(url: str, engine: Engine, context: JobContext, jobs: Sequence[Job]) -> None:
    """Answer bells until told to stop (SIGINT, SIGTERM); running jobs are let finish for a while."""
    asyncio.run(_worker(url, engine, context, jobs))


async def _worker(url: str, engine: Engine, context: JobContext, jobs: Sequence[Job]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        app = make_app(url, engine, context, jobs)
        try:
            async with app.open_async():
                log.info("worker.ready", concurrency=context.settings.worker_concurrency)
                await _until(stop, app, context.settings)
        except (ConnectorException, OperationalError, OSError) as error:
            log.warning("worker.database_gone", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)
    log.info("worker.stopped")


async def _until(stop: asyncio.Event, app: procrastinate.App, settings: Settings) -> None:
    """Run the queue's worker until it fails or we are told to stop."""
    work = asyncio.create_task(
        app.run_worker_async(
            concurrency=settings.worker_concurrency,
            fetch_job_polling_interval=POLL_SECONDS,
            shutdown_graceful_timeout=GRACE_SECONDS,
            delete_jobs="always",
            install_signal_handlers=False,
        )
    )
    told = asyncio.create_task(stop.wait())
    await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if stop.is_set():
        work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        if not stop.is_set():
            raise


def run_scheduler(context: JobContext, jobs: Sequence[Job]) -> None:
    """Write occurrences as business time comes to them, until told to stop (SIGINT, SIGTERM)."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())

    def tick() -> None:
        with context.sessions.begin() as session:
            run_due(session, jobs, business_now(session))

    def back() -> None:
        with context.sessions.begin() as session:
            take_back(session)

    def patiently(work: Callable[[], None]) -> Callable[[], None]:
        def attempt() -> None:
            try:
                work()
            except DBAPIError as error:
                log.warning("scheduler.database_gone", error=type(error.orig).__name__)

        return attempt

    # A tick that is late or still running is not made up for: the next one does its work.
    scheduler = BackgroundScheduler(timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1})
    scheduler.add_job(patiently(tick), "interval", seconds=TICK_SECONDS)
    scheduler.add_job(patiently(back), "interval", seconds=TAKE_BACK_SECONDS)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler.start()
    log.info("scheduler.ready", jobs=len(jobs))
    stop.wait()
    scheduler.shutdown()
    log.info("scheduler.stopped")
