"""What became of a tag counts when the charger had been told of it, and not before."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from accounts.chargers.models import Charger
from accounts.vehicles import tags
from accounts.vehicles.models import Tag
from accounts.vehicles.remove import remove
from billing.audit.passages import RULES as PASSAGES
from billing.passages import move
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


class TestOutOfItsVehicle:
    """Lost, or taken out: its list said that it was valid, so it is, until the charger was told."""

    @pytest.fixture
    def told(self, world: World) -> World:
        """FJELL's lists are acknowledged; a minute later nothing has changed."""
        world.minute(full=True)
        acknowledged(world)
        world.at(world.now + HOUR)
        return world

    def out(self, world: World, how: str) -> dt.datetime:
        tag = the_tag(world)
        if how == "out":
            tags.mount(world.session, tag.id, None, at=world.now, now=world.now)
        else:
            tags.set_state(world.session, tag.id, how, now=world.now)
        world.session.commit()
        return world.now

    def ask(self, world: World, at: dt.datetime, name: str = "A", **more: str) -> Answer:
        record = world.road.record(name, pan=pan(1), passed_at=at, **more)
        return world.road.one(record, now=max(at, world.now) + DAY)

    @pytest.mark.parametrize("how", ["lost", "stolen", "returned", "out"])
    def test_is_accepted_until_that_was_told(self, told: World, how: str) -> None:
        out = self.out(told, how)
        told.minute()
        told.at(told.now + HOUR)
        acknowledged(told)
        assert (told.rows(1)[0]["state"], told.rows(2)[0]["state"]) == ("valid", "blocked")
        answers = [self.ask(told, at, f"{at}") for at in (out, told.now - MINUTE, told.now)]
        assert [(one.code, one.flags) for one in answers] == [
            ("accepted", ("after_removal",)), ("accepted", ("after_removal",)), ("unknown_vehicle", ()),
        ]  # fmt: skip
        assert told.road.ask("SELECT DISTINCT agreement_id, country, plate, pan FROM passages") == [
            (told.agreement, "NO", "EV10001", pan(1))
        ]
        for rule in PASSAGES:
            assert told.road.ask(rule.sql) == [], rule.name

    def test_before_any_list_nothing_was_told(self, world: World) -> None:
        out = self.out(world, "lost")
        assert self.ask(world, out + MINUTE).code == "accepted"

    def test_who_is_told_at_once_knows_it_at_once(self, told: World) -> None:
        told.take("none")
        told.at(told.now + HOUR)
        out = self.out(told, "out")
        assert self.ask(told, out - MINUTE, "before").code == "accepted"
        assert self.ask(told, out, "after").code == "unknown_vehicle"

    def test_another_plate_that_was_read_with_it_is_a_mismatch_and_one_of_ours_wins(self, told: World) -> None:
        out = self.out(told, "out")
        other = self.ask(told, out + MINUTE, "other", plate="EV90009")
        assert (other.code, other.flags) == ("accepted", ("tag_plate_mismatch", "after_removal"))
        told.road.vehicle(told.agreement, "EV20002")
        ours = self.ask(told, out + MINUTE, "ours", plate="EV20002")
        assert (ours.code, ours.flags) == ("accepted", ("by_plate",))

    def test_sold_with_the_vehicle_in_one_hour(self, told: World) -> None:
        """The tag is taken out, and the vehicle off the agreement: neither had been told."""
        self.out(told, "out")
        remove(told.session, told.agreement, told.vehicle, ends_at=told.now, reason=None, now=told.now, actor="test")
        told.session.commit()
        assert self.ask(told, told.now + MINUTE).flags == ("after_removal",)
        told.minute()
        acknowledged(told)
        assert self.ask(told, told.now + MINUTE, "told").code == "unknown_vehicle"

    def test_a_block_that_was_told_still_refuses_it(self, told: World) -> None:
        told.block()
        told.minute()
        acknowledged(told)
        out = self.out(told, "lost")
        assert self.ask(told, out + MINUTE).code == "not_valid"

    @pytest.mark.parametrize("until", [None, MINUTE / 2])
    @pytest.mark.parametrize("how", ["stolen", "out"])
    def test_who_has_the_vehicle_since_pays_for_no_journey_of_the_tag(
        self, told: World, how: str, until: dt.timedelta | None
    ) -> None:
        """It was taken out before the vehicle came to them (or, until, left them too): they drive without it, and its
        agreement does not have the vehicle. Whoever does drive with it, nobody was told of, and nobody is charged."""
        out = self.out(told, how)
        other = told.road.agreement()
        remove(told.session, told.agreement, told.vehicle, ends_at=out, reason=None, now=out, actor="test")
        told.road.vehicle(other, since=out, until=None if until is None else out + until)
        answer = self.ask(told, out + MINUTE)
        assert (answer.code, answer.flags) == ("unknown_vehicle", ())
        assert told.road.ask("SELECT agreement_id FROM passages") == []
        if until is None:  # they are, for what they drive
            assert self.ask(told, out + MINUTE, "plate", plate="EV10001").flags == ("by_plate",)
            assert told.road.ask("SELECT agreement_id FROM passages") == [(other,)]

    @pytest.mark.parametrize(("plate", "moved"), [(None, 0), ("EV10001", 1), ("EV90009", 0)])
    def test_nor_who_is_found_to_have_had_it_then(self, told: World, plate: str | None, moved: int) -> None:
        """It was accepted by its tag's last vehicle, which turns out to have been sold by then. Unless that vehicle's
        plate was read with it, the tag's holder drove."""
        out = self.out(told, "out")
        removal = told.road.remove(told.vehicle, out)
        more = {} if plate is None else {"plate": plate}
        assert self.ask(told, out + MINUTE, **more).code == "accepted"
        buyer = told.road.agreement()
        told.road.vehicle(buyer, since=out)
        assert move.move(told.session, removal, now=told.now + DAY) == moved
        holder = buyer if moved else told.agreement
        assert told.road.ask(
            "SELECT agreement_id FROM passages AS p WHERE reverses_id IS NULL "
            "AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id)"
        ) == [(holder,)]
        told.road.check_books()

    @pytest.mark.parametrize("more", [{}, {"plate": "EV10001"}])
    def test_the_list_of_tags_says_so_also_where_the_vehicles_plate_was_read(
        self, told: World, more: dict[str, str]
    ) -> None:
        """The list of plates that says that the vehicle is gone is acknowledged, that of tags is not."""
        out = self.out(told, "out")
        remove(told.session, told.agreement, told.vehicle, ends_at=out, reason=None, now=out, actor="test")
        told.session.commit()
        told.minute()
        told.ack("plates", 2)
        told.at(told.now + HOUR)
        assert self.ask(told, told.now, "tag", **more).code == "accepted"
        plate = told.road.record("plate", plate="EV10001", passed_at=told.now)
        assert told.road.one(plate, now=told.now + DAY).code == "unknown_vehicle"

    @pytest.mark.parametrize("how", [None, "lost"])
    def test_a_ferry_journey_goes_back_to_the_tag_agreement_with_its_additional_one(
        self, told: World, how: str | None
    ) -> None:
        child = told.road.agreement(kind="ferry", parent_id=told.agreement, operator="FJORD")
        extra = told.road.vehicle(child, scope="FJORD")
        told.take("push", code="FJORD")
        told.minute(full=True)
        acknowledged(told, "FJORD")
        out = told.now if how is None else self.out(told, how)
        record = told.road.record("F", station="K1", service="ferry", pan=pan(1), passed_at=out + MINUTE)
        assert told.road.one(record, charger=told.charger("FJORD"), now=out + DAY).code == "accepted"
        assert told.road.ask("SELECT agreement_id FROM passages") == [(child,)]
        removal = told.road.remove(extra, out)
        assert move.move(told.session, removal, now=told.now + DAY) == 1
        assert told.road.ask("SELECT agreement_id FROM balances WHERE unbilled_ore <> 0") == [(told.agreement,)]
        told.road.check_books()

    def test_it_is_its_own_agreements_where_the_vehicle_went_on_there(self, told: World) -> None:
        out = self.out(told, "lost")
        remove(told.session, told.agreement, told.vehicle, ends_at=out, reason=None, now=out, actor="test")
        again = told.road.vehicle(told.agreement, since=out)
        assert self.ask(told, out + MINUTE).code == "accepted"
        assert told.road.ask("SELECT agreement_id, registration_id FROM passages") == [(told.agreement, again)]

    def test_with_a_ferry_operator_it_is_the_additional_agreements(self, told: World) -> None:
        child = told.road.agreement(kind="ferry", parent_id=told.agreement, operator="FJORD")
        told.road.vehicle(child, scope="FJORD")
        told.take("push", code="FJORD")
        told.minute(full=True)
        acknowledged(told, "FJORD")
        out = self.out(told, "lost")
        record = told.road.record("F", station="K1", service="ferry", pan=pan(1), passed_at=out + MINUTE)
        assert told.road.one(record, charger=told.charger("FJORD"), now=out + DAY).code == "accepted"
        assert told.road.ask("SELECT agreement_id FROM passages") == [(child,)]

    def test_nor_does_who_has_it_with_a_ferry_operator_pay(self, told: World) -> None:
        other = told.road.agreement()
        told.take("push", code="FJORD")
        told.minute(full=True)
        acknowledged(told, "FJORD")
        out = self.out(told, "lost")
        remove(told.session, told.agreement, told.vehicle, ends_at=out, reason=None, now=out, actor="test")
        child = told.road.agreement(kind="ferry", parent_id=other, operator="FJORD")
        told.road.vehicle(child, since=out, scope="FJORD")
        record = told.road.record("F", station="K1", service="ferry", pan=pan(1), passed_at=out + MINUTE)
        assert told.road.one(record, charger=told.charger("FJORD"), now=out + DAY).code == "unknown_vehicle"
        assert told.road.ask("SELECT agreement_id FROM passages") == []


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

    def test_with_its_vehicle_gone_its_journeys_do_not_come_to_it(self, world: World, child: int) -> None:
        """Driven by the plate, with a stolen tag aboard; then the vehicle turns out to have been sold before."""
        tags.set_state(world.session, the_tag(world).id, "stolen", now=world.now)
        world.session.commit()
        sold = world.now
        world.minute()
        acknowledged(world, "FJORD")
        world.at(world.now + HOUR)
        assert self.journey(world, world.now, plate="EV10001").code == "accepted"
        remove(world.session, world.agreement, world.vehicle, ends_at=sold, reason="sold", now=world.now, actor="test")
        world.session.commit()
        assert move.job(world.ctx, world.now)["moved"] == 0
        assert world.road.ask("SELECT DISTINCT agreement_id FROM passages") == [(world.agreement,)]
        assert child != world.agreement
