"""The decisions of claims by table and property."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.claims.rules import Owed, fit, is_overdue, paid_in_time

MONDAY = dt.date(2026, 2, 16)
SATURDAY = dt.date(2026, 2, 14)
DAY = dt.timedelta(days=1)


@given(st.integers(1, 10**6), st.lists(st.integers(-(10**6), 10**6), max_size=8))
def test_a_claim_is_never_settled_below_nothing_or_above_its_sum(amount: int, asked: list[int]) -> None:
    settled = 0
    for ore in asked:
        fits = fit(amount, settled, ore)
        assert abs(fits) <= abs(ore)
        assert fits * ore >= 0
        settled += fits
        assert 0 <= settled <= amount
        assert fits == ore or settled in (0, amount)


@pytest.mark.parametrize(
    ("open_ore", "due_on", "today", "overdue"),
    [
        (500, MONDAY, MONDAY, False),  # due today is not overdue
        (500, MONDAY, MONDAY + DAY, True),
        (499, MONDAY, MONDAY + DAY, False),
        (0, MONDAY, MONDAY + DAY, False),
        (500, None, MONDAY + DAY, False),
        (500, MONDAY, MONDAY - DAY, False),
    ],
)
def test_overdue(open_ore: int, due_on: dt.date | None, today: dt.date, overdue: bool) -> None:
    assert is_overdue(open_ore, due_on, today, 500) is overdue


def test_nothing_open_is_never_overdue_even_without_a_remainder_figure() -> None:
    assert not is_overdue(0, MONDAY, MONDAY + DAY, 0)


@pytest.mark.parametrize(
    ("due_on", "settled", "in_time"),
    [
        (MONDAY, [(MONDAY, 10_000)], True),
        (MONDAY, [(MONDAY + DAY, 10_000)], False),
        (MONDAY, [(MONDAY, 9_501)], True),  # under five kroner is nothing
        (MONDAY, [(MONDAY, 9_500)], False),
        (MONDAY, [(MONDAY, 5_000), (MONDAY - DAY, 5_000)], True),
        (MONDAY, [(MONDAY, 5_000), (MONDAY + DAY, 5_000)], False),
        (MONDAY, [(MONDAY, 10_000), (MONDAY, -10_000)], False),  # taken back the same day
        (SATURDAY, [(MONDAY, 10_000)], True),  # banks do not settle on a Saturday
        (SATURDAY, [(MONDAY + DAY, 10_000)], False),
        (MONDAY, [], False),
    ],
)
def test_paid_in_time(due_on: dt.date, settled: list[tuple[dt.date, int]], in_time: bool) -> None:
    assert paid_in_time([Owed(10_000, due_on, settled)], [], 500) is in_time


LATE = MONDAY + 5 * DAY


@pytest.mark.parametrize(
    ("claims", "spare", "in_time"),
    [
        ([Owed(10_000, MONDAY, [(LATE, 10_000)])], [(MONDAY, 10_000)], True),
        ([Owed(10_000, MONDAY, [(LATE, 10_000)])], [(MONDAY, 9_501)], True),
        ([Owed(10_000, MONDAY, [(LATE, 10_000)])], [(MONDAY, 9_500)], False),
        ([Owed(10_000, MONDAY, [(LATE, 10_000)])], [(MONDAY + DAY, 10_000)], False),
        ([Owed(10_000, MONDAY, [(MONDAY, 4_000), (LATE, 6_000)])], [(MONDAY, 6_000)], True),
        # Two claims and in-time money for one of them: each øre once.
        ([Owed(10_000, MONDAY, [(LATE, 10_000)])] * 2, [(MONDAY, 10_000)], False),
        ([Owed(10_000, MONDAY, [(LATE, 10_000)])] * 2, [(MONDAY, 10_000), (MONDAY - DAY, 10_000)], True),
        # The second claim's day is later: money between the two is its own, not the first one's.
        (
            [Owed(10_000, MONDAY, [(LATE, 10_000)]), Owed(5_000, LATE, [(LATE + DAY, 5_000)])],
            [(LATE, 15_000)],
            False,
        ),
        # Late for the first, and left over had we known: in time for the second.
        (
            [Owed(10_000, MONDAY, [(LATE, 10_000)]), Owed(10_000, LATE, [(LATE + DAY, 10_000)])],
            [(MONDAY, 10_000)],
            True,
        ),
        # What each lacks under the figure is forgiven each.
        ([Owed(10_000, MONDAY, [(MONDAY, 9_700)]), Owed(5_000, MONDAY, [(MONDAY, 4_700)])], [], True),
    ],
)
def test_paid_in_time_by_credit(claims: list[Owed], spare: list[tuple[dt.date, int]], in_time: bool) -> None:
    assert paid_in_time(claims, spare, 500) is in_time
    assert paid_in_time(claims[::-1], spare[::-1], 500) is in_time
