"""Registering a card where the provider does not know its customer any more, or takes no registrations from us."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select

from billing.cards import outcome, register, sweep
from billing.cards.gateway import CardDetails, CardGateway, GatewayMisuse, Setup
from billing.cards.models import Card, CardCustomer, CardSetup
from billing.cards.stripe.gateway import StripeGateway
from config.problems import Conflict, Problem, Unavailable
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.billing.cards.test_another_card import begin, finish
from tests.integration.billing.cards.test_cards import cards
from tests.integration.billing.cards.test_charging import sum_of
from tests.integration.billing.cards.test_webhooks_read import event, hear

DAY = dt.timedelta(days=1)


@pytest.fixture
def lost(driver: Driver, stand_in: GatewayServer) -> str:
    """Have somebody delete the customer in the provider's dashboard; returns who it was."""
    lose(stand_in, driver.provider_customer)
    return driver.provider_customer


def lose(stand_in: GatewayServer, customer: str) -> None:
    """Delete a customer at the provider, with the cards that were theirs."""
    with stand_in.world.store.lock:
        stand_in.world.store.db.execute("DELETE FROM objects WHERE ? IN (id, customer)", (customer,))


def customer(driver: Driver) -> str:
    """Return who the agreement is at the provider."""
    with driver.sessions() as session:
        return session.get_one(CardCustomer, driver.agreement_id).provider_customer


def slug(refused: pytest.ExceptionInfo[Problem]) -> str:
    return refused.value.type.removeprefix("/problems/")


def test_a_customer_that_the_provider_has_lost_is_made_anew(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, lost: str
) -> None:
    setup = begin(driver, gateway)
    assert customer(driver) != lost
    assert [card.refused_code for card in cards(driver)] == ["detached"], "it was the lost one's"
    stand_in.give_card(setup, "mastercard")
    finish(driver, gateway, setup)
    driver.drive(20_000, MONDAY + DAY)
    assert driver.charge(gateway, MONDAY + DAY) == ["succeeded"]
    [payment] = stand_in.world.store.everything("payment_intent")
    assert payment["customer"] == customer(driver)
    before = customer(driver)
    begin(driver, gateway)
    assert customer(driver) == before, "one that is there stays"
    assert [card.refused_code for card in cards(driver)] == ["detached", None]


def test_of_two_made_anew_at_once_the_first_is_everybodys(
    driver: Driver, gateway: CardGateway, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, pages = StripeGateway.create_customer, StripeGateway.start_setup
    made: list[str] = []
    asked: list[str] = []

    def slowly(self: StripeGateway, *, ref: str, email: str | None, idempotency_key: str) -> str:
        new = make(self, ref=ref, email=email, idempotency_key=idempotency_key)
        made.append(new)
        if len(made) == 1:
            begin(driver, gateway)
        return new

    def page(self: StripeGateway, **what: str) -> Setup:
        asked.append(what["customer_id"])
        return pages(self, **what)

    monkeypatch.setattr(StripeGateway, "create_customer", slowly)
    monkeypatch.setattr(StripeGateway, "start_setup", page)
    begin(driver, gateway)
    assert made[1] == customer(driver) != made[0]
    assert asked == [lost, lost, customer(driver), customer(driver)]


def test_not_while_an_attempt_of_the_lost_one_is_unknown(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    """It is sent again, and looked up, as that customer's."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    lose(stand_in, driver.provider_customer)
    with pytest.raises(Conflict) as refused:
        begin(driver, gateway)
    assert (slug(refused), customer(driver)) == ("charge-unknown", driver.provider_customer)
    assert stand_in.world.store.everything("customer") == [], "none was made in vain"
    one = driver.attempts()[0].id
    assert sweep.sweep_one(driver.sessions, gateway, one, seller=driver.seller, now=MONDAY) == "declined"
    begin(driver, gateway)
    assert customer(driver) != driver.provider_customer


def test_an_attempt_that_begins_while_the_customer_is_made_keeps_the_lost_one(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.drive(20_000, MONDAY)
    make = StripeGateway.create_customer

    def slowly(self: StripeGateway, *, ref: str, email: str | None, idempotency_key: str) -> str:
        stand_in.fault("timeout", when="before", hold_seconds=0.7)
        assert driver.charge(gateway, MONDAY) == ["unknown"]
        return make(self, ref=ref, email=email, idempotency_key=idempotency_key)

    monkeypatch.setattr(StripeGateway, "create_customer", slowly)
    with pytest.raises(Conflict):
        begin(driver, gateway)
    assert customer(driver) == lost


def test_what_the_provider_will_never_take_is_told(
    driver: Driver, gateway: CardGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong key of ours, say: nobody who registers a card can help it."""
    setup = begin(driver, gateway)

    def refused(self: StripeGateway, *_args: str, **_more: str) -> Setup:
        raise GatewayMisuse("Invalid API Key provided", "")

    monkeypatch.setattr(StripeGateway, "start_setup", refused)
    monkeypatch.setattr(StripeGateway, "finish_setup", refused)
    with pytest.raises(Unavailable) as at_first:
        begin(driver, gateway)
    with pytest.raises(Unavailable) as at_last:
        register.finish(driver.sessions, gateway, setup, now=MONDAY)
    assert (slug(at_first), slug(at_last)) == ("card-provider-refuses", "card-provider-refuses")
    assert customer(driver) == driver.provider_customer


def test_a_registration_that_the_provider_does_not_know_any_more_gave_no_card(
    driver: Driver, gateway: CardGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = begin(driver, gateway)

    def gone(self: StripeGateway, ref: str) -> CardDetails:
        raise GatewayMisuse(f"No such checkout session: '{ref}'", register.NO_SUCH)

    monkeypatch.setattr(StripeGateway, "finish_setup", gone)
    assert register.finish(driver.sessions, gateway, setup, now=MONDAY) is None
    with driver.sessions() as session:
        assert session.scalars(select(CardSetup.state)).all() == ["started"]
        assert len(session.scalars(select(Card)).all()) == 1


def test_late_money_and_a_page_of_the_lost_one_are_known_still(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    """The answer was lost and the attempt given up; then the customer is made anew; then the events come."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="after", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    begin(driver, gateway)
    page = next(one for one in stand_in.world.store.everything("checkout.session"))
    stand_in.give_card(page["id"], "mastercard")
    with driver.sessions.begin() as session:
        outcome.forget(session, driver.attempts()[0].id, now=MONDAY)
    with stand_in.world.store.lock:  # who it was; what was paid and begun before stays
        stand_in.world.store.db.execute("DELETE FROM objects WHERE id = ?", (driver.provider_customer,))
    begin(driver, gateway)
    [paid] = stand_in.world.store.everything("payment_intent")
    assert hear(driver, gateway, event("payment_intent.succeeded", paid)) == "succeeded"
    assert hear(driver, gateway, event("checkout.session.completed", {**page, "metadata": {}})) == "ignored"
    assert sum_of(driver.sessions, "card_clearing") == 20_000
