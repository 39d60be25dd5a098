"""What support changes about an agreement's cards, and settling a charge whose customer has the payment page open."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from accounts.agreements.models import Agreement
from billing.cards import page_ended
from billing.cards.gateway import CardGateway, PaymentPage
from billing.cards.models import Card
from billing.cards.stripe.gateway import StripeGateway
from config.clock import move_clock
from config.database import SessionFactory
from config.settings import Settings
from simulator.gateway import GatewayServer
from simulator.gateway.errors import ApiError
from tests.integration.billing.cards.conftest import MONDAY, Driver, card_settings, make_driver
from tests.integration.billing.cards.test_cards import agreement, another, cards, invoiced
from tests.integration.billing.cards.test_confirm import Customer, ref
from tests.integration.conftest import Bearer
from tests.integration.web.desk import Browser, said, signed_in

WHY = "Kunden ringte"


@pytest.fixture
def settings(tmp_path: object, stand_in: GatewayServer) -> Settings:
    """Settings with the stand-in as the card gateway."""
    return card_settings(tmp_path, stand_in)


@pytest.fixture
def driver(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """Somebody who pays by card, on a Monday in March."""
    with sessions() as session:
        move_clock(session, MONDAY, running=False)
        session.commit()
    return make_driver(sessions, stand_in, gateway, "consumer")


@pytest.fixture
def page(driver: Driver) -> str:
    return f"/agreements/{agreement(driver).number}"


@pytest.fixture
def agent(app: Flask) -> Browser:
    return signed_in(app, "agent", "nb")


def declined(driver: Driver, stand_in: GatewayServer, gateway: CardGateway) -> None:
    """200 kroner driven, tried once and declined."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("decline", code="insufficient_funds")
    assert driver.charge(gateway, MONDAY) == ["declined"]


def trail(driver: Driver) -> list[tuple[str, str | None, dict[str, Any]]]:
    """What was done to the agreement: action, reason, detail."""
    with driver.sessions() as session:
        rows = session.execute(
            text("SELECT action, reason, detail FROM audit_trail WHERE action <> 'look_up' ORDER BY id")
        )
        return [(row.action, row.reason, row.detail) for row in rows]


def test_an_agent_removes_a_card_and_the_other_is_charged(
    agent: Browser, driver: Driver, stand_in: GatewayServer, page: str
) -> None:
    first, other = cards(driver)[0], another(driver, stand_in)
    assert agent.post(f"{page}/cards/{first.id}/remove").status_code == 422, "a reason is needed"
    assert agent.post(f"{page}/cards/{first.id}/remove", reason="x" * 301).status_code == 422
    assert agent.post(f"{page}/cards/4711/remove", reason=WHY).status_code == 404
    assert len(cards(driver)) == 2
    assert trail(driver) == []
    assert agent.post(f"{page}/cards/{first.id}/remove", reason=WHY).status_code == 303
    assert [(card.id, card.is_default) for card in cards(driver)] == [(other, True)]
    assert "Kortet er fjernet." in agent.text(f"{page}/cards")
    assert agent.post(f"{page}/cards/{first.id}/remove", reason=WHY).status_code == 404, "it is gone"
    assert trail(driver) == [("remove_card", WHY, {"card": first.id, "instead": None})]
    there = stand_in.world.store.get("payment_method", first.payment_method)
    assert there is not None
    assert there["customer"] is None, "forgotten there too"


