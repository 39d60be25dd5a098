"""What a claim gives back that is settled by too much."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.claims.rules import release

ONE, TWO, THREE = (dt.date(2026, 2, day) for day in (1, 2, 3))


@pytest.mark.parametrize(
    ("settled", "written_off", "excess", "expected"),
    [
        ([(ONE, 100)], 0, 0, (0, [])),
        ([(ONE, 100)], 0, 40, (0, [(ONE, 40)])),
        ([(ONE, 100), (TWO, 50)], 0, 60, (0, [(TWO, 50), (ONE, 10)])),
        ([(ONE, 100), (TWO, 50)], 30, 20, (20, [])),
        ([(ONE, 100), (TWO, 50)], 30, 40, (30, [(TWO, 10)])),
        ([(ONE, 100), (TWO, 50), (THREE, -50)], 0, 60, (0, [(ONE, 60)])),
        ([(ONE, 100), (TWO, 50), (TWO, -20)], 0, 40, (0, [(TWO, 30), (ONE, 10)])),
        ([(ONE, 100)], -5, 40, (0, [(ONE, 40)])),
    ],
)
def test_the_latest_money_goes_first(
    settled: list[tuple[dt.date, int]], written_off: int, excess: int, expected: tuple[int, list[tuple[dt.date, int]]]
) -> None:
    assert release(settled, written_off, excess) == expected


def test_more_than_there_is_cannot_be_given_back() -> None:
    with pytest.raises(ValueError, match="10 øre"):
        release([(ONE, 100), (TWO, -60)], 0, 50)


_DAYS = st.dates(ONE, dt.date(2026, 2, 8))


@settings(max_examples=150)
@given(st.lists(st.tuples(_DAYS, st.integers(1, 5_000)), max_size=8), st.integers(0, 600), st.data())
def test_what_is_given_back_adds_up_and_was_there(
    money: list[tuple[dt.date, int]], written_off: int, data: st.DataObject
) -> None:
    backs = data.draw(st.lists(st.sampled_from(money), max_size=2, unique_by=id) if money else st.just([]))
    settled = money + [(day, -ore) for day, ore in backs]
    there = sum(ore for _, ore in settled) + written_off
    excess = data.draw(st.integers(0, max(there, 0)))
    written_back, released = release(settled, written_off, excess)
    assert written_back + sum(ore for _, ore in released) == excess
    assert written_back == min(written_off, excess)
    days = [day for day, _ in released]
    assert days == sorted(set(days), reverse=True)
    for day, ore in released:
        assert 0 < ore <= sum(one for on, one in settled if on == day and one > 0)
