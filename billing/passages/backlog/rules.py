"""When older passages are a backlog, how large its slices are, how many are due. Pure; figures are arguments."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

ORDINARY_WEEKS = 4
"""An ordinary week is a quarter of the last four."""


@dataclass(frozen=True)
class Terms:
    """The figures of a day: what is old (days before arrival), how much of it (øre) is more than is billed at once,
    the smallest slice (øre), days between slices, most slices on a monthly invoice."""

    age_days: int
    limit_ore: int
    slice_ore: int
    week_days: int
    invoice_slices: int


def slice_ore(least_ore: int, recent_ore: int) -> int:
    """Return how much a backlog's slice is: at least twice an ordinary week, so that it ends.

    ``recent_ore`` is what was driven and arrived in time in the last four weeks.
    """
    return max(least_ore, 2 * recent_ore // ORDINARY_WEEKS)


def begins(old_ore: int, unbilled_ore: int, slice_: int, limit_ore: int) -> bool:
    """Say whether unbilled passages are a backlog: too much of them is old, and they do not fit into one slice."""
    return old_ore > limit_ore and unbilled_ore > slice_


def due_slices(last_on: dt.date | None, began_on: dt.date, today: dt.date, week_days: int, most: int) -> int:
    """Return how many slices may be taken today: one a whole week since the last, at most so many; 0 before a week.

    Before the first, weeks count from when the backlog began, and one is always due.
    """
    if last_on is None:
        return max(1, min((today - began_on).days // week_days, most))
    return max(0, min((today - last_on).days // week_days, most))


def weeks(unbilled_ore: int, slice_: int) -> int:
    """Return in about how many weeks a backlog is billed."""
    return max(1, -(-unbilled_ore // slice_))
