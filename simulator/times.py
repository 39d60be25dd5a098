"""Dates and hours as people in the simulated world say them: Oslo time, bank days."""

from __future__ import annotations

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

import holidays

OSLO = ZoneInfo("Europe/Oslo")


def at(day: dt.date, hour: int = 12, minute: int = 0) -> dt.datetime:
    """Return the instant (UTC) of an hour on an Oslo date; the hour that is left out in March is the one after."""
    return dt.datetime.combine(day, dt.time(hour, minute), OSLO).astimezone(dt.UTC)


def oslo_day(instant: dt.datetime) -> dt.date:
    """Return the Oslo date of an instant."""
    return instant.astimezone(OSLO).date()


def written(instant: dt.datetime) -> str:
    """Return an instant as a charger writes it: Oslo time with its offset."""
    return instant.astimezone(OSLO).isoformat()


def utc(instant: dt.datetime) -> str:
    """Return an instant as the API reads and writes it."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


@cache
def _closed(year: int) -> frozenset[dt.date]:
    return frozenset(holidays.country_holidays("NO", years=year))


def is_bank_day(day: dt.date) -> bool:
    """Say whether Norwegian banks settle on a date."""
    return day.weekday() < 5 and day not in _closed(day.year)


def bank_day(day: dt.date) -> dt.date:
    """Return the date, or the next bank day after it."""
    while not is_bank_day(day):
        day += dt.timedelta(days=1)
    return day


def next_bank_day(day: dt.date) -> dt.date:
    """Return the first bank day after a date."""
    return bank_day(day + dt.timedelta(days=1))


def bank_day_before(day: dt.date) -> dt.date:
    """Return the date, or the last bank day before it."""
    while not is_bank_day(day):
        day -= dt.timedelta(days=1)
    return day


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    """Return every date from the first to the last, both included."""
    return [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
