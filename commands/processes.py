"""`brikke serve`, `brikke worker`, `brikke scheduler`: the processes of production.

Nothing here imports the rooms at its top: they import prometheus_client, which reads when it is imported in which
folder it counts, and ``count_together`` says that first.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from commands import base
from config import logging, settings
from config.runtime import open_runtime
from config.settings import Settings


@click.command()
@base.as_json
@base.guarded
def serve(as_json: bool) -> None:
    """Serve My Page, the support desk and the API (gunicorn)."""
    loaded = settings.load()
    count_together(loaded)
    logging.configure(loaded)
    runtime = open_runtime(loaded)  # here, so that what is wrong is said once and in one line
    try:
        base.show({"url": loaded.url, "workers": loaded.web_workers}, as_json=as_json, line=f"Brikke on {loaded.url}")
        _gunicorn(loaded)
    finally:
        runtime.close()


def _gunicorn(loaded: Settings) -> None:
    """Run gunicorn in this process. The application is made in each worker, after the fork."""
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
        def load_config(self) -> None:
            options = {
                "bind": f"{f'[{loaded.host}]' if ':' in loaded.host else loaded.host}:{loaded.port}",
                "workers": loaded.web_workers,
                "worker_class": "gthread",
                "threads": loaded.web_threads,
                "timeout": 120,
                "graceful_timeout": 10,
                "keepalive": 5,
                # A folder in memory, where there is one.
                "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108, PTH112
                "loglevel": "warning",
                "child_exit": forget_metrics,
            }
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Callable[..., Any]:
            from app import create_app

            return create_app(loaded)

    Server().run()


def count_together(loaded: Settings) -> None:
    """Let all web and worker processes of this machine count in one folder, so that any of them can be asked.

    Call it before anything imports prometheus_client, which reads the variable then and never again. Raises
    RuntimeError when that has happened.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        return
    if "prometheus_client" in sys.modules:
        raise RuntimeError("prometheus_client was imported before it was told where to count")
    folder = loaded.var / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.db"):
        if not Path(f"/proc/{file.stem.rpartition('_')[2]}").exists():  # of a process that has ended
            file.unlink(missing_ok=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def forget_metrics(_server: Any, worker: Any) -> None:
    """Let the counters of a web process that ended stop being live."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # nor has this


@click.command()
@base.as_json
@base.guarded
def worker(as_json: bool) -> None:
    """Do the queue's work until told to stop."""
    count_together(settings.load())
    from billing.schedule import SCHEDULE
    from config.jobs import JobContext
    from config.worker import run_worker

    with base.runtime() as runtime:
        context = JobContext(runtime.sessions, runtime.settings)
        run_worker(runtime.url, runtime.engine, context, SCHEDULE)
    base.show({"stopped": True}, as_json=as_json, line="worker stopped")


@click.command()
@base.as_json
@base.guarded
def scheduler(as_json: bool) -> None:
    """Start jobs as business time comes to them, until told to stop."""
    from billing.schedule import SCHEDULE
    from config.jobs import JobContext
    from config.worker import run_scheduler

    with base.runtime() as runtime:
        run_scheduler(JobContext(runtime.sessions, runtime.settings), SCHEDULE)
    base.show({"stopped": True}, as_json=as_json, line="scheduler stopped")