def test_the_only_card_of_an_open_charge_is_refused_in_words_unless_an_invoice_is_chosen(
    agent: Browser, driver: Driver, stand_in: GatewayServer, gateway: CardGateway, page: str
) -> None:
    declined(driver, stand_in, gateway)
    card = cards(driver)[0].id
    told = agent.text(f"{page}/cards")
    assert "Legg det åpne trekket på faktura" in told
    assert "Uten det betales avtalen med faktura." in told
    refused = agent.post(f"{page}/cards/{card}/remove", reason=WHY)
    assert refused.status_code == 409
    assert "dette er det eneste kortet som kan betale det" in said(refused)
    assert WHY in refused.text, "what was typed stays"
    assert len(cards(driver)) == 1
    assert agent.post(f"{page}/cards/{card}/remove", reason=WHY, instead="yes").status_code == 303
    assert "Avtalen betales nå med faktura." in agent.text(f"{page}/cards")
    assert (invoiced(driver), agreement(driver).payment_method) == ([20_000], "invoice")
    assert trail(driver) == [("remove_card", WHY, {"card": card, "instead": "invoice"})]


def test_an_agent_chooses_which_card_is_charged(
    agent: Browser, driver: Driver, stand_in: GatewayServer, gateway: CardGateway, page: str
) -> None:
    declined(driver, stand_in, gateway)
    other = another(driver, stand_in)
    assert "La dette kortet trekkes" in agent.text(f"{page}/cards")
    assert agent.post(f"{page}/cards/{other}/default").status_code == 422
    assert agent.post(f"{page}/cards/4711/default", reason=WHY).status_code == 404
    assert agent.post(f"{page}/cards/{other}/default", reason=WHY).status_code == 303
    assert "Mastercard •••• 0076 trekkes fra nå av." in agent.text(f"{page}/cards")
    assert driver.charge(gateway, MONDAY) == ["succeeded"], "what is open is tried on it at once"
    assert driver.attempts()[-1].card_id == other
    with driver.sessions() as session:
        [first] = [card.id for card in cards(driver) if card.id != other]
        session.get_one(Card, first).refused_code = "lost_card"
        session.commit()
    refused = agent.post(f"{page}/cards/{first}/default", reason=WHY)
    assert (refused.status_code, "Kortet er avvist for godt." in said(refused)) == (409, True)
    assert trail(driver) == [("card.default", WHY, {"card": other})]


def test_an_agent_sets_how_receipts_come(agent: Browser, driver: Driver, page: str) -> None:
    before = agreement(driver).receipts_by_mail
    wanted = "no" if before else "yes"
    assert agent.post(f"{page}/receipts", by_mail=wanted).status_code == 422
    assert agent.post(f"{page}/receipts", by_mail="fax", reason=WHY).status_code == 422
    for _ in range(2):
        assert agent.post(f"{page}/receipts", by_mail=wanted, reason=WHY).status_code == 303
    assert agreement(driver).receipts_by_mail is (not before)
    words = "Kvitteringer sendes ikke på e-post." if before else "Kvitteringer sendes på e-post."
    assert words in agent.text(f"{page}/cards")
    assert trail(driver) == [("receipts", WHY, {"by_mail": not before})], "the same again is no act"


def test_others_read_or_stay_out(app: Flask, driver: Driver, stand_in: GatewayServer, page: str) -> None:
    other = another(driver, stand_in)
    accountant = signed_in(app, "accountant", "nb")
    told = accountant.text(f"{page}/cards")
    for words in ("Fjern kortet", "La dette kortet trekkes", "Endre hvordan kvitteringene kommer"):
        assert words not in told, words
    for who in (accountant, signed_in(app, "operator"), signed_in(app, "customer")):
        assert who.post(f"{page}/cards/{other}/remove", reason=WHY).status_code == 403
        assert who.post(f"{page}/cards/{other}/default", reason=WHY).status_code == 403
        assert who.post(f"{page}/receipts", by_mail="no", reason=WHY).status_code == 403
    assert (len(cards(driver)), trail(driver)) == (2, [])


def test_a_card_of_another_agreement_is_not_here(
    agent: Browser, driver: Driver, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, page: str
) -> None:
    make_driver(sessions, stand_in, gateway, "consumer")
    theirs = cards(driver)[-1].id
    for act in ("remove", "default"):
        assert agent.post(f"{page}/cards/{theirs}/{act}", reason=WHY).status_code == 404
    assert (len(cards(driver)), trail(driver)) == (2, [])


