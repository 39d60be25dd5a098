"""Odd records: too old, unknown station, tag in another vehicle, wrong class, read twice; accepted or not as agreed."""

from __future__ import annotations

import datetime as dt

import pytest
from flask.testing import FlaskClient

from accounts.chargers.keep import StationGiven, keep_stations
from accounts.chargers.oddities import BY_DEFAULT, keep_oddities
from accounts.vehicles.classes import keep_class
from billing.passages.incoming import Answer
from tests.integration.billing.passages.conftest import NOW, PASSED, Road
from tests.integration.conftest import Bearer

SECOND = dt.timedelta(seconds=1)
LONG_AGO = NOW - dt.timedelta(days=1200)


@pytest.fixture
def holder(road: Road) -> int:
    made = road.agreement()
    road.vehicle(made)
    return made


def agree(road: Road, **accepted: bool) -> None:
    keep_oddities(road.session, road.toll, accepted)


def said(answers: list[Answer]) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.code, one.flags) for one in answers]


def test_too_old(road: Road) -> None:
    agreement = road.agreement()
    road.vehicle(agreement, since=LONG_AGO - SECOND)
    old = {"plate": "EV10001", "passed_at": LONG_AGO}
    assert said(road.send([road.record("A", **old)])) == [("too_old", ())]
    agree(road, too_old=True)
    assert said(road.send([road.record("B", **old)])) == [("accepted", ("by_plate",))]
    road.check_books()


def test_unknown_station(road: Road, holder: int) -> None:
    new = {"plate": "EV10001", "station": "S9"}
    assert said(road.send([road.record("A", **new)])) == [("unknown_station", ())]
    agree(road, unknown_station=True)
    answers = road.send([road.record("B", **new), road.record("C", plate="EV10001")])
    assert said(answers) == [("accepted", ("by_plate", "unknown_station")), ("accepted", ("by_plate",))]
    assert road.ask("SELECT name, project FROM stations WHERE code = 'S9'") == [("S9", "?")]
    keep_stations(road.session, "FJELL", [StationGiven("S9", "Ny", "BERGEN")])
    assert said(road.send([road.record("D", **new)])) == [("accepted", ("by_plate",))]
    road.check_books()


def test_a_tag_in_another_vehicle(road: Road, holder: int) -> None:
    tag = road.tag(holder, 1, "EV10001")
    other = {"pan": tag, "plate": "EV20002", "country": "NO"}
    assert said(road.send([road.record("A", **other)])) == [("accepted", ("tag_plate_mismatch",))]
    agree(road, tag_plate_mismatch=False)
    (answer,) = road.send([road.record("B", **other)])
    assert (answer.code, answer.detail) == ("tag_plate_mismatch", "the tag is mounted in NO EV10001")
    assert road.ask("SELECT unbilled_ore FROM balances") == [(2480,)]
    road.check_books()


def test_wrong_class(road: Road, holder: int) -> None:
    as_two = {"plate": "EV10001", "vehicle_class": "2"}
    assert said(road.send([road.record("A", **as_two)])) == [("accepted", ("by_plate",))]
    keep_class(road.session, "NO", "EV10001", "1", actor="agent:x", now=NOW)
    answers = road.send([road.record("B", **as_two), road.record("C", plate="EV10001", vehicle_class="1")])
    assert said(answers) == [("accepted", ("by_plate", "wrong_class")), ("accepted", ("by_plate",))]
    agree(road, wrong_class=False)
    (answer,) = road.send([road.record("D", **as_two)])
    assert (answer.code, answer.detail) == ("wrong_class", "the vehicle is of class 1")
    keep_class(road.session, "NO", "EV10001", None, actor="agent:x", now=NOW)
    assert said(road.send([road.record("E", **as_two)])) == [("accepted", ("by_plate",))]
    road.check_books()


