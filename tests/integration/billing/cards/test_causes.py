"""Charges that need no sum, cards that are chosen, and a bank that wants its customer to confirm."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text, update

from accounts.agreements.models import Agreement
from billing.cards.charge import prepare
from billing.cards.due import open_now
from billing.cards.gateway import CardGateway, Declined
from billing.cards.models import Card
from billing.cards.outcome import apply, try_now
from billing.passages.held_models import Held
from config.clock import now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver

DAY = dt.timedelta(days=1)
AFTER_IT = dt.datetime(2026, 3, 10, 5, tzinfo=dt.UTC)  # the morning after the fifth bank day after MONDAY, in Oslo


def opened(driver: Driver, cause: str, now: dt.datetime = MONDAY) -> bool:
    """Open a charge of whatever is left."""
    with driver.sessions.begin() as session:
        return open_now(session, driver.agreement_id, cause=cause, now=now)


def another_card(driver: Driver, stand_in: GatewayServer, kind: str, *, default: bool) -> int:
    """Register one more card; return its id."""
    method = stand_in.add_card(driver.provider_customer, kind)
    with driver.sessions.begin() as session:
        if default:
            session.execute(update(Card).values(is_default=False))
        card = Card(
            agreement_id=driver.agreement_id, payment_method=method, brand="mastercard", last4="4444", exp_month=1,
            exp_year=2035, funding="debit", country="NO", segment="consumer", segment_source="provider",
            is_default=default, registered_at=MONDAY,
        )  # fmt: skip
        session.add(card)
        session.flush()
        return card.id


def documents(driver: Driver) -> list[tuple[int, int, bool]]:
    """Return (sum, fee, paid by card) of the documents."""
    with driver.sessions() as session:
        rows = session.execute(text("SELECT total_ore, fee_ore, paid_by IS NOT NULL FROM documents ORDER BY id"))
        return [(row[0], row[1], row[2]) for row in rows]


@pytest.mark.parametrize("cause", ["closing", "method", "agent"])
def test_what_is_left_is_charged_whatever_the_sum_and_the_week(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, cause: str
) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    assert driver.drive(700, MONDAY + DAY) == 0
    with driver.sessions.begin() as session:  # neither is in the way of it
        agreement = session.get_one(Agreement, driver.agreement_id)
        if cause == "closing":
            agreement.closed_at, agreement.standing = MONDAY + DAY, "closed"
        elif cause == "method":
            agreement.payment_method = "invoice"
    assert opened(driver, cause, MONDAY + DAY)
    assert driver.charge(gateway, MONDAY + DAY) == ["succeeded"]
    assert [charge.cause for charge in driver.charges()] == ["threshold", cause]
    assert stand_in.books()["sum_ore"] == 20_700
    assert driver.balance().last_charged_on == dt.date(2026, 3, 3)
    assert not opened(driver, cause, MONDAY + DAY), "nothing is left"


def test_an_untried_charge_takes_it_all_and_one_that_is_tried_goes_on(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(20_000, MONDAY)
    driver.drive(-5_000, MONDAY)
    assert opened(driver, "closing")
    with driver.sessions.begin() as session:
        ready = prepare(session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc())
    assert ready is not None
    assert ready.request.amount_ore == 15_000
    driver.drive(900, MONDAY)
    assert not opened(driver, "closing")
    assert len(driver.charges()) == 1
    assert driver.balance().unbilled_ore == 900


@pytest.mark.parametrize(("ore", "paid"), [(299, False), (300, True)])
def test_what_the_provider_does_not_take_is_invoiced(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, ore: int, paid: bool
) -> None:
    driver.drive(ore, MONDAY)
    assert opened(driver, "closing")
    assert driver.charge(gateway, MONDAY) == ["succeeded" if paid else "skipped"]
    assert documents(driver) == [(ore, 0, paid)]
    assert driver.charges()[0].state == ("succeeded" if paid else "invoiced")
    assert len(driver.attempts()) == int(paid)
    assert stand_in.books()["count"] == int(paid)
    assert driver.balance().open_charge_id is None


def test_without_a_card_that_works_nothing_is_opened(driver: Driver) -> None:
    driver.drive(700, MONDAY)
    with driver.sessions.begin() as session:
        session.execute(update(Card).values(refused_code="lost_card"))
    assert not opened(driver, "method")
    with pytest.raises(ValueError, match="threshold"):
        opened(driver, "threshold")


def test_what_is_disputed_is_not_charged(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
    driver.drive(700, MONDAY)
    driver.drive(500, MONDAY)
    with driver.sessions.begin() as session:
        passages = session.execute(text("SELECT id, amount_ore FROM passages ORDER BY id")).all()
        for one in passages:
            session.add(
                Held(passage_id=one.id, agreement_id=driver.agreement_id, amount_ore=one.amount_ore, held_at=MONDAY)
            )
    assert not opened(driver, "closing")
    with driver.sessions.begin() as session:
        session.execute(text("DELETE FROM held_passages WHERE passage_id = :id"), {"id": passages[0].id})
    assert opened(driver, "closing")
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert stand_in.books()["sum_ore"] == 700


def test_the_card_chosen_for_a_charge_is_tried_while_it_works(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    chosen = another_card(driver, stand_in, "consumer", default=False)
    for removed in (False, True):
        driver.drive(700, MONDAY)
        assert opened(driver, "agent")
        with driver.sessions.begin() as session:
            session.execute(text("UPDATE charges SET card_id = :card WHERE state = 'due'"), {"card": chosen})
            if removed:
                session.execute(update(Card).where(Card.id == chosen).values(removed_at=MONDAY))
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
    default = min(one.card_id for one in driver.attempts())
    assert [one.card_id for one in driver.attempts()] == [chosen, default]


def test_a_bank_that_wants_to_be_confirmed_waits_for_the_customer_and_is_invoiced_in_the_end(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "authentication_required")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    [charge] = driver.charges()
    assert (charge.state, charge.waits_for, charge.next_at) == ("claimed", "customer", AFTER_IT)
    with sessions() as session:
        assert session.execute(text("SELECT refused_code FROM cards")).scalar_one() is None
        told = session.execute(text("SELECT template, data FROM messages")).one()
    assert tuple(told) == ("card_confirm", {"amount_ore": 20_000, "facts": {"until_on": "2026-03-09"}})
    assert driver.charge(gateway, AFTER_IT - dt.timedelta(seconds=1)) == []
    assert driver.charge(gateway, AFTER_IT) == ["skipped"]
    assert driver.charges()[0].state == "invoiced"
    assert driver.charges()[0].waits_for is None
    assert documents(driver) == [(20_000, 0, False)]
    assert len(driver.attempts()) == 1


def test_asked_to_confirm_on_the_last_day_it_is_invoiced_at_once(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    for days in (0, 1, 3):
        assert driver.charge(gateway, MONDAY + days * DAY) == ["declined"]
    stand_in.fault("decline", code="authentication_required")
    assert driver.charge(gateway, MONDAY + 7 * DAY) == ["declined"]
    assert driver.charges()[0].state == "invoiced"


@pytest.mark.parametrize(
    ("card", "tries", "why"),
    [("insufficient_funds", 4, "funds"), ("lost_card", 1, "gone"), ("expired_card", 1, "expired")],
)
def test_the_letter_with_the_invoice_says_why(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, card: str, tries: int, why: str
) -> None:
    driver = make_driver(sessions, stand_in, gateway, card)
    driver.drive(20_000, MONDAY)
    for days in (0, 1, 3, 7)[:tries]:
        assert driver.charge(gateway, MONDAY + days * DAY) == ["declined"]
    driver.drive(20_000, MONDAY + 7 * DAY)
    driver.charge(gateway, MONDAY + 7 * DAY)
    with sessions() as session:
        told = session.execute(text("SELECT template, data #>> '{facts,why}' FROM messages ORDER BY id")).all()
    assert tuple(told[0]) == ("card_failed", why)
    if tries == 1:  # the card is tried no more
        assert tuple(told[1]) == ("card_failed", "no_card")


@pytest.mark.parametrize("default", ["authentication_required", "insufficient_funds"])
def test_another_default_card_is_tried_at_once(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, default: str
) -> None:
    driver = make_driver(sessions, stand_in, gateway, default)
    with sessions.begin() as session:
        assert not try_now(session, driver.agreement_id, now=MONDAY)
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    another_card(driver, stand_in, "consumer", default=True)
    assert driver.charge(gateway, MONDAY) == []
    with sessions.begin() as session:
        session.execute(text("DELETE FROM procrastinate_jobs"))
        assert try_now(session, driver.agreement_id, now=MONDAY)
        bell = session.execute(text("SELECT task_name FROM procrastinate_jobs")).scalar_one()
    assert bell == "due_charges"
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert driver.charges()[0].waits_for is None
    assert documents(driver) == [(20_000, 0, True)]


def test_one_that_is_unknown_is_not_tried_at_once(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions.begin() as session:
        ready = prepare(session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc())
        assert try_now(session, driver.agreement_id, now=MONDAY)
    assert ready is not None
    assert driver.charge(gateway, MONDAY) == []
    with driver.sessions.begin() as session:
        no = Declined("pi_1", "insufficient_funds", "No.", needs_customer=False, retry="later")
        apply(session, ready.attempt_id, no, seller=driver.seller, now=MONDAY)
    assert driver.charges()[0].next_at > MONDAY
