"""When a job is due: cron-like times in Oslo business time. Pure: the instants come in as arguments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache

from apscheduler.triggers.cron import CronTrigger

from config.clock import OSLO, business_date, start_of_day

MISSED_AT_MOST = 400
"""Occurrences caught up for one job: a bit more than a year of days. Older ones are left out, loudly."""

# Narrow ones first: the scheduler asks every second, and each instant in a window costs.
_WINDOWS = (
    dt.timedelta(minutes=2),
    dt.timedelta(minutes=11),
    dt.timedelta(days=2),
    dt.timedelta(days=40),
    dt.timedelta(days=400),
)


@lru_cache(maxsize=64)
def _trigger(when: str) -> CronTrigger:
    return CronTrigger.from_crontab(when, timezone=OSLO)


def check(when: str) -> None:
    """Raise ValueError when this is not five cron fields, or names the hour that comes twice in October."""
    _trigger(when)
    if when.split()[1] == "2":
        raise ValueError(f"{when!r}: between two and three comes twice in October and not at all in March")


def following(when: str, after: dt.datetime) -> Iterator[dt.datetime]:
    """Yield the instants (UTC) later than ``after``, without end."""
    # APScheduler looks for times at or after its argument, in whole seconds.
    at = after.astimezone(OSLO)
    previous = at
    while True:
        found = _trigger(when).get_next_fire_time(previous, at)
        if found is None:
            return
        instant = found.astimezone(dt.UTC)
        if instant > after:
            yield instant
        previous, at = found, found


def between(when: str, after: dt.datetime, until: dt.datetime) -> list[dt.datetime]:
    """Return the instants in (after, until], the newest MISSED_AT_MOST of them."""
    found: list[dt.datetime] = []
    for instant in following(when, after):
        if instant > until:
            break
        found.append(instant)
    return found[-MISSED_AT_MOST:]


def latest(when: str, until: dt.datetime) -> dt.datetime | None:
    """Return the last instant at or before ``until``; None when there was none for a year."""
    for window in _WINDOWS:
        found = between(when, until - window, until)
        if found:
            return found[-1]
    return None


def on_day(when: str, day: dt.date) -> dt.datetime:
    """Return the first occurrence on an Oslo date; on other dates than the schedule's, the day's beginning."""
    midnight = start_of_day(day)
    first = next(following(when, midnight - dt.timedelta(seconds=1)), None)
    return first if first is not None and business_date(first) == day else midnight
