"""Days that are not like others: the autumn night of 25 hours, and the leap day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from simulator import report
from simulator.roadside import FJELL
from simulator.stage import Stage
from simulator.times import OSLO, at
from tests.scenarios.conftest import Inside


def agrees(stage: Stage) -> None:
    proven = stage.last_words()
    assert proven["ok"], proven["first_difference"]
    assert report.gather(stage, proven, threads=1).differences() == []


@contextmanager
def stage_from(ground: Inside, first: dt.date) -> Iterator[Stage]:
    """A stage whose clock begins on a date."""
    stage = Stage(ground)
    stage.move(at(first))
    stage.open_road()
    yield stage
    agrees(stage)
    stage.close()


def test_the_night_of_25_hours(ground: Inside) -> None:
    """Half past two comes twice: two passages an hour apart, each with its own offset; the one is not the other."""
    with stage_from(ground, dt.date(2026, 10, 24)) as stage:
        night_of_25_hours(stage, dt.date(2026, 10, 25))


def night_of_25_hours(stage: Stage, night: dt.date) -> None:
    _, number, car = stage.household()
    stage.move(at(night, 9))
    summer = dt.datetime(2026, 10, 25, 2, 30, tzinfo=OSLO)
    winter = summer.replace(fold=1)
    records = [
        stage.road.passage(FJELL, car, moment.astimezone(dt.UTC), amount_ore=3000) for moment in (summer, winter)
    ]
    assert [one["passed_at"][-6:] for one in records] == ["+02:00", "+01:00"]
    stage.accepted(FJELL, records)
    shown = stage.passages(number)
    assert [row["passed_at"] for row in shown] == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]
    other_hour = records[0] | {"passed_at": records[1]["passed_at"]}
    assert stage.send(FJELL, [other_hour])[0]["code"] == "conflict"
    in_utc = records[0] | {"passed_at": "2026-10-25T00:30:00Z"}
    assert stage.send(FJELL, [in_utc])[0]["code"] == "duplicate"
    stage.move(at(dt.date(2026, 11, 1)))
    assert stage.only_invoice(number)["total_ore"] == 6000


def test_the_leap_day(ground: Inside) -> None:
    """What is driven on 29 February is on that month's invoice, and the month ends then."""
    leap = dt.date(2028, 2, 29)
    with stage_from(ground, leap - dt.timedelta(days=1)) as stage:
        _, number, car = stage.household()
        stage.move(at(leap, 23, 50))
        stage.accepted(FJELL, [stage.road.passage(FJELL, car, at(leap, 23, 30), amount_ore=6000)])
        stage.move(at(dt.date(2028, 3, 1)))
        bill = stage.invoice(int(stage.only_invoice(number)["number"]))
        assert (bill["total_ore"], bill["issued_on"]) == (6000, "2028-03-01")
        assert (bill["period_from"], bill["period_to"]) == ("2028-02-29", "2028-02-29")
