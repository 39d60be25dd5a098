"""When an unpaid invoice counts as unpaid, pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from config.bankdays import add_bank_days

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Reach:
    """Due dates up to ``through`` (inclusive) may be judged; those after ``read`` only because the grace is over."""

    through: dt.date
    read: dt.date | None


def reach(today: dt.date, read_through: Iterable[dt.date | None], grace_bank_days: int) -> Reach:
    """Return which due dates may be judged today.

    ``read_through`` is, per bank account of ours, the last value date read from its files (None: no file yet): a
    due date may be judged when every account's file of that value date or a later one has been read, or when
    ``grace_bank_days`` bank days have passed since. Due today is never overdue.
    """
    dates = list(read_through)
    read = min((d for d in dates if d is not None), default=None) if None not in dates else None
    grace = today - DAY
    while add_bank_days(grace, grace_bank_days) > today:
        grace -= DAY
    through = grace if read is None else max(grace, read)
    return Reach(min(through, today - DAY), read)


def by_grace(due_on: dt.date, read: dt.date | None) -> bool:
    """Return whether a due date is judged although the bank's file for it has not come."""
    return read is None or due_on > read
