"""When older passages are a backlog, how large slices are, how many are due."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.passages.backlog import rules

DAY = dt.timedelta(days=1)
MONDAY = dt.date(2026, 3, 2)


@pytest.mark.parametrize(
    ("recent", "size"), [(0, 50_000), (100_000, 50_000), (100_001, 50_000), (100_002, 50_001), (4_000_000, 2_000_000)]
)
def test_a_slice_is_twice_an_ordinary_week_at_least(recent: int, size: int) -> None:
    assert rules.slice_ore(50_000, recent) == size


@pytest.mark.parametrize(
    ("old", "unbilled", "begins"),
    [(100_000, 200_000, False), (100_001, 200_000, True), (100_001, 50_000, False), (100_001, 50_001, True)],
)
def test_it_begins_with_too_much_that_is_old(old: int, unbilled: int, begins: bool) -> None:
    assert rules.begins(old, unbilled, 50_000, 100_000) is begins


@pytest.mark.parametrize(
    ("since", "days", "due"),
    [("began", 0, 1), ("began", 6, 1), ("began", 14, 2), ("began", 90, 4), ("last", 0, 0), ("last", 6, 0),
     ("last", 7, 1), ("last", 13, 1), ("last", 28, 4), ("last", 35, 4)],
)  # fmt: skip
def test_a_slice_a_week(since: str, days: int, due: int) -> None:
    last = MONDAY if since == "last" else None
    assert rules.due_slices(last, MONDAY - (90 * DAY if last else 0 * DAY), MONDAY + days * DAY, 7, 4) == due


@given(unbilled=st.integers(1, 10**9), size=st.integers(1, 10**7))
def test_weeks_are_as_many_slices_as_it_takes(unbilled: int, size: int) -> None:
    number = rules.weeks(unbilled, size)
    assert (number - 1) * size < unbilled <= number * size
