"""The only reader of the wall clock, and the maker of business dates.

Two times exist. *Real* time (``now_utc``) serves tokens, signatures and the queue. *Business* time
(``business_now``) decides weeks, due dates and runs; in a demo or a test it can be moved, and then it is kept
in the database so that every process agrees. Instants are aware and in UTC; a business date is a date in
Europe/Oslo, made by ``business_date`` and nowhere else.
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

OSLO = ZoneInfo("Europe/Oslo")

DATABASE_NOW = "clock_timestamp()"
"""SQL for the database's own real instant: the clock that all hosts share. For pacing, never for business."""


def now_utc() -> dt.datetime:
    """Return the real instant, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


def business_now(session: Session) -> dt.datetime:
    """Return the business instant (UTC): the real one unless the clock has been moved."""
    row = session.execute(text("SELECT business_at, real_at, running FROM business_clock")).one_or_none()
    if row is None:
        return now_utc()
    business_at: dt.datetime = row.business_at
    if not row.running:
        return business_at.astimezone(dt.UTC)
    real_at: dt.datetime = row.real_at
    return (business_at + (now_utc() - real_at)).astimezone(dt.UTC)


def move_clock(session: Session, to: dt.datetime, *, running: bool) -> None:
    """Move the business clock to ``to`` (aware); ``running`` lets it go on from there, else it stands.

    For demos and tests; the caller commits. Raises ValueError for a naive instant.
    """
    if to.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    session.execute(
        text(
            "INSERT INTO business_clock (id, business_at, real_at, running) VALUES (1, :to, :real, :running) "
            "ON CONFLICT (id) DO UPDATE SET business_at = :to, real_at = :real, running = :running"
        ),
        {"to": to.astimezone(dt.UTC), "real": now_utc(), "running": running},
    )


def release_clock(session: Session) -> None:
    """Let business time be real time again."""
    session.execute(text("DELETE FROM business_clock"))


def business_date(instant: dt.datetime) -> dt.date:
    """Return the Oslo date of an aware instant. Raises ValueError for a naive one."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(OSLO).date()


def start_of_day(day: dt.date) -> dt.datetime:
    """Return the instant (UTC) at which a business date begins in Oslo, also on 23- and 25-hour days."""
    return dt.datetime.combine(day, dt.time.min, OSLO).astimezone(dt.UTC)


def to_oslo(instant: dt.datetime) -> dt.datetime:
    """Return the instant as Oslo wall-clock time, for screens and documents."""
    return instant.astimezone(OSLO)
