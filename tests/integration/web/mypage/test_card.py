"""The card on My Page, from registering to the receipt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.gateway import GatewayMisuse
from billing.cards.models import Card
from billing.cards.stripe.gateway import StripeGateway
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.browser.world import People, Person, Town, at
from tests.integration.web.mypage.pages import post, read, sign_in


class TestCard:
    @pytest.fixture
    def settings(self, settings: Settings, stand_in: GatewayServer) -> Settings:
        return replace(settings, stripe_api_key="sk_test_x", stripe_api_base=stand_in.url, http_timeout_seconds=2)

    def begin(self, client: FlaskClient, person: Person, **fields: str) -> str:
        answer = post(client, f"/mypage/{person.number}/card/register", f"/mypage/{person.number}/card", **fields)
        assert answer.status_code == 303
        return answer.headers["Location"].rsplit("/", 1)[1]

    def test_from_registering_to_the_receipt(
        self, client: FlaskClient, town: Town, stand_in: GatewayServer, session: Session
    ) -> None:
        person = town.person("Kort Hansen")
        town.vehicle(person, "EL50505")
        path = f"/mypage/{person.number}/card"
        sign_in(client, person)
        policy = client.get(path).headers["Content-Security-Policy"]
        assert f"form-action 'self' {stand_in.url}" in policy
        setup = self.begin(client, person)
        stand_in.give_card(setup, "commercial")
        back = client.get(path, query_string={"setup": setup})
        assert (back.status_code, back.headers["Location"]) == (303, path)
        said = read(client.get(path))
        assert "er registrert og betaler avtalen fra nå av" in said
        assert "bedriftskort: betalingsleverandøren legger til 2 % av summen og 0,50 kr per betaling" in said
        town.drive("EL50505", at(1, 10), 20000)
        assert "Skal trekkes" in read(client.get(path))
        town.charge(at(1, 10, 9))
        said = read(client.get(path))
        assert "204,50 kr 10. januar 2026 Betalt" in said
        assert "Trukket 204,50 kr, derav 4,50 kr i kortgebyr." in said
        assert "Kvittering 100000001" in said
        receipt = read(client.get(f"/mypage/{person.number}/invoices/100000001"))
        assert "Kortgebyr, bedriftskort 4,50 kr" in receipt
        assert "Trukket på kort som slutter på" in receipt
        assert client.get(path, query_string={"setup": setup}).status_code == 303
        assert session.scalars(select(func.count()).select_from(Card)).one() == 1

    def test_declined_then_invoiced(self, client: FlaskClient, town: Town, stand_in: GatewayServer) -> None:
        person = town.person("Tom Konto")
        town.vehicle(person, "EL40404")
        town.card(person, "stolen_card", stand_in)
        town.drive("EL40404", at(1, 10), 25000)
        town.charge(at(1, 10, 9))
        sign_in(client, person)
        said = read(client.get(f"/mypage/{person.number}/card"))
        assert "Avvist: kortet er meldt stjålet." in said
        assert "Vi ga opp kortet og sendte faktura 100000001 i stedet." in said
        assert "Kortet ble avvist og brukes ikke lenger." in said
        assert "250,00 kr" in read(client.get(f"/mypage/{person.number}"))

    def test_turning_back_at_the_provider_registers_nothing(self, client: FlaskClient, town: Town) -> None:
        person = town.person("Angrer Seg")
        sign_in(client, person)
        setup = self.begin(client, person)
        path = f"/mypage/{person.number}/card"
        client.get(path, query_string={"setup": setup})
        assert "Kortet ble ikke registrert." in read(client.get(path))

    def test_anothers_setup_is_not_found(
        self, client: FlaskClient, app: Flask, town: Town, stand_in: GatewayServer
    ) -> None:
        one, other = town.person("En Kunde"), town.person("Annen Kunde")
        sign_in(client, one)
        setup = self.begin(client, one)
        stand_in.give_card(setup, "consumer")
        stranger = app.test_client()
        sign_in(stranger, other)
        path = f"/mypage/{other.number}/card"
        assert stranger.get(path, query_string={"setup": setup}).status_code == 404
        assert stranger.get(path, query_string={"setup": "x" * 5000}).status_code == 404
        assert "Med faktura på e-post" in read(stranger.get(path))

    def test_removing(self, client: FlaskClient, town: Town, stand_in: GatewayServer, session: Session) -> None:
        person = town.person("Kort Hansen")
        town.vehicle(person, "EL50505")
        town.card(person, "consumer", stand_in)
        sign_in(client, person)
        path = f"/mypage/{person.number}/card"
        town.drive("EL50505", at(1, 10), 25000)
        for _ in range(2):
            assert post(client, f"{path}/remove", path).status_code == 303
        assert "Det er ikke noe kort på avtalen." in read(client.get(path))
        assert session.get_one(Agreement, person.agreement_id).payment_method == "invoice"
        town.charge(at(1, 10, 9))
        assert stand_in.books()["count"] == 0, "what was due and not tried goes on an invoice instead"

    def test_a_card_that_is_being_charged_stays(
        self, client: FlaskClient, town: Town, stand_in: GatewayServer, session: Session
    ) -> None:
        person = town.person("Kort Hansen")
        town.vehicle(person, "EL50505")
        town.card(person, "consumer", stand_in)
        sign_in(client, person)
        path = f"/mypage/{person.number}/card"
        town.drive("EL50505", at(1, 10), 25000)
        stand_in.fault("rate_limit")
        town.charge(at(1, 10, 9))
        post(client, f"{path}/remove", path)
        assert "Et trekk på kortet er ikke avsluttet ennå." in read(client.get(path))
        assert session.get_one(Agreement, person.agreement_id).payment_method == "card"

    def test_a_provider_that_is_away(self, client: FlaskClient, town: Town, stand_in: GatewayServer) -> None:
        person = town.person("Prøver Igjen")
        sign_in(client, person)
        path = f"/mypage/{person.number}/card"
        stand_in.fault("error", on="any", times=None)
        answer = post(client, f"{path}/register", path)
        assert (answer.status_code, answer.headers["Location"]) == (303, path)
        assert "Kortleverandøren svarer ikke akkurat nå." in read(client.get(path))

    @pytest.mark.parametrize("where", ["start_setup", "finish_setup"])
    def test_a_provider_that_takes_no_cards_from_us(
        self, client: FlaskClient, town: Town, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        person = town.person("Prøver Igjen")
        sign_in(client, person)
        path = f"/mypage/{person.number}/card"
        setup = self.begin(client, person)

        def refused(*_args: str, **_more: str) -> None:
            raise GatewayMisuse("Invalid API Key provided")

        monkeypatch.setattr(StripeGateway, where, refused)
        if where == "start_setup":
            answer = post(client, f"{path}/register", path)
        else:
            answer = client.get(path, query_string={"setup": setup})
        assert (answer.status_code, answer.headers["Location"]) == (303, path)
        assert "Kortleverandøren tar ikke imot kort fra oss akkurat nå. Feilen er ikke din." in read(client.get(path))

    def test_a_lost_customer_whose_charge_is_not_known(
        self, client: FlaskClient, town: Town, stand_in: GatewayServer
    ) -> None:
        person = town.person("Kort Hansen")
        town.vehicle(person, "EL50505")
        town.card(person, "consumer", stand_in)
        sign_in(client, person)
        path = f"/mypage/{person.number}/card"
        town.drive("EL50505", at(1, 10), 25000)
        stand_in.fault("rate_limit")
        town.charge(at(1, 10, 9))
        with stand_in.world.store.lock:
            stand_in.world.store.db.execute("DELETE FROM objects WHERE kind = 'customer'")
        assert post(client, f"{path}/register", path).headers["Location"] == path
        assert "Vi spør igjen selv; prøv igjen om noen minutter." in read(client.get(path))


def test_without_a_provider_cards_are_not_offered(client: FlaskClient, people: People) -> None:
    sign_in(client, people.invoiced)
    path = f"/mypage/{people.invoiced.number}/card"
    assert "ingen kortleverandør er satt opp" in read(client.get(path))
    assert post(client, f"{path}/register", path).status_code == 404
