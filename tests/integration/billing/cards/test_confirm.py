"""A charge that the bank wants confirmed: paid by the customer on the provider's page, once, whatever gets lost."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any

import pytest
from sqlalchemy import select, text

from billing.cards import confirm, sweep, webhook
from billing.cards.gateway import CardGateway, Event, GatewayUnavailable
from billing.cards.models import CardSession, Charge
from billing.invoices.models import Document
from config.clock import now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from simulator.gateway.errors import ApiError
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver
from tests.integration.billing.cards.test_charging import sum_of

BACK = "http://localhost/mypage/10000001/card/confirmed"
LATER = MONDAY + dt.timedelta(hours=1)


class Customer:
    """Somebody whose charge waits for them, and what they do."""

    def __init__(self, driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
        self.driver, self.gateway, self.stand_in = driver, gateway, stand_in
        driver.drive(20_000, MONDAY)
        stand_in.fault("decline", code="insufficient_funds")
        assert driver.charge(gateway, MONDAY) == ["declined"]
        self.sql("UPDATE charges SET waits_for = 'customer', next_at = :at", at=MONDAY + dt.timedelta(days=7))
        [charge] = driver.charges()
        self.charge_id = charge.id

    def sql(self, statement: str, **values: Any) -> None:
        """Change something behind everybody's back."""
        with self.driver.sessions() as session:
            session.execute(text(statement), values)
            session.commit()

    def press(self, agreement_id: int | None = None) -> str:
        """Press the button; returns where the browser goes."""
        return confirm.begin(
            self.driver.sessions,
            self.gateway,
            self.charge_id,
            agreement_id or self.driver.agreement_id,
            return_url=BACK,
            seller=self.driver.seller,
            now=LATER,
        )

    def come_back(self, url: str) -> str:
        """Come back from the page."""
        return confirm.finish(
            self.driver.sessions,
            self.gateway,
            ref(url),
            agreement_id=self.driver.agreement_id,
            seller=self.driver.seller,
            now=LATER,
        )

    def sweep(self) -> str:
        """Ask about the newest attempt, as the job does."""
        newest = self.driver.attempts()[-1].id
        return sweep.sweep_one(self.driver.sessions, self.gateway, newest, seller=self.driver.seller, now=LATER)

    def told(self, type_: str, about: dict[str, Any], number: str = "1") -> str:
        """Take in an event."""
        event = Event(
            id=f"evt_{type_}_{number}", type=type_, created=now_utc(), object_id=about["id"],
            object_type=about["object"], object=about, metadata=about["metadata"],
        )  # fmt: skip
        return webhook.receive(self.driver.sessions, self.gateway, event, seller=self.driver.seller, now=LATER)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        """What the provider has of a kind."""
        return self.stand_in.world.store.everything(kind)

    def states(self) -> list[str]:
        """The attempts' states, oldest first."""
        return [attempt.state for attempt in self.driver.attempts()]

    def charge(self) -> Charge:
        """The charge as it is now."""
        [charge] = self.driver.charges()
        return charge

    def paid_once(self) -> None:
        """Assert that the card has paid once and that the books say so."""
        assert self.stand_in.books()["sum_ore"] == 20_000
        assert self.charge().state == "succeeded"
        assert sum_of(self.driver.sessions, "card_clearing") == 20_000
        assert sum_of(self.driver.sessions, "receivable") == 0
        assert self.driver.balance().open_charge_id is None


