"""What a customer may see of refused records: of their own vehicles and tags, while they had them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from flask.testing import FlaskClient

from accounts.chargers.publish import Notice, publish
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, pan
from tests.integration.billing.roadside.lists.conftest import DAY, World
from tests.integration.conftest import Bearer


class Desk:
    """Two agreements, the second one blocked; who asks, and what they are shown."""

    def __init__(self, world: World, client: FlaskClient, bearer: Bearer) -> None:
        self.world, self.road, self.client, self.bearer = world, world.road, client, bearer
        self.mine = world.agreement
        self.other = self.road.agreement()
        publish(self.road.session, [Notice(self.other, "blocked", "overdue")], PASSED - 2 * HOUR)

    def refused(self, name: str, at: dt.datetime = PASSED, **read: Any) -> None:
        record = self.road.record(name, station="K1", service="ferry", passed_at=at, **read)
        answer = self.road.one(record, charger=self.road.ferry, now=NOW + 3 * DAY)
        assert answer.code in ("not_valid", "unknown_vehicle")
        self.road.session.commit()

    def ask(self, agreement: int, role: str, at: dt.datetime = PASSED, **query: str) -> dict[str, Any]:
        """What is shown, and of it the refused records as ``records``."""
        number, customer = self.road.ask("SELECT number, customer_id FROM agreements WHERE id = :id", id=agreement)[0]
        headers = self.bearer(role, customer_id=customer) if role == "customer" else self.bearer(role)
        path = f"/v1/agreements/{number}/validity"
        answer = self.client.get(path, query_string={"at": at.isoformat(), **query}, headers=headers)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.get_json()
        return found | {"records": {one["record"] for one in found["near_misses"]}}


@pytest.fixture
def desk(world: World, client: FlaskClient, bearer: Bearer) -> Desk:
    return Desk(world, client, bearer)


def test_of_anothers_plate_a_customer_is_shown_nothing(desk: Desk) -> None:
    desk.road.vehicle(desk.other, "EV20002")
    desk.refused("theirs", plate="EV20002")
    for plate in ("EV20002", "EV20003", "EV99999"):  # theirs, one sign off, nobody's
        shown = desk.ask(desk.mine, "customer", plate=plate)
        assert (shown["records"], shown["vehicles"], shown["looked_for"]) == (set(), [], [])
    assert desk.ask(desk.mine, "agent", plate="EV20002")["records"] == {"theirs"}
    assert desk.ask(desk.other, "customer")["records"] == {"theirs"}


def test_a_buyer_is_not_shown_the_sellers_and_the_seller_not_the_buyers(desk: Desk) -> None:
    sold = PASSED + DAY
    desk.road.vehicle(desk.other, "EV20002", until=sold)
    desk.refused("sellers", plate="EV20002")
    desk.road.vehicle(desk.mine, "EV20002", since=sold)
    publish(desk.road.session, [Notice(desk.mine, "blocked", "overdue")], sold)
    desk.refused("buyers", sold + HOUR, plate="EV20002")
    for plate in ({}, {"plate": "EV20002"}):
        assert desk.ask(desk.mine, "customer", sold + 2 * HOUR, **plate)["records"] == {"buyers"}
        assert desk.ask(desk.other, "customer", sold - HOUR, **plate)["records"] == {"sellers"}
    assert desk.ask(desk.mine, "agent", sold + 2 * HOUR)["records"] == {"sellers", "buyers"}


def test_a_tag_in_anothers_hands_shows_nothing_of_theirs(desk: Desk) -> None:
    """A tag that was sold with its vehicle, one that is in no vehicle, and one read with a stranger's plate."""
    sold = PASSED - HOUR
    road = desk.road
    for number, plate in ((2, "EV20002"), (3, "EV30003"), (4, "EV40004")):
        road.tag(desk.mine, number, plate)
    road.tag(desk.mine, 5, None)
    road.vehicle(desk.mine, "EV20002", until=sold)
    road.vehicle(desk.other, "EV20002", since=sold)
    desk.refused("driven_on", pan=pan(2))
    desk.refused("own", pan=pan(3))
    desk.refused("stranger", pan=pan(4), plate="EV50005")
    desk.refused("same", pan=pan(4), plate="EV40004")
    desk.refused("nowhere", pan=pan(5))
    assert desk.ask(desk.mine, "customer")["records"] == {"own", "same"}
    assert desk.ask(desk.mine, "agent")["records"] == {"driven_on", "own", "stranger", "same", "nowhere"}


def test_with_an_additional_agreement_only_its_operators_journeys_count(desk: Desk) -> None:
    child = desk.road.agreement(kind="ferry", operator="ANDRE", parent_id=desk.mine)
    desk.road.vehicle(child, "EV20002", scope="ANDRE")
    desk.road.vehicle(desk.other, "EV20002")
    desk.refused("theirs", plate="EV20002")
    assert desk.ask(desk.mine, "customer", plate="EV20002")["records"] == set()
