"""Days of arrival hold in a world as ingest leaves it, and every spoiling makes them fail, naming what."""

from __future__ import annotations

import datetime as dt

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from accounts.chargers.models import Charger
from billing.passages.again import decide_again
from billing.passages.credit import credit
from billing.roadside.reconcile import keep
from billing.roadside.reconcile.check import SORTS, Reconciled, reconcile
from config.clock import move_clock
from config.database import SessionFactory, touched
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW
from tests.integration.billing.settlement.conftest import LATE_MARCH, MIDNIGHT, OVER, World

DAY = NOW.date()


def check(world: World, first: dt.date = DAY, last: dt.date = DAY, charger: str | None = None) -> Reconciled:
    return reconcile(world.session, first, last, now=OVER, charger=charger)


@pytest.fixture
def filled(world: World) -> World:
    """A day with every sort of answer, a credit, a move, corrections, and a record decided anew on a later day."""
    road = world.road
    for number in range(5):
        world.drive(f"A{number}", 1_000 + number, station="S1" if number else "S2")
    road.one(road.record("K", plate="EV10001", station="K1", service="ferry", amount=700), charger=road.ferry)
    road.vehicle(world.agreement, "EV10001", scope="FJORD", settlement="external", external_ref="7")
    road.one(road.record("L", plate="EV10001", station="K1", service="ferry", amount=800), charger=road.ferry)
    broken = road.record("broken", plate="EV10001", amount=-5)
    road.send(
        [
            road.record("A1", plate="EV10001", amount=1_001),  # a duplicate
            road.record("A2", plate="EV10001", amount=1),  # a conflict
            road.record("unknown", plate="XX99999"),
            broken,
            road.record("off", action="cancel", original="A3", issued_at=NOW),
            road.record("early", action="cancel", original="not-here", issued_at=NOW),
            road.record("more", action="adjust", original="A4", issued_at=NOW, plate="EV10001", amount=900),
        ]
    )
    credit(world.session, world.agreement, world.passage("A0"), reason="goodwill", actor="agent:x", now=NOW + HOUR)
    late = road.agreement()
    road.vehicle(late, "XX99999")
    charger = world.session.get_one(Charger, road.toll.id)
    again = decide_again(
        world.session, charger, ["unknown"], cause="contested", reason="they were right", actor="agent:x",
        now=LATE_MARCH, any_age=True,
    )  # fmt: skip
    assert [one.code for one in again.amended] == ["accepted"]
    return world


def test_a_whole_day_holds(filled: World) -> None:
    found = check(filled)
    assert found.first_difference is None, found.as_dict()
    (toll, ferry) = found.days
    assert (toll.charger, ferry.charger) == ("FJELL", "FJORD")
    assert {name: (sort.count, sort.ore) for name, sort in toll.sorts.items() if sort.count} == {
        "accepted": (7, 5_910),
        "rejected": (1, 2_480),
        "deferred": (1, 0),
        "duplicates": (1, 1_001),
        "conflicts": (1, 1),
        "broken": (1, 0),
    }
    assert toll.received == sum(sort.count for sort in toll.sorts.values()) == 12
    # A0 is owed though it was credited; A3 was cancelled and A4 became `more`; `unknown` was accepted on another day.
    assert toll.owed_ore == 1_000 + 1_001 + 1_002 + 900
    assert {name: (sort.count, sort.ore) for name, sort in ferry.sorts.items() if sort.count} == {
        "accepted": (1, 700),
        "other_agreement": (1, 800),
    }
    assert ferry.owed_ore == 700
    later = check(filled, LATE_MARCH.date(), LATE_MARCH.date())
    assert [(day.charger, day.received, day.owed_ore) for day in later.days] == [("FJELL", 0, 2_480)]
    assert later.first_difference is None


