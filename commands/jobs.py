"""`brikke jobs` and `brikke jobs run NAME --date D`."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import click
from sqlalchemy import text

from billing import schedule
from commands import base
from config.jobs import DateAhead, JobContext, run_job

LAST_OF_EACH = """
SELECT DISTINCT ON (job) job, scheduled_for, state, attempts, finished_at, result, error
FROM job_occurrences ORDER BY job, scheduled_for DESC
"""


@click.group(invoke_without_command=True)
@base.as_json
@click.pass_context
@base.guarded
def jobs(context: click.Context, as_json: bool) -> None:
    """The schedule: which job runs when, and how its last run went."""
    if context.invoked_subcommand is not None:
        return
    with base.runtime() as runtime, runtime.sessions() as session:
        last = {row.job: row._mapping for row in session.execute(text(LAST_OF_EACH))}
    rows: list[dict[str, Any]] = [
        {
            "job": job.name,
            "when": job.when,
            "about": job.about,
            "last": dict(last[job.name]) if job.name in last else None,
        }
        for job in schedule.SCHEDULE
    ]
    base.show({"jobs": rows}, as_json=as_json, line="\n".join(_line(row) for row in rows))


def _line(row: dict[str, Any]) -> str:
    last = row["last"]
    state = "not yet" if last is None else f"{last['state']} {last['scheduled_for']:%Y-%m-%d %H:%M}"
    if last is not None and last["error"]:
        state += f" ({last['error']})"
    return f"{row['job']:<17} {row['when'] or 'when rung':<13} {state:<24} {row['about']}"


@jobs.command("run")
@click.argument("name")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="For this Oslo date instead of now.")
@base.as_json
@base.guarded
def run(name: str, day: dt.datetime | None, as_json: bool) -> None:
    """Run a job now and print its result. Running it again does nothing twice."""
    job = schedule.job(name)
    if job is None:
        base.fail(f"there is no job {name!r}; there are: {', '.join(row.name for row in schedule.SCHEDULE)}", 2)
        return
    with base.runtime() as runtime:
        context = JobContext(runtime.sessions, runtime.settings, name)
        try:
            result = run_job(runtime.engine, context, job, day.date() if day else None)
        except DateAhead as ahead:  # the command is wrong, nothing failed
            if as_json:
                click.echo(json.dumps(ahead.as_dict(), ensure_ascii=False, default=base.plain))
            base.fail(ahead.detail, 2)
            return
    base.show(result, as_json=as_json, line=f"{name}: {in_words(result)}")


def in_words(result: dict[str, int | str]) -> str:
    """Return a result as ``0 created, 7 already done``."""
    return ", ".join(f"{value} {key.replace('_', ' ')}" for key, value in result.items()) or "done"
