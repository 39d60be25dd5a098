"""A national id over HTTP: who may give it, that it is kept sealed, and that nobody ever sees it again."""

from __future__ import annotations

import base64
import logging
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from accounts.access.models import TrailEntry
from accounts.customers.models import Customer
from accounts.customers.national_id import SealedAnew, opened, seal_anew
from accounts.customers.sign_up import sign_up
from config.clock import move_clock
from config.sealed import Sealing, UnknownKey, sealing
from config.settings import Settings
from tests.applications import application
from tests.integration.accounts.conftest import KARI, NOW
from tests.integration.conftest import Bearer

REAL, SYNTHETIC = "15108695088", "15908695043"
OTHER = "01010750160"


class World:
    """Kari (customer 1), a company (customer 2), and whoever asks."""

    def __init__(self, client: FlaskClient, bearer: Bearer, session: Session, settings: Settings) -> None:
        self.client, self.bearer, self.session, self.settings = client, bearer, session, settings
        move_clock(session, NOW, running=False)
        self.kari = sign_up(session, "private", KARI, now=NOW, actor="test").customer
        business = {**KARI, "name": "Fjord AS", "org_no": "988077917"}
        self.company = sign_up(session, "business", business, now=NOW, actor="test").customer
        session.commit()
        self.path = f"/v1/customers/{self.kari.number}/national-id"
        self.own = bearer("customer", customer_id=self.kari.id)

    def put(self, value: Any, headers: dict[str, str] | None = None, path: str = "") -> Any:
        return self.client.put(path or self.path, json={"national_id": value}, headers=headers or self.own)

    def customer(self) -> Customer:
        self.session.expire_all()
        return self.session.scalars(select(Customer).where(Customer.id == self.kari.id)).one()

    def trail(self) -> list[tuple[str, str]]:
        self.session.expire_all()
        return [(row.action, row.actor) for row in self.session.scalars(select(TrailEntry).order_by(TrailEntry.id))]


@pytest.fixture
def world(client: FlaskClient, bearer: Bearer, session: Session, settings: Settings) -> World:
    return World(client, bearer, session, settings)


def test_it_is_kept_sealed_and_only_that_there_is_one_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = world.client.get(f"/v1/customers/{world.kari.number}", headers=world.own).get_json()
    assert before["has_national_id"] is False
    answer = world.put("151086 95088")
    assert answer.status_code == 200, answer.text
    assert (answer.get_json()["has_national_id"], answer.headers["ETag"]) == (True, '"2"')
    kept = world.customer().national_id
    assert kept is not None
    assert REAL.encode() not in kept
    assert opened(world.customer(), sealing(world.settings)) == REAL
    asked = [world.client.get(f"/v1/customers/{world.kari.number}", headers=world.own).text, answer.text]
    assert world.trail() == [("customer.national_id.keep", world.trail()[0][1])]
    rows = world.session.execute(text("SELECT row_to_json(t)::text FROM audit_trail t")).scalars().all()
    everywhere = "".join(map(str, [*asked, *rows, caplog.text]))
    sealed = [kept.hex(), base64.b64encode(kept).decode()]
    assert not any(one in everywhere for one in (REAL, "151086 95088", "95088", *sealed))


def test_no_table_holds_it_in_the_clear(world: World) -> None:
    assert world.put(REAL).status_code == 200
    names = world.session.execute(
        text(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type LIKE 'BASE%'"
        )
    ).scalars()
    for name in list(names):
        found = world.session.execute(
            text(f'SELECT count(*) FROM "{name}" t WHERE t::text LIKE :id'), {"id": f"%{REAL}%"}
        )
        assert found.scalar() == 0, name


