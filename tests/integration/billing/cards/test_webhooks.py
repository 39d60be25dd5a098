"""Webhooks: signed, once, in any order; and the registration of a card through the provider's page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from werkzeug.serving import make_server

from accounts.agreements.models import Agreement
from billing.cards.models import Card, ProviderEvent
from billing.cards.stripe.gateway import StripeGateway
from config.database import SessionFactory
from config.settings import Settings, load
from simulator.gateway import GatewayServer
from tests.applications import application
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.conftest import Bearer

SECRET = "whsec_simulator"


@pytest.fixture
def stand_in(listening: str) -> Iterator[GatewayServer]:
    """The stand-in gateway, sending its webhooks to the application."""
    with GatewayServer(webhook_url=listening + "/v1/webhooks/stripe", webhook_secrets=(SECRET,), first_wait=0.1) as it:
        yield it


@pytest.fixture
def late() -> dict[str, Flask]:
    """The application that answers on ``listening``, made once the gateway's address is known."""
    return {}


@pytest.fixture
def listening(late: dict[str, Flask]) -> Iterator[str]:
    """An address of ours that the gateway can call."""
    server = make_server("127.0.0.1", 0, lambda environ, start: late["app"](environ, start), threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture
def settings(tmp_path: object, stand_in: GatewayServer) -> Settings:
    """Settings with the stand-in as the card gateway."""
    return load(
        {
            "BRIKKE_VAR": f"{tmp_path}/var",
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": stand_in.url,
            "STRIPE_WEBHOOK_SECRETS": f"whsec_old,{SECRET}",
        }
    )


@pytest.fixture
def app(settings: Settings, engine: Engine, late: dict[str, Flask]) -> Flask:
    """The application, reachable by the gateway."""
    late["app"] = application(settings, engine)
    return late["app"]


def test_a_webhook_brings_the_outcome_that_the_answer_did_not(
    app: Flask, driver: Driver, stand_in: GatewayServer
) -> None:
    del app
    gateway = StripeGateway(api_key="sk_test_x", api_base=stand_in.url, timeout_seconds=0.5)
    stand_in.fault("webhook", action="duplicate", copies=3)
    stand_in.fault("timeout", hold_seconds=1)
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    assert stand_in.wait_for_webhooks()
    assert [charge.state for charge in driver.charges()] == ["succeeded"]
    with driver.sessions() as session:
        events = session.scalars(select(ProviderEvent.effect).where(ProviderEvent.type == "payment_intent.succeeded"))
        assert list(events) == ["succeeded"]
        assert session.scalar(text("SELECT count(*) FROM documents")) == 1


def test_a_forged_webhook_is_refused(client: FlaskClient, driver: Driver) -> None:
    del driver
    body = json.dumps({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": {}}})
    for header in ({}, {"Stripe-Signature": "t=1,v1=00"}, {"Stripe-Signature": "emoji 🚗".encode().decode("latin-1")}):
        answer = client.post("/v1/webhooks/stripe", data=body, content_type="application/json", headers=header)
        assert answer.status_code == 400
        assert answer.content_type == "application/problem+json"


def test_a_card_is_registered_on_the_providers_page(
    client: FlaskClient, bearer: Bearer, driver: Driver, stand_in: GatewayServer, sessions: SessionFactory
) -> None:
    with sessions() as session:
        agreement = session.get_one(Agreement, driver.agreement_id)
        number, whose = agreement.number, agreement.customer_id
    me = bearer("customer", customer_id=whose)
    path = f"/v1/agreements/{number}/card"
    begun = client.post(path, json={"return_url": f"/mypage/{number}/card", "business_card": True}, headers=me)
    assert begun.status_code == 201, begun.json
    setup = begun.get_json()["url"].rsplit("/", 1)[-1].split("?")[0]
    early = client.post(path + "/finish", json={"setup": setup}, headers=me)
    assert early.status_code == 409
    stand_in.give_card(setup, "commercial")
    for _ in range(2):
        done = client.post(path + "/finish", json={"setup": setup}, headers=me)
        assert done.status_code == 200, done.json
        assert (done.get_json()["segment"], done.get_json()["last4"]) == ("commercial", "0007")
    with sessions() as session:
        cards = session.scalars(select(Card).order_by(Card.id)).all()
        assert [card.is_default for card in cards] == [False, True]
    stranger = bearer("customer", customer_id=whose + 1)
    assert client.post(path + "/finish", json={"setup": setup}, headers=stranger).status_code == 404
    assert client.get(path, headers=stranger).status_code == 404
    assert client.delete(path, headers=me).status_code == 204
    assert client.get(path, headers=me).get_json()["last4"] == "4242", "the card from before is charged again"
    assert client.delete(path, headers=me).status_code == 204
    assert client.get(path, headers=me).status_code == 404
    with sessions() as session:
        assert session.get_one(Agreement, driver.agreement_id).payment_method == "invoice"


@pytest.mark.parametrize("there", ["https://evil.example/x", "//evil.example/x", "javascript:alert(1)"])
def test_the_browser_is_only_sent_back_to_us(
    client: FlaskClient, bearer: Bearer, driver: Driver, sessions: SessionFactory, there: str
) -> None:
    with sessions() as session:
        number = session.get_one(Agreement, driver.agreement_id).number
    answer = client.post(f"/v1/agreements/{number}/card", json={"return_url": there}, headers=bearer("agent"))
    assert answer.status_code == 422
