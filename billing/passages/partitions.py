"""The monthly partitions of ``passages``: made before they are needed, by whoever comes first."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.jobs import JobContext

LOCK = 5_209_003
"""Key of the advisory lock: of two that make partitions at once, one waits for the other."""


def _months(instant: dt.datetime) -> list[dt.date]:
    """Return the first days of the instant's month (UTC), the next, and the one after (where the next ends)."""
    first = instant.astimezone(dt.UTC).date().replace(day=1)
    second = (first + dt.timedelta(days=31)).replace(day=1)
    return [first, second, (second + dt.timedelta(days=31)).replace(day=1)]


def name(month: dt.date) -> str:
    """Return the name of the partition of a month."""
    return f"passages_{month:%Y_%m}"


def ensure(session: Session, instant: dt.datetime) -> int:
    """Make the partitions of the instant's month (by ``booked_at``, UTC) and the next; return how many were new.

    Cheap when they are there, and safe when two do it at once: the second waits for the first to commit. A
    table is made beside and attached, which lets bookings into other months go on meanwhile.
    """
    months = _months(instant)
    if _all_there(session, months[:2]):
        return 0
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    made = 0
    for month, end in pairwise(months):
        if _all_there(session, [month]):
            continue
        table = name(month)
        session.execute(text(f"CREATE TABLE {table} (LIKE passages INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        session.execute(
            text(f"ALTER TABLE passages ATTACH PARTITION {table} FOR VALUES FROM ('{month} UTC') TO ('{end} UTC')")
        )
        made += 1
    return made


def _all_there(session: Session, months: list[dt.date]) -> bool:
    """Look in the catalogue itself: ``to_regclass`` answers from a cache that need not know yet what somebody we
    waited for has committed."""
    known = session.execute(
        text(
            "SELECT count(*) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = CAST('passages' AS regclass) AND c.relname = ANY(CAST(:names AS text[]))"
        ),
        {"names": [name(month) for month in months]},
    ).scalar_one()
    return bool(known == len(months))


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Make the partitions that the day and the next month need."""
    with ctx.sessions.begin() as session:
        return {"made": ensure(session, scheduled_for)}
