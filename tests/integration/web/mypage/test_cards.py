"""The cards of an agreement on My Page: several, what is open and why, invoices instead, receipts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.models import Card
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.browser.world import Person, Town, at
from tests.integration.web.mypage.pages import post, read, sign_in


@pytest.fixture
def settings(settings: Settings, stand_in: GatewayServer) -> Settings:
    return replace(settings, stripe_api_key="sk_test_x", stripe_api_base=stand_in.url, http_timeout_seconds=2)


@pytest.fixture
def person(client: FlaskClient, town: Town) -> Person:
    """Somebody with a car, who is signed in."""
    person = town.person("Kort Hansen")
    town.vehicle(person, "EL50505")
    sign_in(client, person)
    return person


def ids(session: Session) -> list[int]:
    session.rollback()
    return list(session.scalars(select(Card.id).where(Card.removed_at.is_(None)).order_by(Card.id)))


def test_a_second_card_pays_what_the_first_could_not(
    client: FlaskClient, town: Town, person: Person, stand_in: GatewayServer, session: Session
) -> None:
    path = f"/mypage/{person.number}/card"
    town.card(person, "mastercard", stand_in)
    town.card(person, "insufficient_funds", stand_in)
    good, broke = ids(session)
    town.drive("EL50505", at(1, 10), 25_000)
    town.charge(at(1, 10, 9))
    said = read(client.get(path))
    assert "250,00 kr er ikke betalt: det var ikke dekning på kortet. Vi prøver igjen 12. januar 2026." in said
    assert "prøver vi det med en gang" in said
    assert said.index("•••• 9995 trekkes") < said.index("•••• 0076")
    assert "Visa •••• 9995 trekkes" in said
    for _ in range(2):
        assert post(client, f"{path}/{good}/default", path).status_code == 303
    said = read(client.get(path))
    assert "Mastercard som slutter på 0076 betaler fra nå av." in said
    assert "Mastercard •••• 0076 trekkes" in said
    town.charge(at(1, 10, 10))
    assert "Åpent trekk" not in read(client.get(path))
    assert stand_in.books()["sum_ore"] == 25_000
    assert post(client, f"{path}/{broke}/remove", path).status_code == 303
    said = read(client.get(path))
    assert "Kortet er fjernet." in said
    assert "Fra nå av får du faktura" not in said
    assert session.get_one(Agreement, person.agreement_id).payment_method == "card"


def test_another_customers_card_does_not_exist(
    client: FlaskClient, app: Flask, town: Town, person: Person, stand_in: GatewayServer, session: Session
) -> None:
    town.card(person, "consumer", stand_in)
    [card] = ids(session)
    other = town.person("Annen Kunde")
    stranger = app.test_client()
    sign_in(stranger, other)
    path = f"/mypage/{other.number}/card"
    assert post(stranger, f"{path}/{card}/default", path).status_code == 404
    post(stranger, f"{path}/{card}/remove", path)
    assert ids(session) == [card]
    for form in (f"{card}/default", f"{card}/remove", "remove", "method", "receipts"):
        assert post(stranger, f"/mypage/{person.number}/card/{form}", path).status_code == 404, form
    assert ids(session) == [card]


def test_invoices_instead_and_back_to_the_card(
    client: FlaskClient, town: Town, person: Person, stand_in: GatewayServer, session: Session
) -> None:
    path = f"/mypage/{person.number}/card"
    town.card(person, "consumer", stand_in)
    town.drive("EL50505", at(1, 10), 4_000)
    assert "trekkes en siste gang på kortet, uansett sum" in read(client.get(path))
    assert post(client, f"{path}/method", path, method="invoice").status_code == 303
    said = read(client.get(path))
    assert "Fra nå av får du faktura." in said
    assert "Betalingsmåten ble endret: det som var igjen." in said
    town.charge(at(1, 10, 9))
    assert stand_in.books()["sum_ore"] == 4_000
    town.drive("EL50505", at(1, 11), 1_000)
    assert post(client, f"{path}/method", path, method="card").status_code == 303
    assert "Kortet betaler fra nå av." in read(client.get(path))
    town.charge(at(1, 11, 9))
    assert stand_in.books()["sum_ore"] == 5_000


def test_an_open_charge_becomes_an_invoice_when_that_is_chosen(
    client: FlaskClient, town: Town, person: Person, stand_in: GatewayServer, session: Session
) -> None:
    path = f"/mypage/{person.number}/card"
    town.card(person, "insufficient_funds", stand_in)
    town.drive("EL50505", at(1, 10), 25_000)
    town.charge(at(1, 10, 9))
    [card] = ids(session)
    assert post(client, f"{path}/{card}/remove", path).status_code == 303
    said = read(client.get(path))
    assert "Registrer et annet kort først, eller velg faktura også for det som er åpent." in said
    assert "Fjern, og få faktura på det som er åpent" in said
    assert post(client, f"{path}/method", path, method="invoice").status_code == 303
    assert "Et trekk på kortet er ikke avsluttet ennå." in read(client.get(path))
    assert post(client, f"{path}/method", path, method="invoice", instead="yes").status_code == 303
    said = read(client.get(path))
    assert "Fra nå av får du faktura." in said
    assert "Ble faktura" in said
    assert session.scalar(text("SELECT sum(total_ore) FROM documents WHERE due_on IS NOT NULL")) == 25_000


def test_receipts_can_be_switched_off_and_on(client: FlaskClient, town: Town, person: Person, session: Session) -> None:
    path = f"/mypage/{person.number}/card"
    assert "På. Kvitteringen sendes også på e-post." in read(client.get(path))
    for _ in range(2):
        assert post(client, f"{path}/receipts", path).status_code == 303
    assert "Av. Kvitteringen finner du bare her." in read(client.get(path))
    assert session.get_one(Agreement, person.agreement_id).receipts_by_mail is False
    assert post(client, f"{path}/receipts", path, by_mail="yes").status_code == 303
    assert "På. Kvitteringen sendes også på e-post." in read(client.get(path))
    acts = session.scalar(text("SELECT count(*) FROM audit_trail WHERE action = 'receipts'"))
    assert acts == 2, "what changes nothing is no act"


@pytest.mark.parametrize(
    ("kind", "unticked", "segment"),
    [
        ("private", False, "commercial"),
        ("private", True, "unknown"),
        ("business", False, "commercial"),
        ("business", True, "unknown"),
    ],
)
def test_whose_card_it_is_is_the_holders_own_word(
    client: FlaskClient, town: Town, person: Person, stand_in: GatewayServer, session: Session, kind: str,
    unticked: bool, segment: str,
) -> None:  # fmt: skip
    path = f"/mypage/{person.number}/card"
    if kind == "business":
        session.execute(text("UPDATE customers SET kind = 'business', org_no = '999999980'"))
    session.commit()
    page = client.get(path).text
    box = page[page.index('<input type="checkbox" id="business"') :]
    assert ("checked" in box[: box.index(">")]) == (kind == "business")
    fields = {} if unticked else {"business": "yes"}
    answer = post(client, f"{path}/register", path, **fields)
    setup = answer.headers["Location"].rsplit("/", 1)[1]
    stand_in.give_card(setup, "unknown_product")
    client.get(path, query_string={"setup": setup})
    session.rollback()
    assert session.scalars(select(Card.segment)).all() == [segment]


def test_a_closed_agreement_lets_a_card_pay_what_is_open_and_no_more(
    client: FlaskClient, town: Town, person: Person, stand_in: GatewayServer, session: Session
) -> None:
    path = f"/mypage/{person.number}/card"
    town.card(person, "insufficient_funds", stand_in)
    town.drive("EL50505", at(1, 10), 25_000)
    town.charge(at(1, 10, 9))
    session.execute(text("UPDATE agreements SET standing = 'closed', closed_at = :at"), {"at": at(1, 10, 10)})
    session.commit()
    said = read(client.get(path))
    assert "Det som var igjen, trekkes på kortet" in said
    assert "Registrer et annet kort" in said
    setup = post(client, f"{path}/register", path).headers["Location"].rsplit("/", 1)[1]
    stand_in.give_card(setup, "consumer")
    client.get(path, query_string={"setup": setup})
    town.charge(at(1, 10, 11))
    assert stand_in.books()["sum_ore"] == 25_000
    said = read(client.get(path))
    assert "Visa som slutter på 4242 er registrert. " in said
    assert "Registrer et annet kort" not in said
    assert post(client, f"{path}/register", path).headers["Location"] == path
    assert "Avtalen er avsluttet." in read(client.get(path))


def test_the_card_that_takes_over_is_the_one_that_is_charged(
    client: FlaskClient, town: Town, person: Person, stand_in: GatewayServer, session: Session
) -> None:
    path = f"/mypage/{person.number}/card"
    town.card(person, "mastercard", stand_in)
    town.card(person, "stolen_card", stand_in)
    town.drive("EL50505", at(1, 10), 25_000)
    town.charge(at(1, 10, 9))
    said = read(client.get(path))
    assert "Mastercard •••• 0076 trekkes" in said
    assert "virker ikke" in said
    assert said.count("Vi prøver et annet kort nå.") == 2, "what is open, and the story of the charge"
    town.charge(at(1, 10, 9))
    assert stand_in.books()["sum_ore"] == 25_000
    assert session.scalars(text("SELECT template FROM messages WHERE template LIKE 'card%'")).all() == ["card_next"]
