"""An agreement's cards and charges on the support desk: the story of each attempt, and acting on a charge."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Flask

from accounts.agreements.models import Agreement
from billing.cards.gateway import CardGateway
from config.clock import move_clock
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver
from tests.integration.billing.cards.test_cards import another, cards, invoiced
from tests.integration.web.desk import Browser, said, signed_in

WHY = "Kunden ringte"


@pytest.fixture
def driver(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """Somebody whose business card has no cover, tried once on a Monday in March."""
    with sessions() as session:
        move_clock(session, MONDAY, running=False)
        session.commit()
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    return driver


@pytest.fixture
def page(driver: Driver) -> str:
    with driver.sessions() as session:
        return f"/agreements/{session.get_one(Agreement, driver.agreement_id).number}"


@pytest.fixture
def agent(app: Flask) -> Browser:
    return signed_in(app, "agent", "nb")


def test_each_attempt_has_its_story(agent: Browser, driver: Driver, page: str) -> None:
    told = agent.text(f"{page}/cards")
    for words in (
        "Visa •••• 4242 trekkes", "privat (etter kortleverandøren) · debet · NO", "200,00 kr",
        "Summen nådde grensen for trekk.", "Avvist: det var ikke dekning på kortet.", "insufficient_funds",
        "Your card has insufficient funds.", "Vi prøver igjen 3. mars 2026.", "Gjør noe med trekket",
    ):  # fmt: skip
        assert words in told, words
    assert str(driver.attempts()[0].provider_ref) in told


def test_what_the_provider_turned_away_is_not_tried_yet(
    agent: Browser, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    other = make_driver(sessions, stand_in, gateway, "consumer")
    other.drive(20_000, MONDAY)
    stand_in.fault("rate_limit")
    assert other.charge(gateway, MONDAY) == ["unknown"]
    with sessions() as session:
        number = session.get_one(Agreement, other.agreement_id).number
    told = agent.text(f"/agreements/{number}/cards")
    assert "ikke prøvd ennå" in told
    assert "uten svar" not in told


def test_an_agent_takes_it_by_another_card(
    agent: Browser, driver: Driver, stand_in: GatewayServer, gateway: CardGateway, page: str
) -> None:
    other, charge = another(driver, stand_in), driver.charges()[0].id
    assert "Ta det på Mastercard •••• 0076" in agent.text(f"{page}/cards")
    assert agent.post(f"{page}/charges/{charge}", act=f"card:{other}").status_code == 422, "a reason is needed"
    assert agent.post(f"{page}/charges/{charge}", act="card:x", reason=WHY).status_code == 422
    assert agent.post(f"{page}/charges/{charge}", act="card:4711", reason=WHY).status_code == 404
    assert agent.post(f"{page}/charges/{charge}", act=f"card:{other}", reason=WHY).status_code == 303
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    told = agent.text(f"{page}/cards")
    assert f"Kundebehandler kari valgte et annet kort for et trekk: «{WHY}»" in told
    assert "Trukket 200,00 kr." in told
    gone = agent.post(f"{page}/charges/{charge}", act="retry", reason=WHY)
    assert gone.status_code == 409
    assert "Trekket er alt avsluttet." in said(gone)


def test_an_agent_tries_it_again_and_puts_it_on_an_invoice(
    agent: Browser, driver: Driver, gateway: CardGateway, page: str
) -> None:
    charge = driver.charges()[0].id
    assert agent.post(f"{page}/charges/{charge}", act="retry", reason=WHY).status_code == 303
    assert driver.charge(gateway, MONDAY) == ["declined"]
    refused = agent.post(f"{page}/charges/{charge}", act="cancel", reason=WHY)
    assert refused.status_code == 409
    assert "Legg det heller på faktura." in said(refused)
    for _ in range(2):
        assert agent.post(f"{page}/charges/{charge}", act="invoice", reason=WHY).status_code == 303
    assert invoiced(driver) == [20_000]
    assert "Ble faktura" in agent.text(f"{page}/cards")


def test_an_agent_says_what_kind_of_card_it_is(agent: Browser, driver: Driver, page: str) -> None:
    card = cards(driver)[0].id
    assert agent.post(f"{page}/cards/{card}/segment", segment="commercial").status_code == 422
    assert agent.post(f"{page}/cards/{card}/segment", segment="gold", reason=WHY).status_code == 422
    assert agent.post(f"{page}/cards/4711/segment", segment="commercial", reason=WHY).status_code == 404
    assert agent.post(f"{page}/cards/{card}/segment", segment="commercial", reason=WHY).status_code == 303
    assert "bedrift (bestemt av oss)" in agent.text(f"{page}/cards")


def test_an_agent_charges_now(agent: Browser, driver: Driver, gateway: CardGateway, page: str) -> None:
    charge = driver.charges()[0].id
    agent.post(f"{page}/charges/{charge}", act="invoice", reason=WHY)
    nothing = agent.post(f"{page}/charges/now", reason=WHY)
    assert (nothing.status_code, "Det er ingenting å trekke." in said(nothing)) == (409, True)
    driver.drive(500, MONDAY)
    assert "Trekk 5,00 kr nå" in agent.text(f"{page}/cards")
    assert agent.post(f"{page}/charges/now").status_code == 422
    assert agent.post(f"{page}/charges/now", reason=WHY).status_code == 303
    told = agent.text(f"{page}/cards")
    assert "Kundeservice satte i gang trekket." in told
    assert f"Kundebehandler kari satte i gang et trekk: «{WHY}»" in told


def test_others_read_or_stay_out(app: Flask, driver: Driver, page: str) -> None:
    charge, card = driver.charges()[0].id, cards(driver)[0].id
    accountant = signed_in(app, "accountant", "nb")
    assert "Gjør noe med trekket" not in accountant.text(f"{page}/cards")
    for who in (accountant, signed_in(app, "operator"), signed_in(app, "customer")):
        assert who.post(f"{page}/charges/{charge}", act="invoice", reason=WHY).status_code == 403
        assert who.post(f"{page}/charges/now", reason=WHY).status_code == 403
        assert who.post(f"{page}/cards/{card}/segment", segment="commercial", reason=WHY).status_code == 403
    for who in (signed_in(app, "operator"), signed_in(app, "customer")):
        assert who.get(f"{page}/cards").status_code == 403
    assert [one.state for one in driver.charges()] == ["claimed"]


def test_a_charge_of_another_agreement_is_not_here(
    agent: Browser, driver: Driver, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, page: str
) -> None:
    other = make_driver(sessions, stand_in, gateway, "consumer")
    other.drive(20_000, MONDAY + dt.timedelta(hours=1))
    charge = driver.charges()[-1].id
    assert agent.post(f"{page}/charges/{charge}", act="cancel", reason=WHY).status_code == 404
    assert driver.charges()[-1].state == "due"
