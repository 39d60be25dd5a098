"""Figures for Prometheus: what every room counts, without names, numbers or anything else of a person.

With several web processes each writes its own file in the folder PROMETHEUS_MULTIPROC_DIR (`brikke serve` and
`brikke worker` set it before this module is imported), and a scrape adds them up.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import text
from sqlalchemy.orm import Session

HTTP_REQUESTS = Counter("brikke_http_requests_total", "Requests answered.", ["method", "route", "status"])
HTTP_SECONDS = Histogram("brikke_http_seconds", "How long an answer took.", ["route"])
JOB_RUNS = Counter("brikke_job_runs_total", "Jobs run, by outcome (done, failed).", ["job", "outcome"])
JOB_SECONDS = Histogram(
    "brikke_job_seconds", "How long a job took.", ["job"], buckets=(0.01, 0.1, 1, 10, 60, 300, 1800, 7200)
)

ALSO: list[Callable[[Session], Iterable[str]]] = []
"""What rooms say at each scrape from the database: functions that return lines of the exposition."""


def scrape(session: Session) -> tuple[bytes, str]:
    """Return the exposition and its content type: the counters, and what the database says of the jobs."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library left this one out
    also = "".join(f"{line}\n" for say in ALSO for line in say(session))
    return generate_latest(registry) + (_jobs(session) + also).encode(), CONTENT_TYPE_LATEST


def _jobs(session: Session) -> str:
    """Return the state of the schedule: it is the same whichever process is asked."""
    lines = ["# HELP brikke_job_occurrences Scheduled work by state.", "# TYPE brikke_job_occurrences gauge"]
    rows = session.execute(
        text("SELECT job, state, count(*) AS n FROM job_occurrences GROUP BY job, state ORDER BY 1, 2")
    )
    lines += [f'brikke_job_occurrences{{job="{row.job}",state="{row.state}"}} {row.n}' for row in rows]
    bells = session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"))
    lines += [
        "# HELP brikke_bells Bells nobody has answered yet.",
        "# TYPE brikke_bells gauge",
        f"brikke_bells {bells}",
    ]
    return "\n".join(lines) + "\n"
