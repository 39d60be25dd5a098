"""When a declined charge is tried again: on its bank days, whatever was tried by hand or became known late."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from billing.cards import acts
from billing.cards.gateway import CardGateway, Declined
from billing.cards.outcome import apply, try_now
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver

DAY = dt.timedelta(days=1)
OSLO_SIX = dt.timedelta(hours=5)
"""Six in the morning in Oslo in winter, as UTC."""


def six(days: int) -> dt.datetime:
    """Return six in the morning so many days after MONDAY."""
    return MONDAY.replace(hour=0) + days * DAY + OSLO_SIX


@pytest.fixture
def broke(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """A driver whose card has no money, with a charge that was declined on MONDAY."""
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    return driver


def press(driver: Driver, gateway: CardGateway, at: dt.datetime) -> None:
    """Have support try the charge by hand."""
    with driver.sessions.begin() as session:
        acts.retry(session, driver.charges()[0].id, now=at)
    assert driver.charge(gateway, at) == ["declined"]


def test_tries_by_hand_use_up_no_bank_day(broke: Driver, gateway: CardGateway) -> None:
    for minute in range(1, 5):
        press(broke, gateway, MONDAY + dt.timedelta(minutes=minute))
    [charge] = broke.charges()
    assert (charge.state, charge.tries, charge.next_at) == ("claimed", 5, six(1))
    for days, then in ((1, six(3)), (3, six(7))):
        assert broke.charge(gateway, six(days)) == ["declined"]
        press(broke, gateway, six(days) + dt.timedelta(hours=3))
        assert broke.charges()[0].next_at == then
    assert broke.charge(gateway, six(7)) == ["declined"]
    assert broke.charges()[0].state == "invoiced"


def test_a_new_card_that_is_declined_too_leaves_the_last_day(broke: Driver, gateway: CardGateway) -> None:
    for days in (1, 3):
        assert broke.charge(gateway, six(days)) == ["declined"]
    noon = six(3) + dt.timedelta(hours=6)
    with broke.sessions.begin() as session:
        assert try_now(session, broke.agreement_id, now=noon)  # as a card that is registered does
    assert broke.charge(gateway, noon) == ["declined"]
    [charge] = broke.charges()
    assert (charge.state, charge.next_at) == ("claimed", six(7))


@pytest.mark.parametrize(("late", "then"), [(1, 3), (2, 3), (3, 7), (8, None)])
def test_what_is_known_late_does_not_come_all_at_once(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, late: int, then: int | None
) -> None:
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when="before", hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    now = MONDAY + late * DAY
    with driver.sessions.begin() as session:
        no = Declined("pi_x", "insufficient_funds", "No.", needs_customer=False, retry="later")
        apply(session, driver.attempts()[0].id, no, seller=driver.seller, now=now)
    assert driver.charge(gateway, now) == []
    [charge] = driver.charges()
    assert charge.state == ("claimed" if then else "invoiced")
    assert then is None or charge.next_at == six(then)


def test_the_day_in_the_letter_is_one_on_which_confirming_helps(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    driver.drive(20_000, MONDAY)
    stand_in.fault("decline", code="authentication_required")
    assert driver.charge(gateway, MONDAY) == ["declined"]
    with driver.sessions() as session:
        [until] = session.scalars(text("SELECT data #>> '{facts,until_on}' FROM messages"))
    evening = dt.datetime.fromisoformat(f"{until}T22:59:00+00:00")  # 23:59 in Oslo
    assert driver.charge(gateway, evening) == []
    assert driver.charges()[0].state == "claimed"
    assert driver.charge(gateway, evening + dt.timedelta(hours=6, minutes=1)) == ["skipped"]
    assert driver.charges()[0].state == "invoiced"
