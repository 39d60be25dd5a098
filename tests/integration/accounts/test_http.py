"""The rooms of accounts through HTTP: who may, what is answered, what is logged."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from accounts.access.models import TrailEntry
from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.vehicles.models import Registration
from config.clock import move_clock
from tests.integration.accounts.conftest import DAY, NOW
from tests.integration.conftest import Bearer

NEW: dict[str, Any] = {
    "kind": "private",
    "name": "Kari Nordmann",
    "email": "kari@example.no",
    "street": "Storgata 1",
    "postal_code": "0155",
    "city": "Oslo",
}
PAN = "9578000100000000123"


class World:
    """A client with the two who act in most tests: Kari, and Anne of support."""

    def __init__(self, client: FlaskClient, bearer: Bearer, session: Session) -> None:
        self.client, self.bearer, self.session = client, bearer, session
        self.agent = bearer("agent", subject="anne")
        made = self.ask("POST", "/v1/customers", self.agent, json=NEW)
        assert made.status_code == 201, made.text
        self.customer = made.get_json()
        self.number = self.customer["agreements"][0]["number"]
        self.path = f"/v1/agreements/{self.number}"
        self.kari = bearer("customer", customer_id=1)
        self.stranger = bearer("customer", customer_id=2)

    def ask(self, method: str, path: str, headers: dict[str, str], **more: Any) -> TestResponse:
        return self.client.open(path, method=method, headers=headers, **more)

    def got(self, path: str, headers: dict[str, str] | None = None) -> Any:
        answer = self.ask("GET", path, headers or self.kari)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def done(self, method: str, path: str, status: int, headers: dict[str, str] | None = None, **body: Any) -> Any:
        answer = self.ask(method, path, headers or self.kari, json=body)
        assert answer.status_code == status, answer.text
        return answer.get_json()

    def trail(self) -> list[tuple[str, str, str]]:
        rows = self.session.scalars(select(TrailEntry).order_by(TrailEntry.id))
        return [(row.actor, row.action, row.subject) for row in rows]


@pytest.fixture
def world(client: FlaskClient, bearer: Bearer, session: Session) -> World:
    move_clock(session, NOW, running=False)
    for code, kind in (("FJELL", "toll"), ("FJORD", "ferry")):
        keep_charger(session, ChargerGiven(code, f"{code.title()} AS", kind), NOW)
    session.commit()
    return World(client, bearer, session)


def test_a_customer_is_shown_and_changed_with_etag(world: World) -> None:
    path = f"/v1/customers/{world.customer['number']}"
    answer = world.ask("GET", path, world.kari)
    assert answer.headers["ETag"] == '"1"'
    assert answer.get_json() == world.customer
    assert world.ask("PATCH", path, world.kari, json={"city": "Moss"}).status_code == 428
    changed = world.ask("PATCH", path, {**world.kari, "If-Match": '"1"'}, json={"city": "Moss", "phone": "41234567"})
    assert changed.status_code == 200, changed.text
    assert (changed.headers["ETag"], changed.get_json()["city"]) == ('"2"', "Moss")
    assert (changed.get_json()["phone"], changed.get_json()["name"]) == ("+4741234567", "Kari Nordmann")
    assert world.ask("PATCH", path, {**world.kari, "If-Match": '"1"'}, json={"city": "Oslo"}).status_code == 412
    wrong = world.ask("PATCH", path, {**world.kari, "If-Match": '"2"'}, json={"postal_code": "1"})
    assert (wrong.status_code, wrong.get_json()["errors"][0]["field"]) == (422, "postal_code")


def test_signing_up_says_every_wrong_field(world: World) -> None:
    body = {**NEW, "kind": "business", "org_no": "123456789", "email": "x@y", "postal_code": "12"}
    answer = world.ask("POST", "/v1/customers", world.agent, json=body)
    assert answer.status_code == 422
    assert {error["field"] for error in answer.get_json()["errors"]} == {"org_no", "email", "postal_code"}
    assert world.ask("POST", "/v1/customers", world.kari, json=NEW).status_code == 403


def test_other_peoples_things_do_not_exist(world: World) -> None:
    vehicle = world.done("POST", f"{world.path}/vehicles", 201, plate="EL12345")["id"]
    tag = world.done("POST", f"{world.path}/tags", 201, world.agent, printed_number="NO1234", pan=PAN)["id"]
    when = {"If-Match": '"1"'}
    for method, path, body in (
        ("GET", f"/v1/customers/{world.customer['number']}", None),
        ("PATCH", f"/v1/customers/{world.customer['number']}", {"city": "X"}),
        ("POST", f"/v1/customers/{world.customer['number']}/agreements", {}),
        ("GET", world.path, None),
        ("GET", f"{world.path}/standing", None),
        ("GET", f"{world.path}/standing/publications", None),
        ("GET", f"{world.path}/vehicles", None),
        ("POST", f"{world.path}/vehicles", {"plate": "EL99999"}),
        ("GET", f"{world.path}/vehicles/{vehicle}", None),
        ("DELETE", f"{world.path}/vehicles/{vehicle}", None),
        ("POST", f"{world.path}/vehicles/{vehicle}/remove", {}),
        ("GET", f"{world.path}/tags", None),
        ("GET", f"{world.path}/tags/{tag}", None),
        ("PUT", f"{world.path}/tags/{tag}/vehicle", {"vehicle": vehicle}),
        ("PUT", f"{world.path}/tags/{tag}/state", {"state": "lost"}),
        ("GET", f"{world.path}/additional-agreements", None),
        ("POST", f"{world.path}/additional-agreements", {"operator": "FJORD", "settlement": "own", "plate": "EL12345"}),
        ("POST", f"{world.path}/additional-agreements/{vehicle}/remove", {}),
        ("POST", f"{world.path}/close", {}),
    ):
        answer = world.ask(method, path, {**world.stranger, **when}, json=body)
        assert answer.status_code == 404, (method, path, answer.text)
        nobody = world.ask(method, path, when, json=body)
        assert nobody.status_code == 401, (method, path)
    assert world.session.scalars(select(Registration.valid_to)).all() == [None]
    # Nor is a vehicle or tag reached through another agreement of one's own.
    own = world.done("POST", f"/v1/customers/{world.customer['number']}/agreements", 201)["number"]
    assert world.ask("DELETE", f"/v1/agreements/{own}/vehicles/{vehicle}", world.kari).status_code == 404
    assert world.ask("GET", f"/v1/agreements/{own}/tags/{tag}", world.kari).status_code == 404


def test_a_look_up_by_support_is_logged_and_ones_own_is_not(world: World) -> None:
    before = len(world.trail())
    world.got(f"{world.path}/vehicles")
    assert len(world.trail()) == before
    world.got(f"{world.path}/vehicles", world.agent)
    world.got(world.path, world.agent)
    assert world.trail()[before:] == [("anne", "look_up", f"agreement:{world.number}")] * 2
    found = world.got("/v1/customers?query=nordmann", world.agent)
    assert [one["number"] for one in found["items"]] == [world.customer["number"]]
    assert world.trail()[-1] == ("anne", "search", f"customer:{world.customer['number']}")
    assert world.ask("GET", "/v1/customers?query=nordmann", world.kari).status_code == 403
    assert world.ask("GET", "/v1/customers", world.agent).status_code == 422


def test_a_vehicle_comes_and_goes(world: World) -> None:
    made = world.done("POST", f"{world.path}/vehicles", 201, plate="el 123-45", day="2026-03-05")
    assert made == {
        "id": made["id"],
        "country": "NO",
        "plate": "EL12345",
        "valid_from": "2026-03-04T23:00:00Z",
        "valid_to": None,
    }
    assert world.done("POST", f"{world.path}/vehicles", 200, plate="EL12345", day="2026-03-06")["id"] == made["id"]
    page = world.got(f"{world.path}/vehicles")
    assert page == {"items": [made], "next": None}
    gone = world.done("POST", f"{world.path}/vehicles/{made['id']}/remove", 200, day="2026-03-29")
    assert (gone["valid_to"], gone["already"], gone["still_on"]) == ("2026-03-28T23:00:00Z", False, [])
    again = world.done("POST", f"{world.path}/vehicles/{made['id']}/remove", 200, day="2026-03-30")
    assert (again["valid_to"], again["already"]) == (gone["valid_to"], True)


def test_an_earlier_instant_is_for_support_with_a_reason(world: World) -> None:
    vehicle = world.done("POST", f"{world.path}/vehicles", 201, plate="EL12345")["id"]
    move_clock(world.session, NOW + 9 * DAY, running=False)
    world.session.commit()
    path, at = f"{world.path}/vehicles/{vehicle}/remove", "2026-03-03T12:00:00+01:00"
    assert world.done("POST", path, 422, at=at, reason="sold")["errors"][0]["field"] == "at"
    assert world.done("POST", path, 422, world.agent, at=at)["errors"][0]["field"] == "reason"
    assert world.done("POST", path, 200, world.agent, at=at, reason="sold")["valid_to"] == "2026-03-03T11:00:00Z"
    entry = world.session.scalars(select(TrailEntry).where(TrailEntry.action == "vehicle.remove")).one()
    assert (entry.actor, entry.reason, entry.detail) == ("anne", "sold", {"registration": vehicle})
    assert world.done("POST", f"{world.path}/vehicles", 422, plate="EL12345", at=at)["errors"][0]["field"] == "at"
    world.done("POST", f"{world.path}/vehicles", 201, world.agent, plate="EL12345", at=at, reason="not sold after all")


def test_what_is_offered_with_a_removal_can_be_sent_as_it_stands(world: World) -> None:
    vehicle = world.done("POST", f"{world.path}/vehicles", 201, plate="EL12345")["id"]
    ferry = world.done(
        "POST", f"{world.path}/additional-agreements", 201, operator="FJORD", settlement="own", plate="EL12345"
    )
    assert (ferry["operator"], ferry["settlement"], ferry["plate"]) == ("FJORD", "own", "EL12345")
    assert ferry["agreement"] != world.number
    gone = world.ask("DELETE", f"{world.path}/vehicles/{vehicle}", world.kari).get_json()
    (still,) = gone["still_on"]
    assert (still["id"], still["agreement"]) == (ferry["id"], ferry["agreement"])
    offer = still["remove"]
    then = world.done(offer["method"], offer["href"], 200, **offer["body"])
    assert (then["already"], then["still_on"]) == (True, [])
    assert [(one["id"], one["valid_to"]) for one in then["also"]] == [(ferry["id"], gone["valid_to"])]


def test_an_additional_agreement_is_listed_and_ended(world: World) -> None:
    world.done("POST", f"{world.path}/tags", 201, world.agent, printed_number="NO1234", pan=PAN + "F")
    body: dict[str, Any] = {"operator": "FJORD", "settlement": "external", "external_ref": "FK 77", "pan": PAN}
    made = world.done("POST", f"{world.path}/additional-agreements", 201, **body)
    assert (made["agreement"], made["pan"], made["plate"], made["country"]) == (world.number, PAN, None, None)
    assert world.done("POST", f"{world.path}/additional-agreements", 200, **body) == made
    assert world.got(f"{world.path}/additional-agreements")["items"] == [made]
    ended = world.done("POST", f"{world.path}/additional-agreements/{made['id']}/remove", 200)
    assert (ended["id"], ended["valid_to"]) == (made["id"], "2026-03-02T09:00:00Z")
    assert world.ask("GET", f"{world.path}/vehicles/{made['id']}", world.kari).status_code == 404


def test_a_tag_is_issued_moved_and_lost(world: World) -> None:
    vehicle = world.done("POST", f"{world.path}/vehicles", 201, plate="EL12345")["id"]
    body: dict[str, Any] = {"printed_number": "NO 1234", "pan": PAN, "obu_id": "ab12"}
    tag = world.done("POST", f"{world.path}/tags", 201, world.agent, **body)
    assert (tag["printed_number"], tag["issuer"], tag["state"], tag["mounts"]) == ("NO1234", "Norge", "active", [])
    assert world.ask("POST", f"{world.path}/tags", world.kari, json=body).status_code == 403
    moved = world.done("PUT", f"{world.path}/tags/{tag['id']}/vehicle", 200, vehicle=vehicle)
    assert [(one["plate"], one["valid_to"]) for one in moved["mounts"]] == [("EL12345", None)]
    lost = world.done("PUT", f"{world.path}/tags/{tag['id']}/state", 200, state="lost")
    assert (lost["state"], lost["mounts"][0]["valid_to"]) == ("lost", "2026-03-02T09:00:00Z")
    assert world.got(f"{world.path}/tags")["items"] == [lost]
    world.done("PUT", f"{world.path}/tags/{tag['id']}/vehicle", 409, vehicle=vehicle)


def test_another_agreements_vehicle_is_a_conflict_that_tells_nothing(world: World) -> None:
    world.done("POST", f"{world.path}/vehicles", 201, plate="EL12345")
    other = world.done("POST", "/v1/customers", 201, world.agent, **NEW | {"name": "Ola"})["agreements"][0]["number"]
    problem = world.done("POST", f"/v1/agreements/{other}/vehicles", 409, world.stranger, plate="EL12345")
    assert problem["type"] == "/problems/on-another-agreement"
    assert str(world.number) not in str(problem)


def test_closing_needs_what_was_read_and_tells_the_standing(world: World) -> None:
    world.done("POST", f"{world.path}/vehicles", 201, plate="EL12345")
    assert world.ask("POST", f"{world.path}/close", world.kari, json={}).status_code == 428
    tag = world.ask("GET", world.path, world.kari).headers["ETag"]
    when = {**world.kari, "If-Match": tag}
    assert world.done("POST", f"{world.path}/close", 422, when, day="2026-03-01")["errors"][0]["field"] == "day"
    ahead = world.ask("POST", f"{world.path}/close", when, json={"day": "2026-03-10"})
    assert ahead.get_json()["closed_at"] == "2026-03-09T23:00:00Z"
    assert ahead.get_json()["standing"] == "open"
    assert ahead.headers["ETag"] != tag
    assert world.ask("POST", f"{world.path}/close", when, json={}).status_code == 412
    closed = world.done("POST", f"{world.path}/close", 200, {**when, "If-Match": ahead.headers["ETag"]})
    assert (closed["standing"], closed["closed_at"]) == ("closed", "2026-03-02T09:00:00Z")
    story = world.got(f"{world.path}/standing")
    assert [one["standing"] for one in story["history"]] == ["open", "closed"]
    assert story["history"][0].keys() == {"standing", "at", "reason"}
    assert [one["status"] for one in story["publications"]] == ["ended"] * 4 + ["valid"] * 2
    assert "actor" in world.got(f"{world.path}/standing", world.agent)["history"][0]
    first = world.got(f"{world.path}/standing/publications?limit=4")
    rest = world.got(f"{world.path}/standing/publications?limit=4&after={first['next']}")
    assert first["items"] + rest["items"] == story["publications"]
    world.done("POST", f"{world.path}/vehicles", 409, plate="EL99999")


def test_an_agreement_is_shown_with_its_family(world: World) -> None:
    world.done("POST", f"{world.path}/additional-agreements", 201, operator="FJORD", settlement="own", plate="EL1")
    shown = world.got(world.path)
    (ferry,) = shown["additional"]
    assert (shown["customer"], shown["kind"], shown["parent"]) == (world.customer["number"], "tag", None)
    other = world.got(f"/v1/agreements/{ferry}")
    assert (other["kind"], other["operator"], other["parent"], other["additional"]) == (
        "ferry",
        "FJORD",
        world.number,
        [],
    )


def test_chargers_are_kept_by_operators(world: World) -> None:
    operator = world.bearer("operator")
    body = {"name": "Kyst AS", "kind": "toll", "email": "post@kyst.no"}
    assert world.done("PUT", "/v1/chargers/KYST", 201, operator, **body)["org_no"] is None
    made = world.ask("GET", "/v1/chargers/KYST", operator).headers["ETag"]
    read = {**operator, "If-Match": made}
    assert world.done("PUT", "/v1/chargers/KYST", 200, read, **body)["code"] == "KYST"
    assert world.ask("PUT", "/v1/chargers/KYST", world.agent, json=body).status_code == 403
    assert world.done("PUT", "/v1/chargers/kyst", 422, operator, **body)["errors"][0]["field"] == "code"
    stations = [{"code": "1", "name": "Tunnelen", "project": "P"}, {"code": "2", "name": "Brua", "project": "P"}]
    kept = world.ask("PUT", "/v1/chargers/KYST/stations", operator, json=stations)
    assert kept.get_json() == {"stations": 2}
    first = world.got("/v1/chargers/KYST/stations?limit=1", operator)
    nowhere = {"latitude": None, "longitude": None}
    assert first["items"] == [stations[0] | nowhere]
    rest = world.got(f"/v1/chargers/KYST/stations?after={first['next']}", operator)["items"]
    assert rest == [stations[1] | nowhere]
    assert [one["code"] for one in world.got("/v1/chargers", world.agent)["items"]] == ["FJELL", "FJORD", "KYST"]
    assert world.ask("GET", "/v1/chargers/NONE", operator).status_code == 404


def test_a_charger_is_changed_only_by_who_read_it_as_it_is(world: World) -> None:
    operator, path = world.bearer("operator"), "/v1/chargers/KYST"
    body = {"name": "Kyst AS", "kind": "toll"}
    assert (
        world.done("PUT", path, 412, {**operator, "If-Match": '"1"'}, **body)["type"] == "/problems/changed-meanwhile"
    )
    assert world.ask("GET", path, operator).status_code == 404
    made = world.ask("PUT", path, operator, json=body)
    tag = world.ask("GET", path, operator).headers["ETag"]
    assert (made.status_code, made.headers["ETag"]) == (201, tag)
    assert world.done("PUT", path, 428, operator, **body)["type"] == "/problems/precondition-required"
    changed = world.ask("PUT", path, {**operator, "If-Match": tag}, json={**body, "name": "Kysten AS"})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    world.done("PUT", path, 412, {**operator, "If-Match": tag}, **body)
    assert world.got(path, operator)["name"] == "Kysten AS"
    entry = world.client.get("/openapi.json").get_json()["paths"]["/v1/chargers/{code}"]["put"]
    assert {"412", "428"} <= entry["responses"].keys()
    assert [one["required"] for one in entry["parameters"] if one["name"] == "If-Match"] == [False]