class TestWhileThePaymentPageIsOpen:
    @pytest.fixture
    def customer(self, driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Customer:
        """A customer whose charge waits for them."""
        return Customer(driver, gateway, stand_in)

    @staticmethod
    def invoiced_only(customer: Customer, url: str) -> None:
        """It is on an invoice, and cannot be paid on the page any more."""
        with pytest.raises(ApiError):
            customer.stand_in.pay_page(ref(url))
        assert customer.stand_in.books()["sum_ore"] == 0
        assert (customer.charge().state, invoiced(customer.driver)) == ("invoiced", [20_000])
        assert customer.states() == ["declined", "nothing"]

    def test_an_agent_puts_it_on_an_invoice(self, agent: Browser, customer: Customer, page: str) -> None:
        url = customer.press()
        assert agent.post(f"{page}/charges/{customer.charge_id}", act="invoice").status_code == 422
        assert customer.states() == ["declined", "unknown"], "nothing is ended for what is refused anyhow"
        path = f"{page}/charges/{customer.charge_id}"
        assert agent.post(path, act="invoice", reason=WHY).status_code == 303
        self.invoiced_only(customer, url)

    def test_or_removes_the_card(self, agent: Browser, customer: Customer, page: str) -> None:
        url, card = customer.press(), cards(customer.driver)[0].id
        assert agent.post(f"{page}/cards/{card}/remove", reason=WHY, instead="yes").status_code == 303
        self.invoiced_only(customer, url)

    def test_or_takes_it_by_another_card(
        self, agent: Browser, customer: Customer, stand_in: GatewayServer, page: str
    ) -> None:
        url, other = customer.press(), another(customer.driver, stand_in)
        path = f"{page}/charges/{customer.charge_id}"
        assert agent.post(path, act=f"card:{other}", reason=WHY).status_code == 303
        assert customer.driver.charge(customer.gateway, MONDAY) == ["succeeded"]
        with pytest.raises(ApiError):
            stand_in.pay_page(ref(url))
        customer.paid_once()

    def test_paid_meanwhile_is_said(self, agent: Browser, customer: Customer, page: str) -> None:
        url = customer.press()
        customer.stand_in.pay_page(ref(url))
        answer = agent.post(f"{page}/charges/{customer.charge_id}", act="invoice", reason=WHY)
        assert answer.status_code == 409
        assert "Kunden har nettopp betalt trekket selv" in said(answer)
        customer.paid_once()
        assert trail(customer.driver) == []

    def test_paid_at_the_moment_it_is_ended_is_paid(
        self, agent: Browser, customer: Customer, page: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was open when it was looked at, and is paid before the provider hears that it shall end."""
        url, end = customer.press(), StripeGateway.end_payment

        def paid_first(self: StripeGateway, about: str) -> PaymentPage:
            customer.stand_in.pay_page(about)
            return end(self, about)

        monkeypatch.setattr(StripeGateway, "end_payment", paid_first)
        answer = agent.post(f"{page}/charges/{customer.charge_id}", act="invoice", reason=WHY)
        assert (answer.status_code, "nettopp betalt" in said(answer)) == (409, True)
        assert ref(url) == customer.objects("checkout.session")[-1]["id"]
        customer.paid_once()
        assert invoiced(customer.driver) == []

    def test_opened_anew_between_the_two_it_is_not_known(
        self, agent: Browser, customer: Customer, page: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The customer presses again after their page was ended: nothing is invoiced while they may pay there."""
        customer.press()
        again: list[str] = []

        def pressed_again(agreement_id: int) -> None:
            page_ended.end_page(agreement_id)
            again.append(customer.press())

        monkeypatch.setattr("web.support.cards.end_page", pressed_again)
        answer = agent.post(f"{page}/charges/{customer.charge_id}", act="invoice", reason=WHY)
        assert (answer.status_code, "Banken har ikke svart" in said(answer)) == (409, True)
        assert invoiced(customer.driver) == []
        customer.stand_in.pay_page(ref(again[0]))
        assert customer.come_back(again[0]) == "succeeded"
        customer.paid_once()

    def test_a_silent_provider_moves_nothing(self, agent: Browser, customer: Customer, page: str) -> None:
        url = customer.press()
        customer.stand_in.fault("error", on="setup", when="before", times=3)
        answer = agent.post(f"{page}/charges/{customer.charge_id}", act="invoice", reason=WHY)
        assert answer.status_code == 409
        assert invoiced(customer.driver) == []
        customer.stand_in.pay_page(ref(url))
        assert customer.come_back(url) == "succeeded"
        customer.paid_once()

    @pytest.mark.parametrize("delay_ms", [0, 15, 40])
    def test_both_at_once_are_never_two(self, app: Flask, customer: Customer, page: str, delay_ms: int) -> None:
        url, agent = customer.press(), signed_in(app, "agent", "nb")
        customer.stand_in.world.latency_ms = 20
        start, paid = threading.Barrier(2), []

        def pay() -> None:
            start.wait()
            threading.Event().wait(delay_ms / 1000)
            try:
                customer.stand_in.pay_page(ref(url))
                paid.append(True)
            except ApiError:
                paid.append(False)

        thread = threading.Thread(target=pay)
        thread.start()
        start.wait()
        answer = agent.post(f"{page}/charges/{customer.charge_id}", act="invoice", reason=WHY)
        thread.join()
        if paid == [True]:
            assert answer.status_code == 409
            assert invoiced(customer.driver) == []
            customer.paid_once()
        else:
            assert answer.status_code == 303
            self.invoiced_only(customer, url)

    def test_over_http_too(self, client: FlaskClient, bearer: Bearer, customer: Customer) -> None:
        url, path = customer.press(), f"/v1/charges/{customer.charge_id}/invoice"
        me = bearer("agent") | {"Idempotency-Key": "k1"}
        assert client.post(path, json={}, headers=me).status_code == 422
        wrong = client.post(path, json={"reason": WHY}, headers=me | bearer("accountant"))
        assert wrong.status_code == 403
        assert customer.states() == ["declined", "unknown"], "nothing was ended by those"
        for _ in range(2):
            done = client.post(path, json={"reason": WHY}, headers=me)
            assert (done.status_code, done.get_json()["state"]) == (200, "invoiced")
        self.invoiced_only(customer, url)
        assert [one[0] for one in trail(customer.driver)] == ["charge.invoice"]

    def test_over_http_paid_meanwhile_and_a_silent_provider(
        self, client: FlaskClient, bearer: Bearer, customer: Customer, driver: Driver
    ) -> None:
        url, path = customer.press(), f"/v1/charges/{customer.charge_id}/invoice"
        me = bearer("agent") | {"Idempotency-Key": "k1"}
        customer.stand_in.fault("error", on="setup", when="before", times=3)
        silent = client.post(path, json={"reason": WHY}, headers=me)
        assert (silent.status_code, silent.get_json()["type"]) == (503, "/problems/page-open")
        customer.stand_in.pay_page(ref(url))
        paid = client.post(path, json={"reason": WHY}, headers=me)
        assert (paid.status_code, paid.get_json()["type"]) == (409, "/problems/charge-paid")
        customer.paid_once()
        with driver.sessions() as session:
            assert session.get_one(Agreement, driver.agreement_id).payment_method == "card"

    def test_the_customers_own_choice_of_an_invoice_ends_it(
        self, client: FlaskClient, bearer: Bearer, customer: Customer, driver: Driver
    ) -> None:
        url = customer.press()
        path = f"/v1/agreements/{agreement(driver).number}/payment-method"
        me = bearer("customer", customer_id=agreement(driver).customer_id)
        asked = {"payment_method": "invoice", "instead": True}
        etag = client.get(path, headers=me).headers["ETag"]
        assert client.put(path, json=asked, headers=me | {"If-Match": etag}).status_code == 200
        self.invoiced_only(customer, url)
