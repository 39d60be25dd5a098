"""The account updater: the provider tells that a bank has renewed a card, let it expire, or taken it away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Literal

import pytest
from sqlalchemy import select, text

from billing.audit import presented
from billing.cards import outcome, sweep
from billing.cards.cards import set_segment
from billing.cards.gateway import CardDetails, CardGateway, Declined, Event, GatewayUnavailable
from billing.cards.models import Card, Charge, ProviderEvent
from billing.cards.stripe.gateway import StripeGateway
from billing.cards.updater import refresh
from billing.cards.webhook import receive
from config.clock import now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.books import SELLER, Books
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver
from tests.integration.billing.cards.payer import NOW, CardPayer
from tests.integration.billing.cards.test_cards import another, cards

Tell = Callable[..., str]


@pytest.fixture
def tell(sessions: SessionFactory, gateway: CardGateway) -> Tell:
    """Take in an event about a card, as the webhook does once its signature is checked."""
    made: list[str] = []

    def event(card: Card, kind: str = "payment_method.automatically_updated", name: str = "") -> str:
        made.append(name or f"evt_{len(made)}")
        about = Event(made[-1], kind, now_utc(), card.payment_method, "payment_method", {})
        return receive(sessions, gateway, about, seller={}, now=MONDAY)

    return event


def test_a_renewed_card_works_again_and_pays_what_is_open(
    driver: Driver, stand_in: GatewayServer, gateway: CardGateway, tell: Tell
) -> None:
    [card] = cards(driver)
    stand_in.world.store.put("payment_method", {**_method(stand_in, card), "_card": "insufficient_funds"})
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    with driver.sessions() as session:
        session.get_one(Card, card.id).refused_code = "expired_card"
        session.commit()
    stand_in.renew_card(card.payment_method)
    assert tell(card, name="evt_a") == "updated"
    assert tell(card, name="evt_a") == "repeated"
    assert tell(card) == "updated", "told twice it changes nothing more"
    [now] = cards(driver)
    assert (now.last4, now.exp_year, now.refused_code, now.updated_at) == ("5353", 2038, None, MONDAY)
    assert now.product == "F"
    assert driver.charge(gateway, MONDAY) == ["succeeded"]


def test_the_receipt_of_before_says_what_paid_it(
    driver: Driver, stand_in: GatewayServer, gateway: CardGateway, tell: Tell
) -> None:
    [card] = cards(driver)
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    stand_in.renew_card(card.payment_method)
    with driver.sessions() as session:
        refresh(session, card.payment_method, gateway.card(card.payment_method), now=MONDAY + dt.timedelta(hours=1))
        session.commit()
    with driver.sessions() as session:
        [rule] = [one for one in presented.RULES if one.name == "documents_paid"]
        assert session.scalar(text("SELECT paid_by->>'last4' FROM documents")) == "4242"
        assert session.execute(text(rule.sql)).all() == []
        session.execute(text("UPDATE documents SET paid_by = paid_by || jsonb_build_object('on', '2026-01-01')"))
        assert len(session.execute(text(rule.sql)).all()) == 1


def test_an_expired_one_is_kept_as_it_is_and_one_that_is_gone_is_not_tried(
    driver: Driver, stand_in: GatewayServer, gateway: CardGateway, tell: Tell
) -> None:
    [card] = cards(driver)
    stand_in.renew_card(card.payment_method, "expired")
    assert tell(card, "payment_method.updated") == "updated"
    assert cards(driver)[0].exp_year < 2034
    stand_in.renew_card(card.payment_method, "detached")
    assert tell(card, "payment_method.detached") == "gone"
    assert tell(card, "payment_method.detached") == "gone"
    assert cards(driver)[0].refused_code == "detached"
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    assert driver.attempts() == []
    assert [charge.state for charge in driver.charges()] == ["invoiced"]


def test_what_support_has_said_stays_and_a_disputed_card_stays_refused(
    driver: Driver, stand_in: GatewayServer, tell: Tell
) -> None:
    [card] = cards(driver)
    with driver.sessions() as session:
        set_segment(session, driver.agreement_id, card.id, "commercial")
        session.get_one(Card, card.id).refused_code = "disputed"
        session.commit()
    stand_in.renew_card(card.payment_method)
    assert tell(card) == "updated"
    [now] = cards(driver)
    assert (now.segment, now.segment_source, now.refused_code) == ("commercial", "support", "disputed")


def test_another_card_than_the_one_that_pays_tries_nothing(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tell: Tell
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    another(driver, stand_in)
    other = cards(driver)[1]
    assert not other.is_default
    stand_in.renew_card(other.payment_method)
    assert tell(other) == "updated"
    assert cards(driver)[1].updated_at == MONDAY, "its bank has renewed it"
    assert driver.charge(gateway, MONDAY) == []
    assert (len(driver.attempts()), driver.charges()[0].tries) == (1, 1)


def test_the_card_chosen_for_a_charge_tries_it_though_another_is_the_default(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tell: Tell
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    another(driver, stand_in)
    default, chosen = cards(driver)
    with sessions() as session:
        session.get_one(Charge, driver.charges()[0].id).card_id = chosen.id
        session.commit()
    stand_in.renew_card(default.payment_method)
    assert tell(default) == "updated"
    assert driver.charge(gateway, MONDAY) == [], "it does not pay this charge"
    stand_in.renew_card(chosen.payment_method)
    assert tell(chosen) == "updated"
    assert driver.charge(gateway, MONDAY) == ["succeeded"]


def test_what_is_not_ours_or_is_removed_is_ignored(driver: Driver, stand_in: GatewayServer, tell: Tell) -> None:
    [card] = cards(driver)
    with driver.sessions() as session:
        session.get_one(Card, card.id).removed_at = MONDAY
        session.commit()
    assert tell(card, "payment_method.detached") == "ignored"
    card.payment_method = "pm_of_somebody_else"
    assert tell(card) == "ignored"


def test_an_event_whose_card_cannot_be_read_now_comes_again(
    driver: Driver, stand_in: GatewayServer, tell: Tell
) -> None:
    [card] = cards(driver)
    stand_in.renew_card(card.payment_method)
    stand_in.fault("error", on="read")
    with pytest.raises(GatewayUnavailable):
        tell(card, name="evt_b")
    assert tell(card, name="evt_b") == "updated"
    with driver.sessions() as session:
        assert session.scalars(select(ProviderEvent.effect)).all() == ["updated"]


def test_the_provider_tells_the_product_later(driver: Driver) -> None:
    [card] = cards(driver)
    read = CardDetails(card.payment_method, "visa", "4242", 12, 2034, "credit", "NO", "commercial", product="G")
    with driver.sessions() as session:
        assert refresh(session, card.payment_method, read, now=MONDAY) == "updated"
        session.commit()
    [now] = cards(driver)
    assert (now.segment, now.segment_source, now.product, now.updated_at) == ("commercial", "provider", "G", None)


def _method(stand_in: GatewayServer, card: Card) -> dict[str, object]:
    found = stand_in.world.store.get("payment_method", card.payment_method)
    assert found is not None
    return found


def test_of_two_reads_at_once_the_older_one_stands_back(
    driver: Driver, stand_in: GatewayServer, gateway: CardGateway, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first read is of before the bank renewed the card, and its answer comes after a second read was kept."""
    [card], asked, read = cards(driver), [], StripeGateway.card

    def slowly(self: StripeGateway, payment_method: str) -> CardDetails | None:
        found = read(self, payment_method)
        asked.append(found)
        if len(asked) == 1:
            stand_in.renew_card(card.payment_method)
            assert tell(card, name="evt_second") == "updated"
        return found

    monkeypatch.setattr(StripeGateway, "card", slowly)
    assert tell(card, name="evt_first") == "updated"
    assert [one.last4 for one in asked if one is not None] == ["4242", "5353", "5353"], "the first one read again"
    [now] = cards(driver)
    assert (now.last4, now.exp_year) == ("5353", 2038)


