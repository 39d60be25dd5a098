"""Cards and charges over HTTP: whose they are, who may do what, once each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from accounts.agreements.models import Agreement
from billing.cards.gateway import CardGateway, GatewayMisuse
from billing.cards.models import Card
from billing.cards.stripe.gateway import StripeGateway
from config.clock import move_clock
from config.database import SessionFactory
from config.settings import Settings, load
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver
from tests.integration.billing.cards.test_cards import another, cards, invoiced
from tests.integration.conftest import Bearer

WHY = {"reason": "The customer called"}
Ask = Callable[..., TestResponse]


@pytest.fixture
def settings(tmp_path: Path, stand_in: GatewayServer) -> Settings:
    """Settings with the stand-in as the card gateway."""
    given = {"BRIKKE_VAR": f"{tmp_path}/var", "STRIPE_API_KEY": "sk_test_x", "STRIPE_API_BASE": stand_in.url}
    return load({**given, "STRIPE_WEBHOOK_SECRETS": "whsec_simulator"}, tmp_path / ".env")


@pytest.fixture
def driver(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """A driver whose card has no cover, on a Monday in March."""
    with sessions() as session:
        move_clock(session, MONDAY, running=False)
        session.commit()
    return make_driver(sessions, stand_in, gateway, "insufficient_funds")


@pytest.fixture
def tried(driver: Driver, gateway: CardGateway) -> int:
    """The id of a charge of 200 kroner that was declined once."""
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    return driver.charges()[0].id


@pytest.fixture
def number(driver: Driver) -> int:
    with driver.sessions() as session:
        return session.get_one(Agreement, driver.agreement_id).number


@pytest.fixture
def whose(driver: Driver) -> int:
    with driver.sessions() as session:
        return session.get_one(Agreement, driver.agreement_id).customer_id


@pytest.fixture
def ask(client: FlaskClient, bearer: Bearer) -> Ask:
    """Ask as an agent, each time with a new key, or as told."""
    keys = itertools.count()

    def send(method: str, path: str, body: Any = None, *, key: str = "", who: dict[str, str] | None = None) -> Any:
        headers = {**(who or bearer("agent")), "Idempotency-Key": key or f"k{next(keys)}"}
        return client.open("/v1" + path, method=method, json=body, headers=headers)

    return send


def trail(driver: Driver) -> list[tuple[str, str | None]]:
    with driver.sessions() as session:
        rows = session.execute(text("SELECT action, reason FROM audit_trail WHERE action NOT LIKE 'look%' ORDER BY id"))
        return [(row[0], row[1]) for row in rows]


class TestCards:
    def test_they_are_listed_chosen_and_removed(
        self, ask: Ask, bearer: Bearer, driver: Driver, stand_in: GatewayServer, number: int, whose: int
    ) -> None:
        other, first = another(driver, stand_in), cards(driver)[0].id
        me = bearer("customer", customer_id=whose)
        path = f"/agreements/{number}/cards"
        shown = ask("GET", path, who=me).get_json()["items"]
        assert [(card["id"], card["is_default"]) for card in shown] == [(first, True), (other, False)]
        for _ in range(2):
            assert ask("PUT", f"{path}/{other}/default", who=me).get_json()["is_default"] is True
        assert ask("GET", f"/agreements/{number}/card", who=me).get_json()["id"] == other
        assert ask("DELETE", f"{path}/{other}", who=me).status_code == 204
        assert ask("DELETE", f"{path}/{other}", who=me).status_code == 404
        assert ask("GET", f"/agreements/{number}/card", who=me).get_json()["id"] == first
        gone = stand_in.world.store.get("payment_method", _method(driver, other))
        assert gone is not None
        assert gone["customer"] is None, "the provider has forgotten it"

    def test_the_same_card_given_anew_takes_its_own_place_there_too(
        self, ask: Ask, driver: Driver, stand_in: GatewayServer, number: int
    ) -> None:
        path, methods = f"/agreements/{number}/card", []
        for _ in range(2):
            begun = ask("POST", path, {"return_url": f"/mypage/{number}/card"}).get_json()["url"]
            setup = begun.rsplit("/", 1)[-1].split("?")[0]
            stand_in.give_card(setup, "mastercard")
            assert ask("POST", f"{path}/finish", {"setup": setup}).status_code == 200
            methods.append(cards(driver)[-1].payment_method)
        assert [card.is_default for card in cards(driver)] == [False, True]
        old, new = (stand_in.world.store.get("payment_method", one) for one in methods)
        assert old is not None
        assert new is not None
        assert (old["customer"], new["customer"]) == (None, driver.provider_customer)

    def test_a_provider_that_takes_no_cards_from_us_is_said(
        self, ask: Ask, driver: Driver, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = f"/agreements/{number}/card"
        begun = ask("POST", path, {"return_url": f"/mypage/{number}/card"}).get_json()["url"]
        setup = begun.rsplit("/", 1)[-1].split("?")[0]

        def refused(*_args: str, **_more: str) -> None:
            raise GatewayMisuse("Invalid API Key provided")

        for name in ("start_setup", "finish_setup"):
            monkeypatch.setattr(StripeGateway, name, refused)
        for answer in (
            ask("POST", path, {"return_url": f"/mypage/{number}/card"}),
            ask("POST", f"{path}/finish", {"setup": setup}),
        ):
            assert (answer.status_code, answer.get_json()["type"]) == (503, "/problems/card-provider-refuses")

    def test_one_that_may_have_to_be_asked_again_is_not_forgotten_by_the_provider(
        self, ask: Ask, driver: Driver, gateway: CardGateway, stand_in: GatewayServer, number: int
    ) -> None:
        another(driver, stand_in)
        first = cards(driver)[0].id
        driver.drive(20_000, MONDAY)
        stand_in.fault("timeout", hold_seconds=1)
        assert driver.charge(gateway, MONDAY) == ["unknown"]
        assert ask("DELETE", f"/agreements/{number}/cards/{first}").status_code == 204
        kept = stand_in.world.store.get("payment_method", _method(driver, first))
        assert kept is not None
        assert kept["customer"] == driver.provider_customer

    @pytest.mark.parametrize(
        ("method", "path", "body", "allowed"),
        [
            ("GET", "", None, {"customer", "agent", "lead"}),
            ("PUT", "/{card}/default", None, {"customer", "agent"}),
            ("PUT", "/{card}/segment", {"segment": "commercial", **WHY}, {"agent", "lead"}),
            ("DELETE", "/{card}", None, {"customer", "agent"}),
        ],
    )
    def test_others_may_not(
        self, ask: Ask, bearer: Bearer, driver: Driver, number: int, whose: int, method: str, path: str, body: Any,
        allowed: set[str],
    ) -> None:  # fmt: skip
        address = f"/agreements/{number}/cards" + path.format(card=cards(driver)[0].id)
        for role in ("operator", "accountant", "lead", "agent"):
            if role not in allowed:
                assert ask(method, address, body, who=bearer(role)).status_code == 403, role
        stranger = bearer("customer", customer_id=whose + 1)
        assert ask(method, address, body, who=stranger).status_code == (404 if "customer" in allowed else 403)
        if path:
            assert ask(method, address.replace(path.format(card=cards(driver)[0].id), path.format(card=4711)), body
                       ).status_code == 404  # fmt: skip
        assert cards(driver)[0].segment == "consumer"

    def test_an_agent_says_what_kind_it_is_and_why(self, ask: Ask, driver: Driver, number: int) -> None:
        path = f"/agreements/{number}/cards/{cards(driver)[0].id}/segment"
        for wrong in ({"segment": "commercial"}, {"segment": "gold", **WHY}, {"segment": "consumer", "reason": "  "}):
            assert ask("PUT", path, wrong).status_code == 422
        for _ in range(2):
            said = ask("PUT", path, {"segment": "commercial", **WHY}).get_json()
            assert (said["segment"], said["segment_source"]) == ("commercial", "support")
        assert trail(driver) == [("card.segment", WHY["reason"])]

    def test_the_only_way_to_pay_stays_unless_an_invoice_is_chosen(
        self, ask: Ask, driver: Driver, number: int, tried: int
    ) -> None:
        path = f"/agreements/{number}/cards/{cards(driver)[0].id}"
        refused = ask("DELETE", path)
        assert (refused.status_code, refused.get_json()["type"]) == (409, "/problems/only-way-to-pay")
        assert ask("DELETE", path + "?instead=cash").status_code == 422
        assert ask("DELETE", path + "?instead=invoice").status_code == 204
        assert invoiced(driver) == [20_000]
        assert tried == driver.charges()[0].id


class TestPaymentMethod:
    def test_an_invoice_instead_of_an_open_charge_and_no_receipts(
        self, client: FlaskClient, bearer: Bearer, ask: Ask, driver: Driver, number: int, tried: int
    ) -> None:
        path = f"/agreements/{number}/payment-method"
        now = ask("GET", path)
        assert now.get_json() == {"payment_method": "card", "receipts_by_mail": True}
        who = {**bearer("agent"), "If-Match": now.headers["ETag"]}
        refused = client.put("/v1" + path, json={"payment_method": "invoice"}, headers=who)
        assert (refused.status_code, refused.get_json()["type"]) == (409, "/problems/charge-open")
        body = {"payment_method": "invoice", "instead": True, "receipts_by_mail": False}
        done = client.put("/v1" + path, json=body, headers=who)
        assert done.get_json() == {"payment_method": "invoice", "receipts_by_mail": False}
        assert client.put("/v1" + path, json=body, headers=who).status_code == 412
        assert invoiced(driver) == [20_000]
        assert [charge.state for charge in driver.charges() if charge.id == tried] == ["invoiced"]


class TestCharges:
    def test_it_is_tried_again_at_once_and_once_a_key(
        self, ask: Ask, driver: Driver, gateway: CardGateway, stand_in: GatewayServer, tried: int
    ) -> None:
        for _ in range(2):
            assert ask("POST", f"/charges/{tried}/retry", WHY, key="again").status_code == 200
        assert driver.charge(gateway, MONDAY) == ["declined"]
        assert trail(driver) == [("charge.retry", WHY["reason"])]
        stand_in.fault("timeout", hold_seconds=1)
        ask("POST", f"/charges/{tried}/retry", WHY)
        assert driver.charge(gateway, MONDAY) == ["unknown"]
        for act, body in (("retry", WHY), ("invoice", WHY), ("card", {**WHY, "card": cards(driver)[0].id})):
            refused = ask("POST", f"/charges/{tried}/{act}", body)
            assert (refused.status_code, refused.get_json()["type"]) == (409, "/problems/charge-unknown")

    def test_it_is_taken_by_another_card(
        self, ask: Ask, driver: Driver, gateway: CardGateway, stand_in: GatewayServer, tried: int
    ) -> None:
        other = another(driver, stand_in)
        assert ask("POST", f"/charges/{tried}/card", {**WHY, "card": 4711}).status_code == 404
        done = ask("POST", f"/charges/{tried}/card", {**WHY, "card": other})
        assert (done.status_code, done.get_json()["card_id"]) == (200, other)
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        assert driver.attempts()[-1].card_id == other
        assert [card.is_default for card in cards(driver)] == [True, False]
        for act in ("retry", "invoice", "cancel"):
            refused = ask("POST", f"/charges/{tried}/{act}", WHY)
            assert (refused.status_code, refused.get_json()["type"]) == (409, "/problems/charge-ended"), act

    def test_it_goes_on_an_invoice(self, ask: Ask, driver: Driver, tried: int) -> None:
        refused = ask("POST", f"/charges/{tried}/cancel", WHY)
        assert (refused.status_code, refused.get_json()["type"]) == (409, "/problems/charge-claimed")
        for _ in range(2):
            assert ask("POST", f"/charges/{tried}/invoice", WHY).get_json()["state"] == "invoiced"
        assert invoiced(driver) == [20_000]

    def test_an_untried_one_is_called_off_or_invoiced(
        self, ask: Ask, driver: Driver, gateway: CardGateway, stand_in: GatewayServer
    ) -> None:
        driver.drive(20_000, MONDAY)
        due = driver.charges()[0].id
        for _ in range(2):
            assert ask("POST", f"/charges/{due}/cancel", WHY).get_json()["state"] == "cancelled"
        assert driver.charge(gateway, MONDAY) == []
        assert driver.balance().unbilled_ore == 20_000
        driver.drive(100, MONDAY)
        due = driver.charges()[1].id
        assert ask("POST", f"/charges/{due}/invoice", WHY).get_json()["state"] == "cancelled"
        assert invoiced(driver) == [20_100]
        assert stand_in.books()["count"] == 0

    def test_a_card_that_is_refused_is_not_tried(
        self, ask: Ask, driver: Driver, stand_in: GatewayServer, tried: int
    ) -> None:
        other = another(driver, stand_in)
        with driver.sessions() as session:
            for card in cards(driver):
                session.get_one(Card, card.id).refused_code = "lost_card"
            session.commit()
        assert ask("POST", f"/charges/{tried}/retry", WHY).get_json()["type"] == "/problems/no-card"
        refused = ask("POST", f"/charges/{tried}/card", {**WHY, "card": other})
        assert refused.get_json()["type"] == "/problems/card-refused"

    def test_support_charges_now(self, ask: Ask, driver: Driver, gateway: CardGateway, number: int) -> None:
        path = f"/agreements/{number}/charges/now"
        assert ask("POST", path, WHY).get_json()["type"] == "/problems/nothing-left"
        driver.drive(700, MONDAY)
        done = ask("POST", path, WHY).get_json()
        assert (done["cause"], done["state"]) == ("agent", "due")
        assert driver.charge(gateway, MONDAY) == ["declined"]
        assert ask("POST", path, WHY).get_json()["type"] == "/problems/charge-open"

    @pytest.mark.parametrize("act", ["retry", "cancel", "invoice", "card"])
    def test_only_support_does_it_with_a_reason(
        self, ask: Ask, bearer: Bearer, whose: int, tried: int, act: str
    ) -> None:
        path, more = f"/charges/{tried}/{act}", {"card": 1} if act == "card" else {}
        for role in ("operator", "accountant"):
            assert ask("POST", path, {**WHY, **more}, who=bearer(role)).status_code == 403
        assert ask("POST", path, {**WHY, **more}, who=bearer("customer", customer_id=whose)).status_code == 403
        assert ask("POST", path, {"reason": "", **more}).status_code == 422
        assert ask("POST", path, more).status_code == 422
        assert ask("POST", f"/charges/4711/{act}", {**WHY, **more}).status_code == 404


def _method(driver: Driver, card_id: int) -> str:
    with driver.sessions() as session:
        return session.get_one(Card, card_id).payment_method