def test_it_is_replaced_and_forgotten(world: World) -> None:
    world.put(REAL)
    first = world.customer().national_id
    assert world.put(REAL).headers["ETag"] == '"3"'  # the same again is no other answer: nobody learns by trying
    assert world.customer().national_id != first
    assert world.put(OTHER).status_code == 200
    assert opened(world.customer(), sealing(world.settings)) == OTHER
    for etag in ('"5"', '"5"'):
        answer = world.client.delete(world.path, headers=world.own)
        assert (answer.status_code, answer.headers["ETag"]) == (200, etag)
        assert answer.get_json()["has_national_id"] is False
    assert world.customer().national_id is None
    assert [action.rpartition(".")[2] for action, _ in world.trail()] == ["keep", "keep", "keep", "forget"]


@pytest.mark.parametrize("role", ["agent", "lead"])
def test_support_gives_it_for_the_customer(world: World, role: str) -> None:
    assert world.put(REAL, world.bearer(role, subject="anne")).status_code == 200
    assert ("customer.national_id.keep", "anne") in world.trail()
    assert world.client.delete(world.path, headers=world.bearer(role, subject="anne")).status_code == 200


def test_nobody_else_may(world: World) -> None:
    stranger = world.bearer("customer", customer_id=world.company.id)
    assert world.put(REAL, stranger).status_code == 404
    assert world.client.delete(world.path, headers=stranger).status_code == 404
    for headers in (world.bearer("accountant"), world.bearer("operator"), world.bearer("charger", charger="FJELL")):
        assert world.put(REAL, headers).status_code == 403
        assert world.client.delete(world.path, headers=headers).status_code == 403
    assert world.client.put(world.path, json={"national_id": REAL}).status_code == 401
    assert world.put(REAL, world.bearer("agent"), "/v1/customers/9999999/national-id").status_code == 404
    assert world.customer().national_id is None
    assert [action for action, _ in world.trail() if "national_id" in action] == []


@pytest.mark.parametrize("garbage", ["", "1", "15108695087", SYNTHETIC, None, 15108695088, ["15108695088"], "1" * 21])
def test_garbage_changes_nothing_and_is_not_repeated(world: World, garbage: Any) -> None:
    answer = world.put(garbage)
    assert answer.status_code == 422, answer.text
    assert "national_id" in answer.text
    assert not (isinstance(garbage, str) and len(garbage) > 5 and garbage in answer.text)
    assert (world.customer().national_id, world.customer().version) == (None, 1)


@pytest.mark.parametrize(("wanted", "status"), [("true", 200), ("false", 422), ("demo", 422)])
def test_made_up_ids_are_taken_where_the_settings_say_so(
    world: World, engine: Engine, wanted: str, status: int
) -> None:
    app = application(replace(world.settings, synthetic_national_ids=wanted), engine)
    answer = app.test_client().put(world.path, json={"national_id": SYNTHETIC}, headers=world.own)
    assert answer.status_code == status, answer.text
    assert (world.customer().national_id is not None) == (status == 200)


def test_a_business_has_none(world: World) -> None:
    path = f"/v1/customers/{world.company.number}/national-id"
    answer = world.put(REAL, world.bearer("customer", customer_id=world.company.id), path)
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["code"] == "not_wanted"


def test_an_old_key_can_be_taken_out_once_all_is_sealed_anew(world: World) -> None:
    old, new = Sealing([b"1" * 32]), Sealing([b"2" * 32, b"1" * 32])
    customer = world.customer()
    customer.national_id = old.seal(REAL)
    world.session.flush()
    lost = Sealing([b"3" * 32])
    assert seal_anew(world.session, sealing=lost) == SealedAnew(0, 1, None)
    assert seal_anew(world.session, sealing=new, limit=1) == SealedAnew(1, 0, world.kari.id)
    assert seal_anew(world.session, sealing=new, after=world.kari.id) == SealedAnew(0, 0, None)
    assert seal_anew(world.session, sealing=new) == SealedAnew(0, 0, None)
    assert opened(world.customer(), Sealing([b"2" * 32])) == REAL
    with pytest.raises(UnknownKey):
        opened(world.customer(), old)
