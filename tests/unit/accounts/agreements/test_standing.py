"""The standing is a pure function of facts."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.agreements import rules
from config.checks import Wrong

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
EARLIER, LATER = NOW - dt.timedelta(days=1), NOW + dt.timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("block_active", "overdue_ore", "closed_at", "expected"),
    [
        (False, 0, None, "open"),
        (False, 1, None, "open"),  # overdue, but the overdue step has not recorded a block
        (True, 1, None, "blocked"),
        (True, 100_000, None, "blocked"),
        (True, 0, None, "awaiting_reopen"),
        (False, 0, LATER, "open"),
        (True, 1, LATER, "blocked"),
        (True, 0, LATER, "awaiting_reopen"),
        (False, 0, NOW, "closed"),
        (False, 1, EARLIER, "closed"),
        (True, 1, NOW, "closed"),
        (True, 0, EARLIER, "closed"),
    ],
)
def test_cases(block_active: bool, overdue_ore: int, closed_at: dt.datetime | None, expected: str) -> None:
    found = rules.standing(block_active=block_active, overdue_ore=overdue_ore, closed_at=closed_at, now=NOW)
    assert found == expected


def test_a_negative_sum_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        rules.standing(block_active=True, overdue_ore=-1, closed_at=None, now=NOW)


instants = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2030, 1, 1), timezones=st.just(dt.UTC))
closings = st.none() | instants


@given(st.booleans(), st.integers(0, 10**12), closings, instants)
def test_properties(block_active: bool, overdue_ore: int, closed_at: dt.datetime | None, now: dt.datetime) -> None:
    found = rules.standing(block_active=block_active, overdue_ore=overdue_ore, closed_at=closed_at, now=now)
    closed = closed_at is not None and closed_at <= now
    assert (found == "closed") == closed
    assert (found == "open") == (not closed and not block_active)
    assert (found == "blocked") == (not closed and block_active and overdue_ore > 0)
    assert found in rules.STANDINGS


@given(st.booleans(), st.integers(0, 10**6), instants, instants, instants)
def test_closed_stays_closed(
    block_active: bool, overdue_ore: int, closed_at: dt.datetime, one: dt.datetime, other: dt.datetime
) -> None:
    first, second = sorted([one, other])
    if rules.standing(block_active=block_active, overdue_ore=overdue_ore, closed_at=closed_at, now=first) == "closed":
        assert rules.standing(block_active=False, overdue_ore=0, closed_at=closed_at, now=second) == "closed"


def test_payment_alone_never_opens() -> None:
    """However little is overdue, an active block keeps the agreement shut: support must reopen it."""
    for overdue in (0, 1, 10**9):
        assert rules.standing(block_active=True, overdue_ore=overdue, closed_at=None, now=NOW) != "open"


def test_contact_has_a_channel_and_a_bounded_note() -> None:
    assert rules.contact("phone", " called ") == {"channel": "phone", "note": "called"}
    for channel, note in (("pigeon", ""), ("phone", "x" * 1001), ("phone", "\x00")):
        with pytest.raises(Wrong):
            rules.contact(channel, note)