def test_a_read_that_is_always_overtaken_has_the_event_sent_again(
    driver: Driver, sessions: SessionFactory, gateway: CardGateway, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    [card], read = cards(driver), StripeGateway.card

    def overtaken(self: StripeGateway, payment_method: str) -> CardDetails | None:
        with sessions() as session:
            session.get_one(Card, card.id).exp_month = session.get_one(Card, card.id).exp_month % 12 + 1
            session.commit()
        return read(self, payment_method)

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "card", overtaken)
        with pytest.raises(GatewayUnavailable):
            tell(card, name="evt_x")
    with sessions() as session:
        assert session.scalars(select(ProviderEvent)).all() == [], "nothing is stored"
    assert tell(card, name="evt_x") == "updated"


@pytest.mark.parametrize(("status", "code"), [("open", "disputed"), ("lost", "disputed"), ("won", None)])
@pytest.mark.parametrize("declined", ["first", "meanwhile"])
def test_a_card_whose_payment_its_bank_disputes_is_not_charged_when_it_is_renewed(
    books: Books, declined: str, status: Literal["open", "lost", "won"], code: str | None
) -> None:
    """It is refused as stolen, before the dispute or by an attempt under way; then the bank issues another number."""
    payer, later = CardPayer(books), NOW + dt.timedelta(days=7)
    disputed = payer.paid(20_000)
    charge = payer.charge(20_000, now=later)
    attempt = payer.attempt(charge, later)
    no = Declined("pi_x", "stolen_card", "No.", needs_customer=True, retry="never")
    if declined == "first":
        outcome.apply(books.session, attempt.id, no, seller=SELLER, now=later)
    payer.dispute(disputed, "open", 20_000, now=later)
    if declined == "meanwhile":
        outcome.apply(books.session, attempt.id, no, seller=SELLER, now=later)
    if status != "open":
        payer.dispute(disputed, status, 20_000, 20_000 if status == "won" else 0, now=later)
    card = books.session.query(Card).filter_by(agreement_id=payer.agreement).one()
    books.session.refresh(card)
    assert card.refused_code == "stolen_card"
    renewed = CardDetails(card.payment_method, "visa", "5353", 12, 2039, "debit", "NO", "consumer")
    assert refresh(books.session, card.payment_method, renewed, now=later) == "updated"
    books.session.refresh(card)
    assert (card.last4, card.refused_code) == ("5353", code)
    books.prove(later)


