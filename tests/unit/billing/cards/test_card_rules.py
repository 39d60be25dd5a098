"""When a card is due, its fee, and what follows a decline."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cards.rules import AfterDecline, Due, after_decline, fee, is_due, segment_of
from config.bankdays import is_bank_day

MONDAY = dt.date(2026, 3, 2)
RETRIES = (1, 3, 5)


@pytest.mark.parametrize(
    ("unbilled", "open_charge", "last", "today", "expected"),
    [
        (19_999, False, None, MONDAY, Due(False)),
        (20_000, False, None, MONDAY, Due(True)),
        (20_000, True, None, MONDAY, Due(False)),
        (-20_000, False, None, MONDAY, Due(False)),
        (20_000, False, MONDAY, MONDAY + dt.timedelta(days=6), Due(False, MONDAY + dt.timedelta(days=7))),
        (20_000, False, MONDAY, MONDAY + dt.timedelta(days=7), Due(True)),
        (20_000, False, dt.date(2026, 2, 26), dt.date(2026, 3, 5), Due(True)),
        (20_000, False, dt.date(2026, 12, 28), dt.date(2027, 1, 1), Due(False, dt.date(2027, 1, 4))),
        (20_000, False, dt.date(2026, 10, 22), dt.date(2026, 10, 29), Due(True)),
    ],
)
def test_due(unbilled: int, open_charge: bool, last: dt.date | None, today: dt.date, expected: Due) -> None:
    got = is_due(
        unbilled_ore=unbilled,
        threshold_ore=20_000,
        open_charge=open_charge,
        last_charged_on=last,
        week_days=7,
        today=today,
    )
    assert got == expected


@pytest.mark.parametrize(
    ("amount", "segment", "expected"),
    [
        (20_000, "commercial", 450),
        (20_025, "commercial", 451),
        (20_024, "commercial", 450),
        (20_000, "consumer", 0),
        (20_000, "unknown", 0),
        (1, "commercial", 50),
        (0, "commercial", 0),
    ],
)
def test_fee(amount: int, segment: str, expected: int) -> None:
    assert fee(amount, segment=segment, fee_bp=200, fee_ore=50) == expected


@given(st.integers(min_value=1, max_value=10**9))
def test_a_commercial_fee_is_never_off_by_more_than_half_an_ore(amount: int) -> None:
    exact_hundredths = amount * 2 + 5000
    assert abs(fee(amount, segment="commercial", fee_bp=200, fee_ore=50) * 100 - exact_hundredths) <= 50


@pytest.mark.parametrize(
    ("days", "never", "needs_customer", "expected"),
    [
        (0, False, False, AfterDecline("retry", dt.date(2026, 3, 3))),
        (1, False, False, AfterDecline("retry", dt.date(2026, 3, 5))),
        (2, False, False, AfterDecline("retry", dt.date(2026, 3, 5))),
        (3, False, False, AfterDecline("retry", dt.date(2026, 3, 9))),
        (6, False, False, AfterDecline("retry", dt.date(2026, 3, 9))),
        (7, False, False, AfterDecline("invoice")),
        (30, False, False, AfterDecline("invoice")),
        (0, True, False, AfterDecline("invoice")),
        (0, False, True, AfterDecline("invoice")),
    ],
)
def test_after_a_decline(days: int, never: bool, needs_customer: bool, expected: AfterDecline) -> None:
    got = after_decline(
        never=never,
        needs_customer=needs_customer,
        first_on=MONDAY,
        today=MONDAY + dt.timedelta(days=days),
        retry_bank_days=RETRIES,
    )
    assert got == expected


@given(st.dates(dt.date(2024, 1, 1), dt.date(2030, 1, 1)), st.integers(0, 30))
def test_a_retry_falls_on_a_later_bank_day(first: dt.date, days: int) -> None:
    today = first + dt.timedelta(days=days)
    got = after_decline(never=False, needs_customer=False, first_on=first, today=today, retry_bank_days=RETRIES)
    if got.on is not None:
        assert got.on > today
        assert is_bank_day(got.on)


@given(st.dates(dt.date(2024, 1, 1), dt.date(2030, 1, 1)))
def test_there_are_as_many_retries_as_days(first: dt.date) -> None:
    today, tried = first, 0
    while (
        on := after_decline(never=False, needs_customer=False, first_on=first, today=today, retry_bank_days=RETRIES).on
    ) is not None:
        today, tried = on, tried + 1
    assert tried == len(RETRIES)


@pytest.mark.parametrize(
    ("told", "declared", "expected"),
    [
        ("commercial", False, ("commercial", "provider")),
        ("consumer", True, ("consumer", "provider")),
        ("unknown", True, ("commercial", "holder")),
        ("unknown", False, ("unknown", "holder")),
    ],
)
def test_segment(told: str, declared: bool, expected: tuple[str, str]) -> None:
    assert segment_of(told, declared_commercial=declared) == expected
