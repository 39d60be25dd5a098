"""Bank days: Monday to Friday that are not Norwegian public holidays."""

from __future__ import annotations

import datetime as dt
from functools import cache

import holidays

DAY = dt.timedelta(days=1)


@cache
def _closed(year: int) -> frozenset[dt.date]:
    return frozenset(holidays.country_holidays("NO", years=year))


def is_bank_day(day: dt.date) -> bool:
    """Return whether Norwegian banks settle on ``day``."""
    return day.weekday() < 5 and day not in _closed(day.year)


def on_or_after(day: dt.date) -> dt.date:
    """Return ``day``, or the first bank day after it."""
    while not is_bank_day(day):
        day += DAY
    return day


def add_bank_days(day: dt.date, count: int) -> dt.date:
    """Return the bank day ``count`` (≥ 0) bank days after ``day``; 0 gives ``on_or_after(day)``."""
    if count < 0:
        raise ValueError("count must not be negative")
    day = on_or_after(day)
    for _ in range(count):
        day = on_or_after(day + DAY)
    return day
