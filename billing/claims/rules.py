"""The decisions of claims, pure: how much of a settlement fits, what is overdue, what was paid in time.

Amounts in øre, dates are business dates (Oslo). ``remainder_ore`` is the figure under which what is left of a claim
counts as nothing (rates.toml: overdue_remainder_ore).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from config.bankdays import on_or_after


def fit(amount_ore: int, settled_ore: int, asked_ore: int) -> int:
    """Return how much of ``asked_ore`` a claim takes: never above what is open, never back below nothing settled."""
    if asked_ore >= 0:
        return min(asked_ore, max(amount_ore - settled_ore, 0))
    return max(asked_ore, -settled_ore)


def chased(open_ore: int, remainder_ore: int) -> bool:
    """Return whether an open amount is enough to block for; less is written off once it is past due."""
    return open_ore >= max(remainder_ore, 1)


def is_overdue(open_ore: int, due_on: dt.date | None, today: dt.date, remainder_ore: int) -> bool:
    """Return whether a claim is overdue. Due today is not; without a due date (a card is being charged) neither."""
    return due_on is not None and due_on < today and chased(open_ore, remainder_ore)


def paid_in_time(amount_ore: int, due_on: dt.date, settled: Iterable[tuple[dt.date, int]], remainder_ore: int) -> bool:
    """Return whether settlements (value date, øre) of the due date or earlier covered the claim.

    A due date on which banks do not settle is kept on the next day they do: no earlier value date is possible
    for who pays on the day.
    """
    last_day = on_or_after(due_on)
    in_time = sum(ore for value_date, ore in settled if value_date <= last_day)
    return not chased(amount_ore - in_time, remainder_ore)
