"""What of card payments goes back to the card, as its customer sees it."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text

from billing.cards import refund, refund_call
from billing.cards.gateway import CardGateway
from billing.cards.models import Charge
from billing.invoices.seller import seller_of
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.browser.world import Person, Town, at
from tests.integration.web.mypage.pages import read, sign_in
from web.mypage import invoices

NOW = at(1, 12, 9)


@pytest.fixture
def settings(settings: Settings, stand_in: GatewayServer) -> Settings:
    return replace(settings, stripe_api_key="sk_test_x", stripe_api_base=stand_in.url, http_timeout_seconds=5)


@pytest.fixture
def person(client: FlaskClient, town: Town, stand_in: GatewayServer) -> Person:
    """Somebody whose card has paid two passages, signed in."""
    person = town.person("Kort Hansen")
    town.vehicle(person, "EL50505")
    town.card(person, "consumer", stand_in)
    town.drive("EL50505", at(1, 9), 20_000)
    town.drive("EL50505", at(1, 10), 5_000)
    town.charge(at(1, 10, 9))
    town.clock(NOW)
    sign_in(client, person)
    return person


def give_back(town: Town, settings: Settings, number: int) -> int:
    """Give back the first, second … passage of the charge; return the refund's id."""
    with town.sessions.begin() as session:
        charge = session.scalars(select(Charge).order_by(Charge.id).limit(1)).one()
        passages = session.scalars(
            text("SELECT id FROM passages WHERE claim_id = :c AND reverses_id IS NULL ORDER BY passed_at"),
            {"c": charge.claim_id},
        ).all()
        row = refund.give_back(
            session, charge.id, [passages[number]], reason="Feil klasse", seller=seller_of(settings),
            actor="agent:kari", now=NOW,
        ).refund  # fmt: skip
        assert row is not None
        return row.id


def state(town: Town, refund_id: int, to: str) -> None:
    """Let a refund stand otherwise; only its word is looked at."""
    ended = "now()" if to in ("succeeded", "failed", "cancelled") else "NULL"
    called = "now()" if to in ("unknown", "succeeded", "failed") else "NULL"
    with town.sessions.begin() as session:
        session.execute(
            text(f"UPDATE card_refunds SET state = :to, ended_at = {ended}, called_at = {called} WHERE id = :id"),
            {"to": to, "id": refund_id},
        )


def test_the_customer_sees_what_goes_back_and_of_which_payment(
    client: FlaskClient, town: Town, person: Person, settings: Settings, gateway: CardGateway
) -> None:
    path = f"/mypage/{person.number}/invoices"
    assert "Tilbake til kortet" not in read(client.get(path)), "nothing is said where nothing goes back"
    row = give_back(town, settings, 1)
    said = read(client.get(path))
    assert "Tilbake til kortet" in said
    assert re.search(r"•••• \d{4}, betalt 10\.", said), said
    assert "På vei til kortet 50,00 kr" in said
    assert "Det den betalte: 100000003" in said, "the receipt as it is now, issued anew"
    with town.sessions() as session:
        number = session.scalar(text("SELECT max(number) FROM documents WHERE kind = 'invoice'"))
    assert f'href="/mypage/{person.number}/invoices/{number}"' in client.get(path).text
    assert "agent" not in said, "who of ours asked for it is ours to know"
    assert refund_call.refund_one(town.sessions, gateway, row, now=NOW) == "succeeded"
    assert "Betalt tilbake 50,00 kr" in read(client.get(path))


@pytest.mark.parametrize(
    ("to", "bokmaal", "english"),
    [
        ("requested", "Til godkjenning hos oss", "Being approved by us"),
        ("unknown", "På vei til kortet", "On its way to your card"),
        ("succeeded", "Betalt tilbake", "Refunded"),
        ("failed", "Gikk ikke gjennom; står til gode", "Did not go through; in credit"),
        ("cancelled", "Stanset; står til gode", "Stopped; in credit"),
    ],
)
def test_how_it_stands_is_said_in_plain_words(
    client: FlaskClient, town: Town, person: Person, settings: Settings, to: str, bokmaal: str, english: str
) -> None:
    state(town, give_back(town, settings, 1), to)
    path = f"/mypage/{person.number}/invoices"
    assert f"{bokmaal} 50,00 kr" in read(client.get(path))
    with client.session_transaction() as held:
        held["language"] = "en"
    assert f"{english} NOK 50.00" in read(client.get(path))


def test_older_ones_are_a_page_further(
    client: FlaskClient, town: Town, person: Person, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoices, "REFUNDS", 1)
    for number in (1, 0):
        give_back(town, settings, number)
    page = client.get(f"/mypage/{person.number}/invoices")
    assert "200,00 kr" in read(page)
    assert "På vei til kortet 50,00 kr" not in read(page)
    [older_at] = re.findall(r'href="([^"]*[?]refunds=[^"]+)"', page.text)
    older = read(client.get(older_at))
    assert "På vei til kortet 50,00 kr" in older


def test_anothers_are_not_seen(client: FlaskClient, app: Flask, town: Town, person: Person, settings: Settings) -> None:
    give_back(town, settings, 1)
    other, stranger = town.person("Annen Kunde"), app.test_client()
    sign_in(stranger, other)
    assert stranger.get(f"/mypage/{person.number}/invoices").status_code == 404
    assert "Tilbake til kortet" not in read(stranger.get(f"/mypage/{other.number}/invoices"))
    assert app.test_client().get(f"/mypage/{person.number}/invoices").status_code in (302, 303)