class TestDoubleRead:
    """One vehicle, one lane, seconds apart: one passing."""

    def test_by_tag_and_by_camera(self, road: Road, holder: int) -> None:
        tag = road.tag(holder, 1, "EV10001")
        by_tag = road.record("T", pan=tag, lane="1")
        by_camera = road.record("C", plate="ev 10001", lane="1", passed_at=PASSED + 3 * SECOND, amount=3100)
        first, second = road.send([by_tag, by_camera])
        assert (first.code, second.code, second.detail) == ("accepted", "double_read", "the same passing as T")
        later = road.send([road.record("L", plate="EV10001", lane="1", passed_at=PASSED - 2 * SECOND)])
        assert (later[0].code, later[0].detail) == ("double_read", "the same passing as T")
        assert road.ask("SELECT unbilled_ore, unbilled_count FROM balances") == [(2480, 1)]
        assert said(road.send([by_camera, by_tag])) == [("duplicate", ())] * 2
        road.check_books()

    @pytest.mark.parametrize(
        "changes",
        [
            {"lane": "2"}, {"lane": None}, {"station": "S2"}, {"plate": "EV10002"},
            {"passed_at": PASSED + 11 * SECOND}, {"passed_at": PASSED - 11 * SECOND},
        ],
    )  # fmt: skip
    def test_what_is_another_passing(self, road: Road, holder: int, changes: dict[str, object]) -> None:
        road.vehicle(holder, "EV10002")
        fields = {"plate": "EV10001", "lane": "1"}
        assert said(road.send([road.record("A", **fields)])) == [("accepted", ("by_plate",))]
        assert said(road.send([road.record("B", **(fields | changes))])) == [("accepted", ("by_plate",))]

    def test_accepted_by_agreement(self, road: Road, holder: int) -> None:
        agree(road, double_read=True)
        both = [road.record(name, plate="EV10001", lane="1") for name in "AB"]
        assert said(road.send(both)) == [("accepted", ("by_plate",)), ("accepted", ("by_plate", "double_read"))]
        road.check_books()

    def test_with_corrections(self, road: Road, holder: int) -> None:
        lane = {"plate": "EV10001", "lane": "1"}
        answers = road.send(
            [
                road.record("A", **lane),
                road.record("B", **lane, passed_at=PASSED + SECOND),
                road.record("B2", **lane, action="adjust", original="B", version=1, amount=50),
                road.record("A2", **lane, action="adjust", original="A", version=1, amount=100),
            ]
        )
        assert [one.code for one in answers] == ["accepted", "double_read", "double_read", "accepted"]
        assert road.ask("SELECT unbilled_ore FROM balances") == [(100,)]
        road.check_books()


def test_over_http(road: Road, holder: int, client: FlaskClient, bearer: Bearer) -> None:
    road.session.commit()
    path = "/v1/chargers/FJELL/oddities"
    assert client.get(path, headers=bearer("agent")).get_json() == BY_DEFAULT
    assert client.put(path, json={"too_old": True}, headers=bearer("agent")).status_code == 403
    changed = client.put(path, json={"too_old": True}, headers=bearer("operator"))
    assert changed.get_json() == {**BY_DEFAULT, "too_old": True}
    assert client.put(path, json={"colour": True}, headers=bearer("operator")).status_code == 422
    assert client.get("/v1/chargers/NOBODY/oddities", headers=bearer("agent")).status_code == 404
    ((number, vehicle),) = road.ask(
        "SELECT a.number, r.id FROM agreements a JOIN registrations r ON r.agreement_id = a.id"
    )
    path = f"/v1/agreements/{number}/vehicles/{vehicle}/class"
    assert client.put(path, json={"vehicle_class": "2"}, headers=bearer("agent")).get_json() == {"vehicle_class": "2"}
    assert client.get(path, headers=bearer("lead")).get_json() == {"vehicle_class": "2"}
    assert client.put(path, json={"vehicle_class": "x" * 21}, headers=bearer("agent")).status_code == 422
