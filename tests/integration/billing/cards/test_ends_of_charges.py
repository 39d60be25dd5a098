"""What follows when a charge ends another way, and when an agreement stops paying by card."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from accounts.agreements.models import Agreement
from billing.cards.cards import remove
from billing.cards.charge import prepare
from billing.cards.due import week_over
from billing.cards.gateway import CardGateway, Succeeded
from billing.cards.methods import choose_method
from billing.cards.outcome import apply, forget
from billing.passages.credit import credit
from config.clock import now_utc
from config.database import SessionFactory
from config.problems import Conflict
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver

DAY = dt.timedelta(days=1)


def test_what_came_while_a_charge_was_given_up_is_charged_at_once(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    driver.drive(25_000, MONDAY + DAY)
    for days in (1, 3, 7):
        driver.charge(gateway, MONDAY + days * DAY)
    first, second = driver.charges()
    assert first.state == "invoiced"
    assert second.state in ("due", "claimed")


def test_what_was_moved_over_the_threshold_is_charged_by_the_daily_sweep(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(15_000, MONDAY)
    with driver.sessions() as session:
        passage = session.execute(text("SELECT id FROM passages")).scalar_one()
        credit(session, driver.agreement_id, passage, reason="sold", actor="agent:kari", now=MONDAY)
        session.execute(text("UPDATE balances SET unbilled_ore = unbilled_ore + 20000"))  # as a move leaves it
        session.commit()
    with driver.sessions() as session:
        assert week_over(session, now=MONDAY + DAY)[1] == 1


def test_a_charge_that_is_being_tried_is_not_called_off(driver: Driver) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions() as session:
        assert prepare(session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc())
        session.commit()
    with driver.sessions() as session:
        with pytest.raises(Conflict):
            choose_method(session, driver.agreement_id, "invoice", version=None, seller=driver.seller, now=MONDAY)
        session.rollback()
        with pytest.raises(Conflict):
            remove(session, driver.agreement_id, None, seller=driver.seller, now=MONDAY)


def test_a_closed_agreement_is_not_charged_and_may_lose_its_card(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions() as session:
        agreement = session.get_one(Agreement, driver.agreement_id)
        agreement.closed_at, agreement.standing = MONDAY, "closed"
        session.commit()
    assert driver.charge(gateway, MONDAY) == ["skipped"]
    assert driver.drive(20_000, MONDAY + DAY) == 0
    assert stand_in.books()["count"] == 0
    with driver.sessions() as session:
        remove(session, driver.agreement_id, None, seller=driver.seller, now=MONDAY)
        session.commit()


def test_a_payment_that_was_given_up_and_came_after_all_pays_the_open_charge(driver: Driver) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions() as session:
        ready = prepare(session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc())
        session.commit()
    assert ready is not None
    with driver.sessions() as session:
        forget(session, ready.attempt_id, now=MONDAY)
        session.commit()
    with driver.sessions() as session:
        late = Succeeded("pi_late", 20_000, now_utc())
        assert apply(session, ready.attempt_id, late, seller=driver.seller, now=MONDAY) == "succeeded"
        session.commit()
    assert [charge.state for charge in driver.charges()] == ["succeeded"]


def test_a_contradicting_late_answer_changes_nothing(driver: Driver, gateway: CardGateway) -> None:
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    [attempt] = driver.attempts()
    with driver.sessions() as session:
        other = Succeeded("pi_other", 99_999, now_utc())
        assert apply(session, attempt.id, other, seller=driver.seller, now=MONDAY) == "succeeded"
        session.commit()
    assert driver.attempts()[0].provider_ref == attempt.provider_ref
