"""Charging a card: once, never twice, and honest about what is not known."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import func, select, text

from billing.cards import sweep
from billing.cards.charge import charge_one, prepare
from billing.cards.due import week_over
from billing.cards.gateway import CardGateway
from billing.cards.models import Card
from billing.cards.stripe.gateway import StripeGateway
from billing.claims.models import Claim
from billing.invoices.models import Document
from billing.ledger.models import Transfer
from config.clock import now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver

DAY = dt.timedelta(days=1)


def sum_of(sessions: SessionFactory, kind: str) -> int:
    """Return an account kind's balance, debit positive, in øre."""
    with sessions() as session:
        debit = session.scalar(select(func.coalesce(func.sum(Transfer.amount_ore), 0)).where(Transfer.debit == kind))
        credit = session.scalar(select(func.coalesce(func.sum(Transfer.amount_ore), 0)).where(Transfer.credit == kind))
        return int(debit or 0) - int(credit or 0)


def test_199_99_does_not_charge_and_200_does(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
    assert driver.drive(19_999, MONDAY) == 0
    assert driver.charge(gateway, MONDAY) == []
    assert driver.drive(1, MONDAY) == 1
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert stand_in.books()["sum_ore"] == 20_000
    balance = driver.balance()
    assert (balance.unbilled_ore, balance.open_charge_id) == (0, None)


def test_a_second_200_waits_for_the_seventh_day(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    sixth = MONDAY + 6 * DAY
    assert driver.drive(20_000, sixth) == 0
    with driver.sessions() as session:
        assert week_over(session, now=sixth)[1] == 0
        session.commit()
    assert driver.charge(gateway, sixth) == []
    seventh = MONDAY + 7 * DAY
    with driver.sessions() as session:
        assert week_over(session, now=seventh)[1] == 1
        session.commit()
    assert driver.charge(gateway, seventh) == ["succeeded"]
    assert stand_in.books()["sum_ore"] == 40_000
    assert [charge.cause for charge in driver.charges()] == ["threshold", "week_over"]


def test_what_came_while_a_charge_was_open_is_charged_after_the_week(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions() as session:
        ready = prepare(session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc())
        session.commit()
    assert ready is not None
    assert driver.drive(30_000, MONDAY) == 0, "while a charge is open nothing else is charged"
    assert sweep.sweep_one(driver.sessions, gateway, ready.attempt_id, seller=driver.seller, now=MONDAY) == "succeeded"
    with driver.sessions() as session:
        assert week_over(session, now=MONDAY + 7 * DAY)[1] == 1


@pytest.mark.parametrize("ore", [20_000, 20_025, 33_333])
def test_a_commercial_card_pays_two_percent_and_fifty(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, ore: int
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "commercial")
    driver.drive(ore, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    fee = (ore * 2 + 50) // 100 + 50
    assert stand_in.books()["sum_ore"] == ore + fee
    with sessions() as session:
        claim = session.scalars(select(Claim)).one()
        document = session.scalars(select(Document)).one()
        lines = session.execute(text("SELECT kind, gross_ore FROM document_lines ORDER BY line")).all()
    assert (claim.passages_ore, claim.fee_ore, claim.settled_ore) == (ore, fee, ore + fee)
    assert (document.total_ore, document.due_on, document.kid) == (ore + fee, None, None)
    assert [tuple(line) for line in lines] == [("toll", ore), ("card_fee", fee)]
    assert (sum_of(sessions, "card_clearing"), sum_of(sessions, "card_fees")) == (ore + fee, -fee)
    assert sum_of(sessions, "receivable") == 0


def test_a_time_out_after_charging_is_one_payment(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    stand_in.fault("timeout", hold_seconds=1)
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    assert driver.charge(gateway, MONDAY) == [], "no new attempt while one is unknown"
    [attempt] = driver.attempts()
    assert sweep.sweep_one(driver.sessions, gateway, attempt.id, seller=driver.seller, now=MONDAY) == "succeeded"
    assert sweep.sweep_one(driver.sessions, gateway, attempt.id, seller=driver.seller, now=MONDAY) == "succeeded"
    assert stand_in.books()["sum_ore"] == 20_000
    assert sum_of(driver.sessions, "card_clearing") == 20_000


@pytest.mark.parametrize("fault", [{"kind": "rate_limit"}, {"kind": "error", "when": "before"}])
def test_429_and_500_are_asked_again_with_the_same_key(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, fault: dict[str, str]
) -> None:
    stand_in.fault(**fault)
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    [attempt] = driver.attempts()
    assert sweep.sweep_one(driver.sessions, gateway, attempt.id, seller=driver.seller, now=MONDAY) == "succeeded"
    assert stand_in.books()["sum_ore"] == 20_000
    assert len(driver.attempts()) == 1


def test_a_stored_500_after_the_effect_is_looked_up(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    stand_in.fault("error", when="after", stored=True)
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    [attempt] = driver.attempts()
    assert sweep.sweep_one(driver.sessions, gateway, attempt.id, seller=driver.seller, now=MONDAY) == "unknown"
    [attempt] = driver.attempts()
    assert attempt.lookup, "the key only repeats the provider's own failure"
    assert sweep.sweep_one(driver.sessions, gateway, attempt.id, seller=driver.seller, now=MONDAY) == "succeeded"
    assert stand_in.books()["sum_ore"] == 20_000


def test_an_attempt_that_never_happened_is_found_out_and_tried_anew(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions() as session:
        ready = prepare(
            session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc() - dt.timedelta(hours=30)
        )
        session.commit()
    assert ready is not None
    assert sweep.sweep_one(driver.sessions, gateway, ready.attempt_id, seller=driver.seller, now=MONDAY) == "nothing"
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert [attempt.state for attempt in driver.attempts()] == ["nothing", "succeeded"]


def test_declines_are_retried_on_bank_days_and_then_invoiced(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    assert driver.charge(gateway, MONDAY) == []
    for days in (1, 3, 7):
        assert driver.charge(gateway, MONDAY + days * DAY) == ["declined"]
    [charge] = driver.charges()
    assert charge.state == "invoiced"
    with sessions() as session:
        document = session.scalars(select(Document)).one()
        message = session.execute(text("SELECT template FROM messages")).scalar_one()
    assert (document.total_ore, document.fee_ore, document.paid_by, message) == (20_000, 0, None, "card_failed")
    assert document.kid is not None
    assert stand_in.books()["sum_ore"] == 0
    assert driver.balance().open_charge_id is None
    assert sum_of(sessions, "receivable") == 20_000


def test_a_lost_card_is_never_tried_again(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "lost_card")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    with sessions() as session:
        assert session.scalars(select(Card.refused_code)).one() == "lost_card"
    driver.drive(20_000, MONDAY + 9 * DAY)
    driver.charge(gateway, MONDAY + 9 * DAY)
    assert len(driver.attempts()) == 1
    assert [charge.state for charge in driver.charges()] == ["invoiced", "invoiced"]


def test_a_sum_that_fell_is_not_charged(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    driver.drive(-5_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["skipped"]
    assert [charge.state for charge in driver.charges()] == ["cancelled"]
    assert driver.drive(5_000, MONDAY) == 1
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert stand_in.books()["sum_ore"] == 20_000


@pytest.mark.parametrize(
    "change", ["payment_method = 'invoice'", f"closed_at = '{MONDAY:%Y-%m-%d}', standing = 'closed'"]
)
def test_a_charge_of_an_agreement_that_pays_otherwise_now_is_not_tried(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, change: str
) -> None:
    """What changes the method or closes converts it; where something else did not, nothing is taken all the same."""
    driver.drive(20_000, MONDAY)
    with driver.sessions.begin() as session:
        session.execute(text(f"UPDATE agreements SET {change}"))
    assert driver.charge(gateway, MONDAY) == ["skipped"]
    assert [charge.state for charge in driver.charges()] == ["cancelled"]
    assert (driver.attempts(), driver.balance().open_charge_id) == ([], None)
    assert (driver.balance().unbilled_ore, stand_in.books()["sum_ore"]) == (20_000, 0)


def test_two_workers_on_one_charge_make_one_payment(driver: Driver, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    stand_in.world.latency_ms = 50
    [charge] = driver.charges()
    words: list[str] = []
    gateway = StripeGateway(api_key="sk_test_x", api_base=stand_in.url, timeout_seconds=2)

    def work() -> None:
        words.append(charge_one(driver.sessions, gateway, charge.id, seller=driver.seller, now=MONDAY))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(words) == ["skipped", "skipped", "skipped", "succeeded"]
    assert stand_in.books()["sum_ore"] == 20_000