def test_days_and_chargers_are_kept_apart(filled: World) -> None:
    filled.drive("april", 3_000, at=MIDNIGHT)
    every = check(filled, DAY, MIDNIGHT.date() + dt.timedelta(days=1))
    assert [(day.charger, str(day.day)) for day in every.days] == [
        ("FJELL", "2026-03-02"),
        ("FJELL", "2026-03-31"),
        ("FJELL", "2026-04-01"),
        ("FJORD", "2026-03-02"),
    ]
    assert [day.charger for day in check(filled, charger="FJORD").days] == ["FJORD"]
    assert all(tuple(day.sorts) == SORTS for day in every.days)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE batches SET done = done + 1 WHERE id = :b", "2 records received, 1 answered"),
        ("UPDATE batches SET records = 9 WHERE id = :b", "the file says 9 records, 1 were received"),
        (
            "UPDATE batches SET counts = '{\"not_valid\": 1}' WHERE id = :b",
            "0 answered accepted, 1 are there",
        ),
        ("UPDATE batches SET sums = '{\"accepted\": 1}' WHERE id = :b", "1 øre answered accepted, 1000 øre are there"),
        ("DELETE FROM records WHERE source_id = 'A0'", "1 answered accepted, 0 are there"),
        ("UPDATE records SET code = 'not_valid' WHERE source_id = 'A0'", "1 answered accepted, 0 are there"),
        ("UPDATE records SET amount_ore = 999 WHERE source_id = 'A0'", "1000 øre answered accepted, 999 øre are there"),
        (
            "DELETE FROM passages WHERE source_id = 'A0' AND amount_ore > 0",
            "1 records of 1000 øre became passages, there are 0 of 0",
        ),
        (
            "UPDATE passages SET amount_ore = 1 WHERE source_id = 'A0' AND amount_ore > 0",
            "1 records of 1000 øre became passages, there are 1 of 1",
        ),
    ],
)
def test_what_does_not_hold_is_named(filled: World, sql: str, expected: str) -> None:
    (batch,) = filled.road.ask("SELECT batch_id FROM records WHERE source_id = 'A0'")[0]
    filled.session.execute(text("UPDATE batches SET state = 'done', finished_at = :now"), {"now": OVER})
    assert check(filled).first_difference is None
    params = {"b": batch} if ":b" in sql else {}
    assert touched(filled.session.execute(text(sql), params)) == 1
    assert check(filled).first_difference == f"FJELL 2026-03-02: batch {batch} (file.jsonl): {expected}"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DELETE FROM batch_faults WHERE code = 'conflict'", "1 answered conflict, 0 are there"),
        ("DELETE FROM amendments", "1 answered unknown_vehicle, 0 are there"),
        (
            "INSERT INTO batch_faults (batch_id, position, code, detail, raw) SELECT batch_id, 99, code, '', '' "
            "FROM batch_faults WHERE code = 'conflict'",
            "1 answered conflict, 2 are there",
        ),
    ],
)
def test_so_are_faults_and_first_answers(filled: World, sql: str, expected: str) -> None:
    assert touched(filled.session.execute(text(sql))) == 1
    first = check(filled).first_difference
    assert first is not None
    assert any(expected in line for day in check(filled).days for line in day.differences), check(filled).as_dict()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'passages' AND amount_ore = 1001",
        "UPDATE transfers SET booked_on = booked_on + 1 WHERE code = 'passages' AND amount_ore = 1001",
        "DELETE FROM transfers WHERE code = 'reversed' AND amount_ore = 1003",
        "UPDATE passages SET owed = NOT owed WHERE source_id = 'A3' AND amount_ore < 0",
        "UPDATE passages SET owed = true WHERE external",
    ],
)
def test_what_is_owed_is_what_was_booked(filled: World, sql: str) -> None:
    assert touched(filled.session.execute(text(sql))) == 1
    assert "booked on its payable" in str(check(filled).first_difference)


def test_missing_file_numbers_and_unfinished_batches_are_shown(filled: World) -> None:
    filled.session.execute(
        text("UPDATE batches SET file_number = 10 + id * 2, sender = 'HUB' WHERE charger_id = :c"),
        {"c": filled.road.toll.id},
    )
    found = check(filled)
    assert {(gap.charger, gap.sender, gap.first == gap.last) for gap in found.gaps} >= {("FJELL", "HUB", True)}
    assert [gap for gap in check(filled, charger="FJORD").gaps if gap.charger == "FJELL"] == []
    assert found.days[0].unfinished == found.days[0].batches == 6  # nobody closed them in this world
    assert found.first_difference is None


def test_the_job_keeps_and_alarms_and_looks_again(
    filled: World, sessions: SessionFactory, settings: Settings, client: FlaskClient
) -> None:
    next_day = NOW + dt.timedelta(days=1)
    spoil = "UPDATE transfers SET amount_ore = amount_ore + :by WHERE code = 'passages' AND amount_ore = :ore"
    filled.session.execute(text("UPDATE batches SET state = 'done', finished_at = :now"), {"now": OVER})
    filled.session.execute(text(spoil), {"by": 1, "ore": 1_001})
    move_clock(filled.session, next_day, running=False)
    filled.session.commit()
    context = JobContext(sessions, settings)
    assert keep.job(context, next_day) == {"days": 1, "wrong": 1}
    assert 'brikke_reconciliation_days{state="wrong"} 1\n' in client.get("/metrics").text
    rows = [(code, row.day, row.received) for code, row in keep.kept(filled.session, limit=9)]
    assert rows == [("FJELL", DAY, 12), ("FJORD", DAY, 2)]
    first = keep.kept(filled.session, limit=1)[0][1].first_difference
    assert first == "FJELL 2026-03-02: passages owed are 3903 øre, booked on its payable are 3904 øre"
    mend = "UPDATE transfers SET amount_ore = 1001 WHERE code = 'passages' AND ref = :batch"
    (batch,) = filled.road.ask("SELECT batch_id FROM records WHERE source_id = 'A1'")[0]
    filled.session.execute(text(mend), {"batch": batch})
    filled.session.commit()
    # It is looked at again on the days after, until it holds.
    assert keep.job(context, next_day + dt.timedelta(days=1)) == {"days": 2, "wrong": 0}
    assert keep.job(context, next_day + dt.timedelta(days=2)) == {"days": 1, "wrong": 0}
    assert 'brikke_reconciliation_days{state="wrong"} 0\n' in client.get("/metrics").text
