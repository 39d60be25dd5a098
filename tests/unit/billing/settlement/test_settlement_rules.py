"""What a settlement comes to, and which days it is for."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.roadside.settlement.rules import DAY, Due, Period, Sums, due, periods

ORE = st.integers(-(10**12), 10**12)
RATE = st.integers(0, 10_000)
DATE = st.dates(dt.date(2020, 1, 1), dt.date(2030, 12, 31))


@pytest.mark.parametrize(
    ("claim", "rate", "vat", "brought", "expected"),
    [
        (100_000, 175, 0, 0, Due(1_750, 0, 98_250)),
        (0, 175, 0, 0, Due(0, 0, 0)),
        (200, 175, 0, 0, Due(4, 0, 196)),  # 3.5 øre: away from zero
        (-200, 175, 0, 0, Due(-4, 0, -196)),
        (199, 175, 0, 0, Due(3, 0, 196)),  # 3.4825
        (100_000, 175, 2_500, 0, Due(1_750, 438, 97_812)),  # 437.5
        (100_000, 175, 0, -60_000, Due(1_750, 0, 38_250)),
        (50_000, 175, 0, -60_000, Due(875, 0, -10_875)),
    ],
)
def test_what_is_paid_out(claim: int, rate: int, vat: int, brought: int, expected: Due) -> None:
    assert due(claim, remuneration_bp=rate, vat_bp=vat, brought_ore=brought) == expected


@given(ORE, RATE, RATE)
def test_a_claim_taken_back_mirrors_the_claim(claim: int, rate: int, vat: int) -> None:
    one = due(claim, remuneration_bp=rate, vat_bp=vat, brought_ore=0)
    back = due(-claim, remuneration_bp=rate, vat_bp=vat, brought_ore=0)
    assert (one.remuneration_ore, one.remuneration_vat_ore, one.payout_ore) == (
        -back.remuneration_ore,
        -back.remuneration_vat_ore,
        -back.payout_ore,
    )


@given(ORE, RATE, RATE, st.integers(-(10**12), 0))
def test_every_ore_goes_somewhere(claim: int, rate: int, vat: int, brought: int) -> None:
    found = due(claim, remuneration_bp=rate, vat_bp=vat, brought_ore=brought)
    assert claim + brought == found.payout_ore + found.remuneration_ore + found.remuneration_vat_ore
    assert abs(found.remuneration_ore * 10_000 - claim * rate) * 2 <= 10_000  # rounded once, by half an øre at most


@given(st.lists(st.tuples(*[st.integers(0, 10**9)] * 4), max_size=20))
def test_the_lines_add_up(rows: list[tuple[int, int, int, int]]) -> None:
    lines = [Sums(*row) for row in rows]
    assert sum(lines, Sums()).net_ore == sum(line.net_ore for line in lines)


@pytest.mark.parametrize(
    ("begins", "through", "kind", "expected"),
    [
        ("2026-01-01", "2026-03-01", "month", ["2026-01-01/2026-01-31", "2026-02-01/2026-02-28"]),
        ("2028-02-10", "2028-02-29", "month", ["2028-02-10/2028-02-29"]),  # a leap day
        ("2028-02-10", "2028-02-28", "month", []),
        ("2026-03-04", "2026-03-15", "week", ["2026-03-04/2026-03-08", "2026-03-09/2026-03-15"]),
    ],
)
def test_whole_periods(begins: str, through: str, kind: str, expected: list[str]) -> None:
    found = periods(dt.date.fromisoformat(begins), dt.date.fromisoformat(through), kind)
    assert [f"{one.first}/{one.last}" for one in found] == expected


@settings(max_examples=50)
@given(DATE, st.integers(0, 500), st.sampled_from(("week", "month")))
def test_periods_follow_each_other(begins: dt.date, days: int, kind: str) -> None:
    through = begins + days * DAY
    found = list(periods(begins, through, kind))
    assert all(one.last <= through for one in found)
    assert all(after.first == before.last + DAY for before, after in pairwise(found))
    assert not found or found[0].first == begins
    rest = (found[-1].last + DAY) if found else begins
    assert next(periods(rest, rest + 31 * DAY, kind)).last > through  # no whole one is left out


def test_no_other_kinds() -> None:
    with pytest.raises(ValueError, match="year"):
        next(periods(dt.date(2026, 1, 1), dt.date(2026, 12, 31), "year"))
    with pytest.raises(ValueError, match="cannot end"):
        Period(dt.date(2026, 1, 2), dt.date(2026, 1, 1))