@pytest.fixture
def customer(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Customer:
    """A customer whose charge waits for them."""
    return Customer(driver, gateway, stand_in)


def ref(url: str) -> str:
    """Return the page's id in its address."""
    return url.rsplit("/", 1)[-1]


def test_the_page_offers_the_cards_that_are_registered(customer: Customer) -> None:
    """They were registered for charges while the customer is away, so that few are marked to be shown always."""
    customer.press()
    [page] = customer.objects("checkout.session")
    assert page["saved_payment_method_options"] == {"allow_redisplay_filters": ["always", "limited", "unspecified"]}


def test_the_customer_pays_on_the_page_and_the_receipt_names_that_card(customer: Customer) -> None:
    url = customer.press()
    assert customer.states() == ["declined", "unknown"]
    assert customer.come_back(url) == "unknown", "the page is open"
    customer.stand_in.pay_page(ref(url), "mastercard")
    assert customer.come_back(url) == "succeeded"
    assert customer.come_back(url) == "succeeded"
    customer.paid_once()
    with customer.driver.sessions() as session:
        [receipt] = session.scalars(select(Document)).all()
        page = session.scalars(select(CardSession)).one()
    assert receipt.paid_by is not None
    assert (receipt.paid_by["brand"], receipt.paid_by["last4"]) == ("mastercard", "0076")
    assert (page.brand, page.last4) == ("mastercard", "0076")
    assert [attempt.kind for attempt in customer.driver.attempts()] == ["off_session", "on_session"]


@pytest.mark.parametrize("pays", ["consumer", "commercial"])
def test_no_card_pays_a_fee_on_the_page(
    sessions: SessionFactory, gateway: CardGateway, stand_in: GatewayServer, pays: str
) -> None:
    """Any card may pay there, and a private one owes none: that it was a business card is known only afterwards."""
    customer = Customer(make_driver(sessions, stand_in, gateway, "commercial"), gateway, stand_in)
    url = customer.press()
    stand_in.pay_page(ref(url), pays)
    assert customer.come_back(url) == "succeeded"
    customer.paid_once()
    assert [attempt.fee_ore for attempt in customer.driver.attempts()] == [450, 0]
    with sessions() as session:
        assert session.scalars(select(Document.fee_ore)).one() == 0


def test_pressed_twice_it_is_the_same_page(customer: Customer) -> None:
    assert customer.press() == customer.press()
    assert len(customer.objects("checkout.session")) == 1
    assert customer.states() == ["declined", "unknown"]


def test_pressed_in_two_windows_at_once_it_is_one_page(customer: Customer) -> None:
    urls: list[str] = []
    customer.stand_in.world.latency_ms = 100

    def press() -> None:
        try:
            urls.append(customer.press())
        except GatewayUnavailable:  # the same key is being worked on: again a moment later
            urls.append("")

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(urls) == 4
    assert len(set(urls) - {""}) == 1
    assert len(customer.objects("checkout.session")) == 1
    assert customer.states() == ["declined", "unknown"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_answer_to_making_the_page_is_lost(customer: Customer, when: str) -> None:
    customer.stand_in.fault("timeout", on="setup", when=when, hold_seconds=1)
    with pytest.raises(GatewayUnavailable):
        customer.press()
    assert customer.states() == ["declined", "unknown"]
    url = customer.press()
    assert len(customer.objects("checkout.session")) == 1
    customer.stand_in.pay_page(ref(url))
    assert customer.come_back(url) == "succeeded"
    customer.paid_once()


def test_a_lost_page_is_found_by_the_sweep_and_ended_in_time(customer: Customer) -> None:
    customer.stand_in.fault("timeout", on="setup", when="after", hold_seconds=1)
    with pytest.raises(GatewayUnavailable):
        customer.press()
    assert customer.sweep() == "unknown"
    [page] = customer.objects("checkout.session")
    with customer.driver.sessions() as session:
        assert session.scalars(select(CardSession.provider_ref)).one() == page["id"]
    customer.sql("UPDATE card_sessions SET expires_at = now() - interval '1 second'")
    assert customer.sweep() == "nothing"
    [page] = customer.objects("checkout.session")
    assert page["status"] == "expired"


def test_a_page_that_was_never_made_and_would_end_too_soon_is_nothing(customer: Customer) -> None:
    customer.stand_in.fault("timeout", on="setup", when="before", hold_seconds=1)
    with pytest.raises(GatewayUnavailable):
        customer.press()
    customer.sql("UPDATE card_sessions SET expires_at = now() + interval '10 minutes'")
    assert customer.sweep() == "nothing"
    assert customer.objects("checkout.session") == []
    assert customer.press().startswith(customer.stand_in.url), "another page may be made"
    assert customer.states() == ["declined", "nothing", "unknown"]


def test_a_failure_that_the_key_repeats_does_not_hide_the_page(customer: Customer) -> None:
    customer.stand_in.fault("error", on="setup", when="after", stored=True)
    with pytest.raises(GatewayUnavailable):
        customer.press()
    url = customer.press()
    assert len(customer.objects("checkout.session")) == 1
    customer.stand_in.pay_page(ref(url))
    assert customer.come_back(url) == "succeeded"
    customer.paid_once()


def test_a_failure_that_the_key_repeats_and_no_page_is_nothing_in_the_end(customer: Customer) -> None:
    customer.stand_in.fault("error", on="setup", when="before", stored=True)
    for _ in range(2):
        with pytest.raises(GatewayUnavailable):
            customer.press()
    assert customer.sweep() == "unknown"
    customer.sql("UPDATE card_sessions SET expires_at = now() - interval '1 second'")
    assert customer.sweep() == "nothing"
    assert customer.objects("checkout.session") == []
    customer.stand_in.pay_page(ref(customer.press()))
    assert customer.sweep() == "succeeded"
    customer.paid_once()


@pytest.mark.parametrize("paid", [False, True])
def test_after_the_key_is_forgotten_the_payment_is_looked_up(customer: Customer, paid: bool) -> None:
    customer.stand_in.fault("timeout", on="setup", when="after", hold_seconds=1)
    with pytest.raises(GatewayUnavailable):
        customer.press()
    [page] = customer.objects("checkout.session")
    if paid:
        customer.stand_in.pay_page(page["id"])
    else:
        customer.stand_in.end_page(page["id"])
    customer.stand_in.forget_keys()
    customer.sql("UPDATE attempts SET called_at = called_at - interval '30 hours'")
    assert customer.sweep() == ("succeeded" if paid else "nothing")
    assert len(customer.objects("checkout.session")) == 1
    if paid:
        customer.paid_once()


def test_the_answer_about_the_payment_is_lost_and_the_sweep_brings_it(customer: Customer) -> None:
    url = customer.press()
    customer.stand_in.pay_page(ref(url))
    customer.stand_in.fault("timeout", on="read", when="after", hold_seconds=1)
    with pytest.raises(GatewayUnavailable):
        customer.come_back(url)
    assert customer.states() == ["declined", "unknown"]
    customer.stand_in.fault("error", on="read", when="before")
    assert customer.sweep() == "unknown", "no answer to the sweep either"
    assert customer.sweep() == "succeeded"
    customer.paid_once()


@pytest.mark.parametrize("type_", ["checkout.session.completed", "payment_intent.succeeded"])
def test_an_event_brings_the_outcome_once(customer: Customer, type_: str) -> None:
    url = customer.press()
    customer.stand_in.pay_page(ref(url))
    kind = "checkout.session" if type_.startswith("checkout") else "payment_intent"
    about = customer.objects(kind)[-1]
    assert customer.told(type_, about) == "succeeded"
    assert customer.told(type_, about) == "repeated"
    assert customer.told(type_, about, "2") == "succeeded"
    assert customer.come_back(url) == "succeeded"
    customer.paid_once()


def test_an_event_about_a_page_whose_address_was_lost_is_ours(customer: Customer) -> None:
    customer.stand_in.fault("timeout", on="setup", when="after", hold_seconds=1)
    with pytest.raises(GatewayUnavailable):
        customer.press()
    [page] = customer.objects("checkout.session")
    customer.stand_in.pay_page(page["id"])
    assert customer.told("checkout.session.completed", page) == "succeeded"
    customer.paid_once()


@pytest.mark.parametrize("metadata", [{}, {"attempt": "1", "charge": "999"}, {"attempt": "77"}, {"attempt": "9" * 30}])
def test_an_event_about_a_page_of_somebody_elses_is_ignored(customer: Customer, metadata: dict[str, str]) -> None:
    foreign = {"id": "cs_other", "object": "checkout.session", "metadata": metadata}
    assert customer.told("checkout.session.completed", foreign) == "ignored"


def test_a_card_that_is_declined_on_the_page_may_be_followed_by_another(customer: Customer) -> None:
    url = customer.press()
    with pytest.raises(ApiError):
        customer.stand_in.pay_page(ref(url), fails=True)
    assert customer.told("payment_intent.payment_failed", customer.objects("payment_intent")[-1]) == "unknown"
    assert customer.sweep() == "unknown"
    assert customer.charge().tries == 1
    customer.stand_in.pay_page(ref(url), "commercial")
    assert customer.come_back(url) == "succeeded"
    customer.paid_once()
