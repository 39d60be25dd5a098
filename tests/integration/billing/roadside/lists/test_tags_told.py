"""What became of a tag counts when the charger had been told of it, and not before."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from accounts.chargers.models import Charger
from accounts.vehicles import tags
from accounts.vehicles.models import Tag
from billing.passages.incoming import Answer
from billing.roadside.lists.acknowledge import acknowledge
from tests.integration.billing.passages.conftest import HOUR, pan
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, World


def the_tag(world: World) -> Tag:
    return world.session.scalars(select(Tag)).one()


def acknowledged(world: World, code: str = "FJELL") -> Charger:
    """A charger has acknowledged everything that its lists say by now."""
    charger = world.charger(code)
    waiting = "SELECT list_type, version FROM list_versions WHERE charger_id = :id AND state IN ('made', 'sent')"
    for list_type, version in world.road.ask(waiting, id=charger.id):
        acknowledge(world.session, charger, list_type, version, accepted=True, now=world.now)
    world.session.commit()
    return charger


class TestAdditional:
    """A ferry operator's additional agreement that is on a tag."""

    @pytest.fixture
    def child(self, world: World) -> int:
        road = world.road
        child = road.agreement(kind="ferry", parent_id=world.agreement, operator="FJORD")
        road.vehicle(child, None, pan=pan(1), scope="FJORD", settlement="own")
        world.take("push", code="FJORD")
        world.minute(full=True)
        acknowledged(world, "FJORD")
        return child

    def journey(self, world: World, at: dt.datetime, name: str = "F", **read: str) -> Answer:
        record = world.road.record(name, station="K1", service="ferry", passed_at=at, **({"pan": pan(1)} | read))
        return world.road.one(record, charger=world.charger("FJORD"), now=max(world.now, at) + DAY)

    @pytest.mark.parametrize("state", ["stolen", "lost"])
    def test_a_tag_that_is_gone_travels_on_it_until_that_was_told(self, world: World, child: int, state: str) -> None:
        tags.set_state(world.session, the_tag(world).id, state, now=world.now)
        world.session.commit()
        gone = world.now
        world.minute()
        world.at(world.now + HOUR)
        acknowledged(world, "FJORD")
        assert self.journey(world, gone + MINUTE, "before").code == "accepted"
        assert world.road.ask("SELECT agreement_id FROM passages") == [(child,)]
        assert self.journey(world, world.now + MINUTE, "after").code == "unknown_vehicle"
        # With it the vehicle's own plate is read: that is on the tag agreement still.
        plate = self.journey(world, world.now + MINUTE, "plate", plate="EV10001")
        assert (plate.code, "by_plate" in plate.flags) == ("accepted", True)
        assert world.road.ask("SELECT agreement_id FROM passages ORDER BY id DESC LIMIT 1") == [(world.agreement,)]

    def test_found_again_it_travels_again(self, world: World, child: int) -> None:
        for state in ("lost", "active"):
            tags.set_state(world.session, the_tag(world).id, state, now=world.now)
            world.session.commit()
            world.minute()
            acknowledged(world, "FJORD")
            world.at(world.now + HOUR)
            answer = self.journey(world, world.now, state)
            assert answer.code == ("unknown_vehicle" if state == "lost" else "accepted")
        assert world.road.ask("SELECT agreement_id FROM passages") == [(child,)]

    def test_the_agreed_latency_counts(self, world: World, child: int) -> None:
        world.take("push", code="FJORD", latency_minutes=60)
        tags.set_state(world.session, the_tag(world).id, "stolen", now=world.now)
        world.session.commit()
        world.minute()
        acknowledged(world, "FJORD")
        assert self.journey(world, world.now + 59 * MINUTE, "in time").code == "accepted"
        assert self.journey(world, world.now + HOUR, "late").code == "unknown_vehicle"
        assert child
