"""What lists a charger takes, and with what latency, counts for what happens from then on, and for nothing before."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine

from billing.roadside.lists.queries import troubled
from billing.roadside.lists.send import due
from billing.roadside.lists.validity import knew
from migrations.run import migrate
from tests.integration.billing.passages.conftest import HOUR, pan
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, World

PLATE = "EV10001"


@pytest.fixture
def told(world: World) -> dt.datetime:
    """FJELL takes the list of tags, and has acknowledged since an instant that the agreement is blocked."""
    world.minute(full=True)
    for name in ("tags", "plates"):
        world.ack(name, 1)
    world.take("push", list_types="tags")
    world.block()
    world.minute()
    world.ack("tags", 2)
    at = world.now
    world.at(at + HOUR)
    return at


def answers(world: World, *instants: dt.datetime, **read: str) -> list[str]:
    """What records of these instants are answered, arriving now."""
    world.road.toll = world.charger()
    read = read or {"plate": PLATE}
    records = [
        world.road.record(f"{world.now:%H%M%S}-{one:%d%H%M%S}-{'-'.join(read)}", passed_at=one, **read)
        for one in instants
    ]
    return [one.code for one in world.road.send(records, now=world.now)]


def test_what_arrives_late_is_judged_by_the_lists_taken_when_it_happened(world: World, told: dt.datetime) -> None:
    at = told + MINUTE
    assert answers(world, at) == ["not_valid"]
    world.take("push", list_types="both")
    changed = world.now
    world.at(changed + 9 * MINUTE)
    # From the change on a plate is judged by the list of plates, of which it has acknowledged nothing newer.
    assert answers(world, at, changed - MINUTE, changed, changed + MINUTE) == ["not_valid"] * 2 + ["accepted"] * 2
    assert answers(world, changed + MINUTE, pan=pan(1)) == ["not_valid"]
    (then,) = knew(world.session, world.agreement, at, "FJELL")
    assert (then.list_type, then.refused) == ("tags", True)
    now = knew(world.session, world.agreement, changed, "FJELL")
    assert [(one.list_type, one.refused) for one in now] == [("tags", True), ("plates", False)]
    world.prove()


def test_a_latency_agreed_counts_from_then_on(world: World, told: dt.datetime) -> None:
    world.take("push", latency_minutes=120)
    changed = world.now
    world.at(changed + 2 * HOUR)
    # An hour after it was told: known before the agreement; with it, two hours are needed.
    assert answers(world, told, changed - MINUTE, changed, told + 2 * HOUR - MINUTE, told + 2 * HOUR) == [
        "not_valid", "not_valid", "accepted", "accepted", "not_valid",
    ]  # fmt: skip
    says = [knew(world.session, world.agreement, at, "FJELL")[0].refused for at in (told, changed, told + 2 * HOUR)]
    assert says == [True, False, True]
    assert [one[1] for one in world.versions()].count("full") == 1  # no list is made anew for that
    world.minute(full=True)
    assert [one[1] for one in world.versions()].count("full") == 1
    world.prove()


def test_what_no_list_said_when_others_were_agreed_is_not_known_by_that(world: World) -> None:
    world.minute(full=True)
    for name in ("tags", "plates"):
        world.ack(name, 1)
    world.block()
    world.take("push", list_types="tags")
    world.at(world.now + 5 * MINUTE)
    assert answers(world, world.now - MINUTE, pan=pan(1)) == ["accepted"]
    world.take("none")
    off = world.now
    world.at(off + HOUR)
    assert answers(world, off - MINUTE, off, pan=pan(1)) == ["accepted", "not_valid"]


def test_a_list_newly_taken_begins_with_a_full_one_at_once(world: World, told: dt.datetime) -> None:
    world.minute(full=True)
    plates = [one[:2] for one in world.versions("plates")]
    assert plates == [(1, "full")]  # not taken: no more of it
    world.take("push", list_types="both")
    assert world.road.ask("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'status_lists_full'") != [(0,)]
    world.block()
    world.minute()  # changes cannot build on a list from before
    assert [one[:2] for one in world.versions("plates")] == plates
    world.minute(full=True)
    assert [one[:2] for one in world.versions("plates")] == [*plates, (2, "full")]
    assert [one[1] for one in world.versions("tags")].count("full") == 1  # it was taken all along
    world.prove()


def test_a_list_no_longer_taken_is_neither_sent_nor_alarms(world: World) -> None:
    world.minute(full=True)
    world.ack("tags", 1)
    world.take("push", list_types="tags")
    assert world.versions("plates") == [(1, "full", "superseded")]
    world.at(world.now + DAY)
    assert due(world.session, world.now) == []
    assert troubled(world.session, world.now, 60, 9) == []
    world.prove()


def test_off_and_on_in_one_moment_begins_anew(world: World) -> None:
    """A clock that stands still: the break is one all the same."""
    world.minute(full=True)
    for name in ("tags", "plates"):
        world.ack(name, 1)
    world.block()
    world.take("none")
    world.take("push")
    world.at(world.now + MINUTE)
    assert answers(world, world.now, pan=pan(1)) == ["not_valid"]
    world.minute(full=True)
    assert [one[1] for one in world.versions()] == ["full", "full"]
    world.prove()


def test_a_step_down_joins_periods_that_go_on_from_each_other(world: World, told: dt.datetime, engine: Engine) -> None:
    world.take("push", latency_minutes=5)
    world.at(world.now + HOUR)
    world.take("none")
    world.at(world.now + HOUR)
    world.take("pull")
    before = world.road.ask("SELECT list_types, latency_minutes, since, until FROM list_periods ORDER BY since")
    assert [row[:2] for row in before] == [("both", None), ("tags", None), ("tags", 5), ("tags", 5)]
    world.session.commit()
    migrate(engine, down_to="0016")
    periods = world.road.ask("SELECT since, until FROM list_periods ORDER BY since")
    assert periods == [(before[0][2], before[2][3]), (before[3][2], None)]
    world.session.commit()
    migrate(engine)
    said = world.road.ask("SELECT list_types, latency_minutes, since, until FROM list_periods ORDER BY since")
    assert said == [("tags", 5, *period) for period in periods]  # what it says today