HOUR = dt.timedelta(hours=1)


@pytest.mark.parametrize("code", ["expired_card", "insufficient_funds", "authentication_required"])
def test_a_late_decline_says_nothing_of_the_card_that_its_bank_has_renewed_since(
    driver: Driver, stand_in: GatewayServer, gateway: CardGateway, code: str
) -> None:
    """The answer was lost, the bank renewed the card, then the sweep learns of the old number: the new one is tried."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    renewed(driver, stand_in, gateway, MONDAY + HOUR)
    stand_in.fault("decline", code=code)
    assert swept(driver, gateway, MONDAY + 2 * HOUR) == "declined"
    [card] = cards(driver)
    assert (card.refused_code, card.last4) == (None, "5353")
    [open_one] = driver.charges()
    assert (open_one.state, open_one.waits_for, open_one.next_at) == ("claimed", None, MONDAY + 2 * HOUR)
    stand_in.fault("decline", code="insufficient_funds")
    assert driver.charge(gateway, MONDAY + 2 * HOUR) == ["declined"]
    assert driver.charge(gateway, MONDAY + 2 * HOUR) == [], "the new number has its days as any card"
    assert driver.charge(gateway, driver.charges()[0].next_at) == ["succeeded"]


def test_a_decline_of_the_renewed_card_is_its_own(
    driver: Driver, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    renewed(driver, stand_in, gateway, MONDAY)
    driver.drive(20_000, MONDAY + HOUR)
    stand_in.fault("decline", code="stolen_card")
    assert driver.charge(gateway, MONDAY + HOUR) == ["declined"]
    assert [card.refused_code for card in cards(driver)] == ["stolen_card"]
    assert [charge.state for charge in driver.charges()] == ["invoiced"]


def renewed(driver: Driver, stand_in: GatewayServer, gateway: CardGateway, now: dt.datetime) -> None:
    """Have the bank renew the card, and keep that."""
    [card] = cards(driver)
    stand_in.renew_card(card.payment_method)
    with driver.sessions.begin() as session:
        assert refresh(session, card.payment_method, gateway.card(card.payment_method), now=now) == "updated"


def swept(driver: Driver, gateway: CardGateway, now: dt.datetime) -> str:
    """Have the sweep ask about the newest attempt."""
    return sweep.sweep_one(driver.sessions, gateway, driver.attempts()[-1].id, seller=driver.seller, now=now)
