"""Confirming a charge over HTTP and on My Page: whose it is, twice, and what is said."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from accounts.access.principal import Principal
from accounts.agreements.models import Agreement
from billing.cards.gateway import CardGateway
from config.clock import now_utc
from config.database import SessionFactory
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import Driver, card_settings
from tests.integration.billing.cards.test_confirm import Customer, ref
from tests.integration.conftest import Bearer


@pytest.fixture
def settings(tmp_path: object, stand_in: GatewayServer) -> Settings:
    """Settings with the stand-in as the card gateway."""
    return card_settings(tmp_path, stand_in)


@pytest.fixture
def customer(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Customer:
    """A customer whose charge waits for them."""
    return Customer(driver, gateway, stand_in)


def whose(sessions: SessionFactory, driver: Driver) -> tuple[int, int]:
    """Return the agreement's number and its customer."""
    with sessions() as session:
        agreement = session.get_one(Agreement, driver.agreement_id)
        return agreement.number, agreement.customer_id


def test_the_customer_gets_the_page_over_http(
    client: FlaskClient, bearer: Bearer, customer: Customer, sessions: SessionFactory
) -> None:
    number, customer_id = whose(sessions, customer.driver)
    path, asked = f"/v1/charges/{customer.charge_id}/confirm", {"return_url": f"/mypage/{number}/card/confirmed"}
    me = bearer("customer", customer_id=customer_id)
    first = client.post(path, json=asked, headers=me)
    assert first.status_code == 200, first.json
    assert client.post(path, json=asked, headers=me).get_json() == first.get_json()
    stranger = bearer("customer", customer_id=customer_id + 1)
    assert client.post(path, json=asked, headers=stranger).status_code == 404
    assert client.post("/v1/charges/999/confirm", json=asked, headers=me).status_code == 404
    for role in ("agent", "accountant"):
        assert client.post(path, json=asked, headers=bearer(role)).status_code == 403
    assert client.post(path, json=asked).status_code == 401
    elsewhere = client.post(path, json={"return_url": "https://evil.example/x"}, headers=me)
    assert elsewhere.status_code == 422
    customer.stand_in.pay_page(ref(first.get_json()["url"]))
    paid = client.post(path, json=asked, headers=me)
    assert (paid.status_code, paid.get_json()["type"]) == (409, "/problems/charge-not-waiting")
    customer.paid_once()


def test_a_provider_that_is_silent_is_503(
    client: FlaskClient, bearer: Bearer, customer: Customer, sessions: SessionFactory
) -> None:
    number, customer_id = whose(sessions, customer.driver)
    customer.stand_in.fault("error", on="setup", when="before")
    answer = client.post(
        f"/v1/charges/{customer.charge_id}/confirm",
        json={"return_url": f"/mypage/{number}/card/confirmed"},
        headers=bearer("customer", customer_id=customer_id),
    )
    assert answer.status_code == 503


def test_on_my_page_there_is_a_button_and_a_way_back(
    client: FlaskClient, customer: Customer, sessions: SessionFactory
) -> None:
    number, customer_id = whose(sessions, customer.driver)
    sign_in(client, customer_id)
    page = client.get(f"/mypage/{number}/card").get_data(as_text=True)
    path = f"/mypage/{number}/card/confirm/{customer.charge_id}"
    assert path in page
    assert "Bekreft betalingen" in page
    speak(client, "en")
    assert "Confirm the payment" in client.get(f"/mypage/{number}/card").get_data(as_text=True)
    speak(client, "nb")
    urls = {client.post(path, data={"csrf_token": token(client)}).headers["Location"] for _ in range(2)}
    [url] = urls
    assert url.startswith(customer.stand_in.url)
    left = client.get(f"/mypage/{number}/card/confirmed", follow_redirects=True).get_data(as_text=True)
    assert "Betalingen er ikke bekreftet" in left
    assert customer.states() == ["declined", "nothing"], "who leaves may choose something else at once"
    url = client.post(path, data={"csrf_token": token(client)}).headers["Location"]
    customer.stand_in.pay_page(ref(url))
    back = client.get(f"/mypage/{number}/card/confirmed?confirmed={ref(url)}", follow_redirects=True)
    assert "Betalingen er bekreftet" in back.get_data(as_text=True)
    assert path not in back.get_data(as_text=True)
    customer.paid_once()
    again = client.post(path, data={"csrf_token": token(client)}, follow_redirects=True).get_data(as_text=True)
    assert "skal ikke bekreftes lenger" in again
    assert client.get(f"/mypage/{number}/card/confirmed?confirmed=cs_other").status_code == 404


def test_a_stranger_confirms_nothing(client: FlaskClient, customer: Customer, sessions: SessionFactory) -> None:
    number, customer_id = whose(sessions, customer.driver)
    with sessions() as session:
        other = session.scalar(
            text(
                "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) SELECT kind, name, "
                "'ola@example.no', street, postal_code, city, created_at FROM customers WHERE id = :c RETURNING id"
            ),
            {"c": customer_id},
        )
        session.commit()
    assert other is not None
    sign_in(client, int(other))
    path = f"/mypage/{number}/card/confirm/{customer.charge_id}"
    assert client.post(path, data={"csrf_token": token(client)}).status_code == 404
    assert customer.states() == ["declined"]


def sign_in(client: FlaskClient, customer_id: int) -> None:
    """Sign a customer in, as the sign-in page does."""
    now = int(now_utc().timestamp())
    who = Principal(subject=f"customer:{customer_id}", role="customer", customer_id=customer_id)
    with client.session_transaction() as cookie:
        cookie.update({"who": who.claims(), "since": now, "seen": now, "csrf": "a-token-of-this-test"})


def speak(client: FlaskClient, language: str) -> None:
    """Choose the pages' language."""
    with client.session_transaction() as cookie:
        cookie["language"] = language


def token(client: FlaskClient) -> str:
    """Return the token that forms carry."""
    with client.session_transaction() as cookie:
        found = str(cookie["csrf"])
    assert re.fullmatch(r"[\w-]+", found)
    return found
