"""Which fare and toll are one crossing."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.invoices.crossings import Leg, journeys

NINE = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)
WITHIN = dt.timedelta(minutes=5)


def leg(
    minutes: float, *, fare: bool, vehicle: str = "EK1", charger: int = 1, station: str = "A", back: bool = False
) -> Leg:
    return Leg(NINE + dt.timedelta(minutes=minutes), vehicle, charger, station, fare, back)


FARE = leg(0, fare=True)


@pytest.mark.parametrize(
    ("toll", "one"),
    [
        (leg(0, fare=False), True),
        (leg(5, fare=False), True),
        (leg(-5, fare=False), True),
        (leg(5.1, fare=False), False),
        (leg(1, fare=False, vehicle="EK2"), False),
        (leg(1, fare=False, charger=2, station="B"), False),
        (leg(1, fare=False, charger=2, station="A"), True),  # the toll company names the same quay
        (leg(1, fare=False, station="B"), True),
        (leg(1, fare=True), False),
        (leg(1, fare=False, back=True), False),
    ],
)
def test_a_fare_and_a_toll_are_one_crossing(toll: Leg, one: bool) -> None:
    expected = {0: 1, 1: 1} if one else {}
    assert journeys([FARE, toll], WITHIN) == expected
    assert journeys([toll, FARE], WITHIN) == expected


def test_each_is_in_one_crossing_and_the_nearest_belongs() -> None:
    legs = [leg(4, fare=False), FARE, leg(1, fare=False), leg(60, fare=True), leg(61, fare=False)]
    assert journeys(legs, WITHIN) == {1: 1, 2: 1, 3: 2, 4: 2}
    assert journeys([FARE, leg(1, fare=True), leg(2, fare=False)], WITHIN) == {0: 1, 2: 1}


LEGS = st.lists(
    st.builds(
        leg,
        st.integers(0, 40),
        fare=st.booleans(),
        vehicle=st.sampled_from(["EK1", "EK2"]),
        charger=st.integers(1, 2),
        back=st.booleans(),
    ),
    max_size=25,
)


@given(LEGS)
def test_a_crossing_is_always_one_fare_and_one_toll_of_one_vehicle(legs: list[Leg]) -> None:
    found = journeys(legs, WITHIN)
    for number in set(found.values()):
        first, second = (legs[index] for index, one in found.items() if one == number)
        assert first.fare != second.fare
        assert (first.vehicle, first.back) == (second.vehicle, second.back)
        assert abs(first.at - second.at) <= WITHIN
