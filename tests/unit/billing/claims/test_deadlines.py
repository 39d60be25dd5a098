"""Deadlines by table: bank days, the cut-off at 14:00 on the wall clock, months, and that rules agree."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.claims.deadlines import (
    Deadlines,
    Notice,
    arrives_on,
    can_cancel,
    cancel_by,
    deadlines,
    earliest_due,
    in_time,
    latest_due,
    notice_for,
)
from config.bankdays import is_bank_day
from config.clock import OSLO

FIGURES = Deadlines(cutoff_minute=840, own_days=14, own_least_days=4, bank_first_day=15)


def oslo(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=OSLO).astimezone(dt.UTC)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def test_the_figures_are_in_the_table_of_figures() -> None:
    assert deadlines(day("2026-03-01")) == FIGURES


@pytest.mark.parametrize(
    ("made", "arrives"),
    [
        ("2026-03-02T14:00:00", "2026-03-02"),  # a Monday, on the stroke
        ("2026-03-02T14:00:01", "2026-03-03"),
        ("2026-03-06T15:00:00", "2026-03-09"),  # a Friday afternoon
        ("2026-03-07T08:00:00", "2026-03-09"),
        ("2026-04-01T15:00:00", "2026-04-07"),  # Easter: Thursday to Monday are closed
        ("2026-03-27T14:00:00", "2026-03-27"),  # winter time
        ("2026-03-30T14:00:00", "2026-03-30"),  # summer time
    ],
)
def test_when_a_file_counts_as_having_come(made: str, arrives: str) -> None:
    assert arrives_on(oslo(made), FIGURES) == day(arrives)


@pytest.mark.parametrize(
    ("made", "notice", "due"),
    [
        ("2026-03-02T13:00:00", "own", "2026-03-16"),
        ("2026-03-02T15:00:00", "own", "2026-03-17"),
        ("2026-03-20T10:00:00", "own", "2026-04-07"),  # 3 April is Good Friday
        ("2026-03-31T13:59:00", "bank", "2026-04-15"),
        ("2026-03-31T14:01:00", "bank", "2026-05-15"),  # comes in April
        ("2026-03-02T10:00:00", "bank", "2026-04-15"),
        ("2026-12-31T10:00:00", "bank", "2027-01-15"),
        ("2026-10-30T13:00:00", "bank", "2026-11-16"),  # the fifteenth is a Sunday
        ("2026-10-31T10:00:00", "bank", "2026-12-15"),  # a Saturday: comes in November
    ],
)
def test_the_earliest_due_date(made: str, notice: Notice, due: str) -> None:
    assert earliest_due(oslo(made), notice, FIGURES) == day(due)


@pytest.mark.parametrize(
    ("made", "due", "notice", "holds"),
    [
        ("2026-03-02T13:00:00", "2026-03-06", "own", True),
        ("2026-03-02T13:00:00", "2026-03-05", "own", False),
        ("2026-03-02T15:00:00", "2026-03-06", "own", False),
        ("2026-03-02T13:00:00", "2026-03-31", "bank", False),
        ("2026-03-02T13:00:00", "2026-04-14", "bank", False),
        ("2026-03-02T13:00:00", "2026-04-15", "bank", True),
        ("2026-03-02T13:00:00", "2027-03-02", "own", True),
        ("2026-03-02T13:00:00", "2027-03-03", "own", False),
    ],
)
def test_what_the_bank_takes(made: str, due: str, notice: Notice, holds: bool) -> None:
    assert in_time(oslo(made), day(due), notice, FIGURES) is holds


@pytest.mark.parametrize(
    ("due", "by"),
    [
        ("2026-03-17", "2026-03-16T14:00:00"),
        ("2026-03-16", "2026-03-13T14:00:00"),  # over a weekend
        ("2026-04-07", "2026-04-01T14:00:00"),  # over Easter
        ("2026-05-18", "2026-05-15T14:00:00"),
    ],
)
def test_until_when_a_claim_can_be_taken_back(due: str, by: str) -> None:
    assert cancel_by(day(due), FIGURES) == oslo(by)
    assert can_cancel(day(due), oslo(by), FIGURES)
    assert not can_cancel(day(due), oslo(by) + dt.timedelta(seconds=1), FIGURES)


@pytest.mark.parametrize(("made", "last"), [("2026-03-02", "2027-03-02"), ("2028-02-29", "2029-02-28")])
def test_twelve_months_ahead(made: str, last: str) -> None:
    assert latest_due(day(made)) == day(last)


@pytest.mark.parametrize(
    ("wanted", "beside", "policy", "notice"),
    [
        (True, False, "bank", "bank"),
        (True, True, "bank", "own"),  # the eFaktura is the notice
        (False, False, "bank", "own"),
        (True, False, "own", "own"),
        (False, True, "own", "own"),
    ],
)
def test_who_tells_the_payer(wanted: bool, beside: bool, policy: Notice, notice: Notice) -> None:
    assert notice_for(wanted, beside=beside, policy=policy) == notice


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2035, 1, 1)), st.sampled_from(["own", "bank"]), st.integers(0, 9)
)
def test_what_is_due_as_early_as_can_be_is_in_time_on_a_bank_day(made: dt.datetime, how: str, later: int) -> None:
    at = made.replace(tzinfo=dt.UTC)
    notice: Notice = "own" if how == "own" else "bank"
    due = earliest_due(at, notice, FIGURES)
    assert is_bank_day(due)
    assert in_time(at, due, notice, FIGURES)
    assert can_cancel(due, at, FIGURES)
    # It never helps to send later.
    assert earliest_due(at + dt.timedelta(days=later), notice, FIGURES) >= due
