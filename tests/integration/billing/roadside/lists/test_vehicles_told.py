"""A vehicle that comes to a blocked agreement is refused when its charger had been told that it is there."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from accounts.chargers.publish import Notice, publish
from accounts.vehicles import tags
from accounts.vehicles.models import Tag
from accounts.vehicles.register import register
from accounts.vehicles.remove import remove
from billing.passages.incoming import Answer
from tests.integration.billing.passages.conftest import HOUR, pan
from tests.integration.billing.roadside.lists.conftest import DAY, MINUTE, World


class Sale:
    """Kari's EV10001 goes to an agreement that is blocked, which everybody has been told."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.minute(full=True)
        self.acknowledge(1)
        self.bought = 0
        self.buyer = world.road.agreement()
        world.road.vehicle(self.buyer, "EV20002")
        self.tag = world.road.tag(self.buyer, 2, "EV20002")
        publish(world.session, [Notice(self.buyer, "blocked", "overdue")], world.now)
        world.session.commit()
        world.minute()
        self.acknowledge(2)
        world.at(world.now + DAY)

    def acknowledge(self, number: int) -> None:
        for name in ("tags", "plates"):
            self.world.ack(name, number)

    def leave(self) -> dt.datetime:
        now = self.world.now
        remove(self.world.session, self.world.agreement, self.world.vehicle, ends_at=now, reason=None, now=now,
               actor="customer:1")  # fmt: skip
        self.world.session.commit()
        return now

    def come(self) -> dt.datetime:
        now = self.world.now
        self.bought = register(self.world.session, self.buyer, "NO", "EV10001", valid_from=now, now=now,
                               actor="customer:2").registration.id  # fmt: skip
        self.world.session.commit()
        return now

    def mount(self, pan: str, registration: int | None, at: dt.datetime) -> None:
        tag = self.world.session.scalars(select(Tag).filter_by(pan=pan)).one()
        tags.mount(self.world.session, tag.id, registration, at=at, now=at)
        self.world.session.commit()

    def ask(self, at: dt.datetime, **read: str) -> Answer:
        name = f"{at:%d%H%M%S}{sorted(read.items())}"
        return self.world.road.one(
            self.world.road.record(name, passed_at=at, **read), now=max(at, self.world.now) + DAY
        )


@pytest.fixture
def sale(world: World) -> Sale:
    return Sale(world)


@pytest.mark.parametrize("read", [{"plate": "EV10001"}, {"pan": pan(1)}])
def test_sold_to_a_blocked_agreement_it_is_valid_until_that_was_told(sale: Sale, read: dict[str, str]) -> None:
    sold = sale.leave()
    sale.come()
    sale.world.minute()
    sale.world.at(sale.world.now + HOUR)
    sale.acknowledge(3)
    told = sale.world.now
    states = [sale.world.rows(number, "plates")[0]["state"] for number in (1, 3)]
    assert states == ["valid", "blocked"]
    assert sale.ask(sold + MINUTE, **read).code == "accepted"
    assert sale.world.road.ask("SELECT DISTINCT agreement_id FROM passages") == [(sale.buyer,)]
    refused = sale.ask(told, **read)
    assert (refused.code, str(refused.detail)[:29]) == ("not_valid", "blocked, list 2 acknowledged ")


def test_nobody_had_it_before(sale: Sale) -> None:
    sale.leave()
    register(sale.world.session, sale.buyer, "NO", "EV30003", valid_from=sale.world.now, now=sale.world.now, actor="x")
    sale.world.session.commit()
    assert sale.ask(sale.world.now + MINUTE, plate="EV30003").code == "not_valid"


def test_its_list_said_already_that_nobody_has_it(sale: Sale) -> None:
    sale.leave()
    sale.world.minute()
    sale.acknowledge(3)
    sale.world.at(sale.world.now + HOUR)
    came = sale.come()
    assert sale.ask(came + MINUTE, plate="EV10001").code == "not_valid"


def test_its_list_said_that_it_was_blocked_there_too(sale: Sale) -> None:
    sale.world.block()
    sale.world.minute()
    sale.acknowledge(3)
    sale.leave()
    came = sale.come()
    assert sale.ask(came + MINUTE, plate="EV10001").code == "not_valid"


def test_one_that_is_told_at_once_knows_it_at_once(sale: Sale) -> None:
    sale.world.take("none")
    sale.leave()
    came = sale.come()
    sale.world.road.toll = sale.world.charger()
    assert sale.ask(came + MINUTE, plate="EV10001").code == "not_valid"


@pytest.mark.parametrize("later", [dt.timedelta(0), MINUTE])
def test_a_tag_that_was_put_into_it_is_blocked_as_it_was_told_to_be(sale: Sale, later: dt.timedelta) -> None:
    """The buyer's own tag: the list of tags said that it is blocked before it came, and says so still."""
    assert [row["state"] for row in sale.world.rows(2, "tags") if row["pan"] == sale.tag] == ["blocked"]
    sale.leave()
    came = sale.come()
    sale.mount(sale.tag, sale.bought, came + later)
    at = came + later + MINUTE
    refused = sale.ask(at, pan=sale.tag)
    assert (refused.code, str(refused.detail)[:29]) == ("not_valid", "blocked, list 2 acknowledged ")
    assert sale.ask(at, pan=pan(1)).code == "accepted"  # the one that came with the vehicle
    assert sale.ask(at, plate="EV10001").code == "accepted"


def test_who_takes_plates_alone_was_told_of_no_tag(sale: Sale) -> None:
    sale.world.take("push", list_types="plates")
    sale.leave()
    came = sale.come()
    sale.mount(sale.tag, sale.bought, came)
    sale.world.road.toll = sale.world.charger()
    assert sale.ask(came + MINUTE, pan=sale.tag).code == "accepted"
