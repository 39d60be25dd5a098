"""The simulated people, their payments and the roadside: always the same, never twice the same number."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path

import pytest
from stdnum.no import orgnr

from simulator import payers
from simulator.people import Population, Vehicle
from simulator.roadside import FJELL, FJORD, Roadside, lines
from simulator.times import at, bank_day, bank_day_before, is_bank_day, next_bank_day, written

ISSUED, DUE = dt.date(2026, 2, 1), dt.date(2026, 2, 15)


def test_people_are_the_same_for_a_seed_and_differ_from_each_other() -> None:
    one, other = Population(1), Population(1)
    people = [one.person(business=index % 2 == 0) for index in range(200)]
    assert people == [other.person(business=index % 2 == 0) for index in range(200)]
    assert len({person.email for person in people}) == 200
    numbers = [person.org_no for person in people if person.org_no]
    assert len(set(numbers)) == 100
    assert all(orgnr.is_valid(number) for number in numbers)


def test_vehicles_have_plates_and_tags_of_their_own() -> None:
    population = Population(2)
    cars = [population.vehicle(country="SE" if index % 9 == 0 else "NO") for index in range(500)]
    assert len({(car.country, car.plate) for car in cars}) == 500
    assert len({car.pan for car in cars}) == 500
    assert all(car.pan is not None and len(car.pan) == 19 and car.pan.isdecimal() for car in cars)


@pytest.mark.parametrize(
    ("car", "by_image", "paid"),
    [
        (Vehicle("AB12345", pan="9" * 19), False, 2480),
        (Vehicle("AB12345", pan="9" * 19), True, 3100),
        (Vehicle("AB12345"), False, 3100),
        (Vehicle("EL12345", pan="9" * 19, electric=True), False, 1240),
    ],
)
def test_a_passage_is_priced_as_the_charger_would(car: Vehicle, by_image: bool, paid: int) -> None:
    record = Roadside().passage(FJELL, car, at(ISSUED), station=FJELL.stations[0], by_image=by_image)
    assert (record["amount"], record["list_price"], record["vat_rate"]) == (paid, 3100, 0)
    assert ("pan" in record) == (car.pan is not None and not by_image)


def test_records_are_numbered_and_written_one_a_line() -> None:
    road, car = Roadside(), Vehicle("AB12345")
    records = [road.passage(FJORD, car, at(ISSUED)) for _ in range(3)]
    assert len({record["id"] for record in records}) == 3
    text = lines([*records, "{broken"]).decode().splitlines()
    assert [json.loads(line) for line in text[:3]] == records
    assert text[3] == "{broken"


@pytest.mark.parametrize("habit", payers.HABITS)
def test_every_habit_pays_on_bank_days_after_the_invoice(habit: str) -> None:
    for seed in range(30):
        paid = payers.payments(habit, "100000018", 12_345, ISSUED, DUE, random.Random(seed))
        assert all(is_bank_day(one.date) and one.date > ISSUED for one in paid)
        total = sum(one.amount_ore for one in paid)
        assert total == 0 if habit == "never" else total >= 12_345
        if habit in {"in_time", "early", "half_first", "wrong_kid", "too_much"}:
            assert all(one.date <= DUE for one in paid)
        if habit == "late":
            assert all(one.date > DUE for one in paid)


def test_the_bank_sends_what_is_due_and_keeps_the_rest(tmp_path: Path) -> None:
    house = payers.House(tmp_path / "in")
    for day in (2, 3, 4):
        for payment in payers.payments("early", "100000018", 100, ISSUED, DUE, random.Random(day)):
            house.pay(payment, in_file_of=dt.date(2026, 2, day))
    path = house.send(dt.date(2026, 2, 3))
    text = path.read_text("iso-8859-1").splitlines()
    assert sum(1 for line in text if line.startswith("NY091030")) == 2
    assert house.waits()
    empty = house.send(dt.date(2026, 2, 3)).read_text("iso-8859-1").splitlines()
    assert [line[6:8] for line in empty] == ["10", "20", "88", "89"]
    assert not list(path.parent.glob("*.part"))


def test_bank_days_leave_out_weekends_and_holidays() -> None:
    maundy_thursday = dt.date(2026, 4, 2)
    assert not is_bank_day(maundy_thursday)
    assert bank_day(maundy_thursday) == dt.date(2026, 4, 7)
    assert bank_day_before(maundy_thursday) == dt.date(2026, 4, 1)
    assert next_bank_day(dt.date(2026, 4, 1)) == dt.date(2026, 4, 7)


def test_hours_are_oslo_hours_on_both_sides_of_the_clock_change() -> None:
    assert written(at(dt.date(2026, 3, 28))) == "2026-03-28T12:00:00+01:00"
    assert written(at(dt.date(2026, 3, 29))) == "2026-03-29T12:00:00+02:00"
