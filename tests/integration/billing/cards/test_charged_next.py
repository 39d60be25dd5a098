"""When a card is charged next: after money that came late, after a charge that was called off, after a correction."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from billing.audit.audit import RULES, audit
from billing.cards import acts, due, outcome
from billing.cards.gateway import CardGateway, Declined, Succeeded
from config.clock import now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, SELLER, Driver, make_driver

DAY = dt.timedelta(days=1)
WEEKS = ("balances_charged", "balances_open_charges", "balances_due")


def week_over(driver: Driver, now: dt.datetime) -> int:
    """Do the daily sweep's work; return how many became due."""
    with driver.sessions.begin() as session:
        return due.week_over(session, now=now)[1]


def right(driver: Driver) -> None:
    """Assert that the audit finds nothing wrong with the weeks."""
    assert {rule.name for rule in RULES} >= set(WEEKS)
    with driver.sessions() as session:
        assert [check.detail for check in audit(session, only=WEEKS).checks if not check.ok] == []


def invoiced_and_paid_after_all(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> int:
    """Let a charge be given up on MONDAY while its answer is lost, and invoiced; returns the attempt that pays."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    [attempt] = driver.attempts()
    with driver.sessions.begin() as session:
        outcome.forget(session, attempt.id, now=MONDAY)
    with driver.sessions.begin() as session:
        acts.to_invoice(session, driver.charges()[0].id, seller=SELLER, now=MONDAY)
    return attempt.id


def tell(driver: Driver, attempt_id: int, now: dt.datetime) -> None:
    """Tell that a payment was made after all."""
    with driver.sessions.begin() as session:
        late = Succeeded("pi_late", 20_000, now_utc())
        assert outcome.apply(session, attempt_id, late, seller=SELLER, now=now) == "succeeded"


def test_the_week_begins_with_money_that_is_found_late(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = invoiced_and_paid_after_all(driver, gateway, stand_in)
    tell(driver, attempt_id, MONDAY + DAY)
    assert driver.balance().last_charged_on == MONDAY.date(), "the card was asked then"
    assert driver.drive(20_000, MONDAY + 2 * DAY) == 0
    right(driver)
    assert [week_over(driver, MONDAY + days * DAY) for days in (6, 7)] == [0, 1]


def test_what_is_due_within_the_week_of_late_money_waits_for_it(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = invoiced_and_paid_after_all(driver, gateway, stand_in)
    assert driver.drive(20_000, MONDAY + DAY) == 1
    tell(driver, attempt_id, MONDAY + DAY)
    assert [charge.state for charge in driver.charges()] == ["invoiced", "cancelled"]
    assert driver.charge(gateway, MONDAY + DAY) == []
    right(driver)
    assert [week_over(driver, MONDAY + days * DAY) for days in (6, 7)] == [0, 1]
    assert driver.charge(gateway, MONDAY + 7 * DAY) == ["succeeded"]


def test_what_is_tried_within_the_week_of_late_money_is_tried_again_after_it(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = invoiced_and_paid_after_all(driver, gateway, stand_in)
    driver.drive(20_000, MONDAY + DAY)
    stand_in.fault("decline", code="insufficient_funds")
    assert driver.charge(gateway, MONDAY + DAY) == ["declined"]
    tell(driver, attempt_id, MONDAY + DAY)
    assert [driver.charge(gateway, MONDAY + days * DAY) for days in (2, 6)] == [[], []]
    right(driver)
    assert driver.charge(gateway, MONDAY + 7 * DAY) == ["succeeded"]


def test_what_is_declined_within_the_week_of_late_money_is_tried_again_after_it(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = invoiced_and_paid_after_all(driver, gateway, stand_in)
    driver.drive(20_000, MONDAY + DAY)
    stand_in.fault("timeout", when="before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY + DAY) == ["unknown"]
    under_way = driver.attempts()[-1].id
    tell(driver, attempt_id, MONDAY + DAY)
    no = Declined("pi_no", "insufficient_funds", "No.", needs_customer=False, retry="later")
    with driver.sessions.begin() as session:
        outcome.apply(session, under_way, no, seller=SELLER, now=MONDAY + DAY)
    assert [driver.charge(gateway, MONDAY + days * DAY) for days in (2, 6)] == [[], []]
    assert driver.charge(gateway, MONDAY + 7 * DAY) == ["succeeded"]


def test_money_found_late_does_not_move_a_later_week_back(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = invoiced_and_paid_after_all(driver, gateway, stand_in)
    driver.drive(20_000, MONDAY + DAY)
    assert driver.charge(gateway, MONDAY + DAY) == ["succeeded"]
    tell(driver, attempt_id, MONDAY + 2 * DAY)
    assert driver.balance().last_charged_on == (MONDAY + DAY).date()
    right(driver)


def test_what_was_called_off_is_charged_the_day_after_though_nobody_drives(driver: Driver) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions.begin() as session:
        acts.cancel(session, driver.charges()[0].id, now=MONDAY)
    assert week_over(driver, MONDAY + dt.timedelta(hours=13)) == 0, "23:00 in Oslo on the same day"
    assert week_over(driver, MONDAY + DAY) == 1


def test_a_balance_that_nothing_will_charge_is_found(driver: Driver) -> None:
    driver.drive(20_000, MONDAY)
    with driver.sessions.begin() as session:
        acts.cancel(session, driver.charges()[0].id, now=MONDAY)
    right(driver)
    with driver.sessions.begin() as session:
        session.execute(text("UPDATE balances SET charge_not_before = NULL"))
        found = audit(session, only=["balances_due"]).first_difference
    assert found is not None
    assert "20000 øre are not billed" in found


def test_a_correction_between_two_tries_comes_off_the_next_charge(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    """The sum is fixed when it is first tried; what is corrected after that is not charged a second time."""
    driver = make_driver(sessions, stand_in, gateway, "consumer")
    driver.drive(20_000, MONDAY)
    stand_in.fault("decline", code="insufficient_funds")
    assert driver.charge(gateway, MONDAY) == ["declined"]
    driver.drive(-15_000, MONDAY + dt.timedelta(hours=3))
    assert driver.charge(gateway, MONDAY + DAY) == ["succeeded"]
    assert driver.drive(20_000, MONDAY + 9 * DAY) == 0, "only 50 kroner of it are left"
    assert driver.drive(15_000, MONDAY + 9 * DAY) == 1
    assert driver.charge(gateway, MONDAY + 9 * DAY) == ["succeeded"]
    assert stand_in.books()["sum_ore"] == 40_000, "all that was driven, less what was corrected"
    assert driver.balance().unbilled_ore == 0


def test_a_correction_of_what_is_given_up_stays_for_the_next_sum(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "lost_card")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    driver.drive(-15_000, MONDAY + dt.timedelta(hours=3))
    with driver.sessions() as session:
        document = session.execute(text("SELECT total_ore, due_on FROM documents")).one()
    assert (document.total_ore, document.due_on > MONDAY.date()) == (20_000, True), "the invoice's terms stay"
    assert driver.balance().unbilled_ore == -15_000
    assert driver.drive(34_900, MONDAY + DAY) == 0, "the correction is taken off first"
