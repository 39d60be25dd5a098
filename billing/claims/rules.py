"""The decisions of claims, pure: how much of a settlement fits, what is overdue, what was paid in time.

Amounts in øre, dates are business dates (Oslo). ``remainder_ore`` is the figure under which what is left of a claim
counts as nothing (rates.toml: overdue_remainder_ore).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


def release(
    settled: Iterable[tuple[dt.date, int]], written_off_ore: int, excess_ore: int
) -> tuple[int, list[tuple[dt.date, int]]]:
    """Return what a claim gives back that is settled by ``excess_ore`` (≥ 0) too much: (written back, money by date).

    What was written off comes first: it was nobody's money. Of money, as (value date, øre), the latest goes first, so
    that what was in time stays. Sums taken back (below zero) count against the latest there is.
    """
    written_back = min(max(written_off_ore, 0), excess_ore)
    by_day: dict[dt.date, int] = {}
    for day, ore in settled:
        by_day[day] = by_day.get(day, 0) + ore
    lacking = -sum(ore for ore in by_day.values() if ore < 0)
    left, released = excess_ore - written_back, []
    for day, ore in sorted(by_day.items(), reverse=True):
        if ore <= 0 or not left:
            continue
        gone = min(ore, lacking)
        lacking -= gone
        given = min(ore - gone, left)
        left -= given
        if given:
            released.append((day, given))
    if left:
        raise ValueError(f"there are {left} øre less settled than are to be given back")
    return written_back, released


@dataclass(frozen=True)
class Owed:
    """A claim of so many øre, its due date, and what settled it as (value date, øre)."""

    amount_ore: int
    due_on: dt.date
    settled: Sequence[tuple[dt.date, int]]


def paid_in_time(claims: Iterable[Owed], spare: Iterable[tuple[dt.date, int]], remainder_ore: int) -> bool:
    """Return whether money of the due date or earlier covers every one of the claims.

    What settled a claim in time is its own. What that lacks may be in ``spare``, the agreement's credit as (value
    date, øre), or in what settled another of the claims late: had we known of all money on its day, that would have
    been left over. Each øre counts once, for the claim first due. A due date on which banks do not settle is kept on
    the next day they do: no earlier value date is possible for who pays on the day.
    """
    pool = list(spare)
    needs = []
    for claim in claims:
        last_day = on_or_after(claim.due_on)
        pool += [(value_date, ore) for value_date, ore in claim.settled if value_date > last_day]
        needs.append((last_day, claim.amount_ore - sum(ore for day, ore in claim.settled if day <= last_day)))
    taken = 0
    for last_day, need in sorted(needs):
        if not chased(need, remainder_ore):
            continue
        # What earlier claims took was in time for this one too.
        found = max(sum(ore for day, ore in pool if day <= last_day) - taken, 0)
        if chased(need - found, remainder_ore):
            return False
        taken += min(need, found)
    return True
