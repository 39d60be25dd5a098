"""When an unpaid invoice counts as unpaid, pure."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from config.bankdays import add_bank_days

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Reach:
    """Due dates up to ``through`` (inclusive) may be judged; those after ``read`` only because the grace is over.

    ``missing`` names the bank's assignments that have not come although later ones have (``001008566: 12, 14-15``).
    """

    through: dt.date
    read: dt.date | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hole:
    """Assignment numbers ``first`` to ``last`` not read, between one read through ``before`` and one through ``after``.

    As text: ``12`` or ``12-14``.
    """

    first: int
    last: int
    before: dt.date
    after: dt.date

    def __str__(self) -> str:
        """Return the numbers."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def holes(read: Sequence[tuple[dt.date, int]]) -> list[Hole]:
    """Return which numbers are missing among the assignments read of one bank agreement, in order, each once.

    ``read`` is (last value date, number) by date, of one date in the order they were read. A number below the one
    before is no hole: a file made out of turn, or a bank that begins anew.
    """
    known = sorted({number for _, number in read})
    found: dict[int, Hole] = {}
    for (before, low), (after, high) in pairwise(read):
        between = known[bisect_left(known, low) : bisect_right(known, high)]
        for one, next_one in pairwise(between):
            if next_one > one + 1:
                found.setdefault(one + 1, Hole(one + 1, next_one - 1, before, after))
    return list(found.values())


def read_until(today: dt.date, found: Iterable[Hole], grace_bank_days: int) -> dt.date | None:
    """Return through which date a bank agreement has been read up to its first hole; None where none holds.

    A hole holds until the grace of what it may hide is over: the missing file lies before ``after``, so then all due
    dates it can matter to are judged anyhow. That is also the most that a bank which does not count one by one, or a
    number that was never sent, can do: delay, never block anybody.
    """
    holding = (hole.before for hole in found if add_bank_days(hole.after, grace_bank_days) >= today)
    return min(holding, default=None)


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
