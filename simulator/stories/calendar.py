"""When things happen in a story: the month's run after its first day, what is due when, who reads what when."""

from __future__ import annotations

import datetime as dt

from simulator.times import at, bank_day, next_bank_day

DAY = dt.timedelta(days=1)
TERM = dt.timedelta(days=14)


def day(first: dt.date, number: int, hour: int = 12, minute: int = 0) -> dt.datetime:
    """Return an instant `number` days after a story's first date."""
    return at(first + number * DAY, hour, minute)


def run_date(first: dt.date, months: int = 1) -> dt.date:
    """Return the first of the month, so many months after a date's: the date of a monthly run."""
    for _ in range(months):
        first = (first.replace(day=1) + 32 * DAY).replace(day=1)
    return first


def due_date(issued_on: dt.date) -> dt.date:
    """Return the due date of an invoice of a date."""
    return issued_on + TERM


def told(last_day: dt.date) -> dt.date:
    """Return the date on which everybody knows whether something due on a date was paid, the last payers included.

    Who pays on the last day pays on a bank day, its file comes the next bank day, and what had to wait for the
    day's first step is done the day after.
    """
    return next_bank_day(bank_day(last_day)) + DAY
