"""What follows when a card is removed, renewed or about to expire."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.cards.card_rules import (
    Looks,
    after_removal,
    last_day,
    segment_after,
    tell_of_expiry,
    works_again,
)

BEFORE = Looks("visa", "4242", 12, 2034)


@pytest.mark.parametrize(
    ("usable", "is_default", "others", "charge", "instead", "then"),
    [
        (True, True, True, "claimed", False, "another"),
        (True, True, True, None, True, "another"),
        (True, True, False, None, False, "invoice"),
        (True, True, False, "due", False, "invoice"),
        (True, True, False, "claimed", False, "refused"),
        (True, True, False, "claimed", True, "instead"),
        (True, False, False, "claimed", False, "refused"),
        (False, True, False, "claimed", False, "invoice"),
        (False, False, False, "claimed", False, "nothing"),
        (False, False, True, None, False, "another"),
    ],
)
def test_after_removal(
    usable: bool, is_default: bool, others: bool, charge: str | None, instead: bool, then: str
) -> None:
    assert (
        after_removal(usable=usable, is_default=is_default, others_usable=others, charge=charge, instead=instead)
        == then
    )


def test_the_only_way_to_pay_a_tried_charge_is_never_lost() -> None:
    flags = (False, True)
    for is_default, others, instead in itertools.product(flags, flags, flags):
        then = after_removal(
            usable=True, is_default=is_default, others_usable=others, charge="claimed", instead=instead
        )
        assert others or then in ("refused", "instead")
        assert then != "refused" or not (others or instead)


@pytest.mark.parametrize(
    ("told", "segment", "source", "expected"),
    [
        ("commercial", "consumer", "provider", ("commercial", "provider")),
        ("consumer", "commercial", "holder", ("consumer", "provider")),
        ("unknown", "commercial", "holder", ("commercial", "holder")),
        ("unknown", "consumer", "provider", ("consumer", "provider")),
        ("commercial", "consumer", "support", ("consumer", "support")),
        ("unknown", "unknown", "support", ("unknown", "support")),
    ],
)
def test_what_support_has_set_stays(told: str, segment: str, source: str, expected: tuple[str, str]) -> None:
    assert segment_after(told, segment=segment, source=source) == expected


@pytest.mark.parametrize(
    ("code", "after", "again"),
    [
        ("expired_card", Looks("visa", "4242", 12, 2038), True),
        ("lost_card", Looks("visa", "5353", 12, 2034), True),
        ("expired_card", BEFORE, False),
        ("disputed", Looks("visa", "5353", 12, 2038), False),
        (None, Looks("visa", "5353", 12, 2038), False),
    ],
)
def test_a_renewed_card_works_again(code: str | None, after: Looks, again: bool) -> None:
    assert works_again(code, BEFORE, after) is again


@pytest.mark.parametrize(
    ("month", "year", "last"),
    [(2, 2028, dt.date(2028, 2, 29)), (2, 2027, dt.date(2027, 2, 28)), (12, 2026, dt.date(2026, 12, 31))],
)
def test_a_card_is_good_through_its_month(month: int, year: int, last: dt.date) -> None:
    assert last_day(month, year) == last


@pytest.mark.parametrize(
    ("today", "told"),
    [
        (dt.date(2026, 1, 28), False),
        (dt.date(2026, 1, 29), True),
        (dt.date(2026, 2, 28), True),
        (dt.date(2026, 3, 1), False),
    ],
)
def test_thirty_days_before_the_end_of_february(today: dt.date, told: bool) -> None:
    assert tell_of_expiry(2, 2026, today=today, notice_days=30) is told


@given(st.dates(dt.date(2020, 1, 1), dt.date(2060, 12, 31)), st.integers(1, 60))
def test_the_notice_comes_on_so_many_days_in_a_row(last: dt.date, days: int) -> None:
    end = last_day(last.month, last.year)
    around = [end + dt.timedelta(days=ahead) for ahead in range(-days - 5, 6)]
    told = [tell_of_expiry(end.month, end.year, today=day, notice_days=days) for day in around]
    assert told == [False] * 5 + [True] * (days + 1) + [False] * 5
