"""That nothing can arrive in a period any more.

``booked_at`` is the business time that a transaction read after it had begun, and it may take its time to commit. So a
period whose last day is over is closed only when every transaction has ended that began before its end (and some margin
for clocks of hosts that differ): whoever begins later reads a later business time. This is how CREATE INDEX
CONCURRENTLY waits, by looking at who holds a virtual transaction; no writer has to know of it or is held up.
"""

from __future__ import annotations

import datetime as dt
import time

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.roadside.settlement.rules import DAY, Period
from config.clock import business_date, start_of_day
from config.problems import Conflict
from config.rates import whole

MARGIN = dt.timedelta(seconds=60)
"""How far clocks of our hosts may differ; a moved business clock is seen by all this long after it was moved."""
PATIENCE = 15.0
"""Seconds that transactions under way are waited for."""
_PAUSE = 0.05

# Whose beginning we may not see is another role's; it counts as one that began long ago.
_UNDER_WAY = text("""
    SELECT count(*) FROM pg_stat_activity AS a
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
        AND (a.xact_start IS NULL OR a.xact_start < :before)
        AND EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted)
""")


def interval(period: Period) -> tuple[dt.datetime, dt.datetime]:
    """Return the instants a period lasts from and until (half-open)."""
    return start_of_day(period.first), start_of_day(period.last + DAY)


def wait_until_closed(session: Session, last: dt.date, *, now: dt.datetime, patience: float = PATIENCE) -> None:
    """Return when nothing can be booked on Oslo day ``last`` or earlier any more; then a new statement sees all of it.

    Raises Conflict: ``period-open`` until some time (``settlement_close_minutes``) after the day, ``still-arriving``
    when a transaction from then has not ended within ``patience`` seconds.
    """
    end = start_of_day(last + DAY)
    if now < end + dt.timedelta(minutes=whole("settlement_close_minutes", business_date(now))):
        raise Conflict(f"{last} is not over long enough: records of it may still be arriving.", slug="period-open")
    before = _before(session, end)
    deadline = time.monotonic() + patience
    while True:
        session.execute(text("SELECT pg_stat_clear_snapshot()"))  # else a transaction sees what it saw the first time
        if not session.execute(_UNDER_WAY, {"before": before}).scalar_one():
            return
        if time.monotonic() > deadline:
            detail = f"Something that began before {last} ended is still being booked; try again in a while."
            raise Conflict(detail, slug="still-arriving")
        time.sleep(_PAUSE)


def _before(session: Session, end: dt.datetime) -> dt.datetime:
    """Return the real instant from which a transaction that begins reads a business time after ``end``."""
    began = text("SELECT xact_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    ours: dt.datetime = session.execute(began).scalar_one()
    clock = session.execute(text("SELECT business_at, real_at, running FROM business_clock")).one_or_none()
    if clock is None:
        reached = end
    elif clock.running and clock.business_at < end:
        reached = clock.real_at + (end - clock.business_at)
    else:
        reached = clock.real_at
    return min(ours, reached + MARGIN)
