"""Two at once: each test fails without the line it is about."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Engine

from billing.cards.charge import charge_one, prepare, prepare_some, waiting
from billing.cards.due import decide, week_over
from billing.cards.gateway import CardGateway, Declined
from billing.cards.outcome import apply
from billing.passages.balances import lock
from config.clock import now_utc
from simulator.gateway import GatewayServer
from tests.integration.billing.beside import Beside
from tests.integration.billing.cards.conftest import MONDAY, Driver

DAY = dt.timedelta(days=1)


def test_the_daily_sweep_and_an_ingest_make_one_charge(driver: Driver, gateway: CardGateway, engine: Engine) -> None:
    """The sweep waits for the ingest that holds the balance, and sees that the charge is due already."""
    driver.drive(20_000, MONDAY)
    driver.charge(gateway, MONDAY)
    driver.drive(20_000, MONDAY + 6 * DAY)
    seventh = MONDAY + 7 * DAY

    def sweep() -> tuple[int, int, int]:
        with driver.sessions.begin() as session:
            return week_over(session, now=seventh)

    with driver.sessions() as ingest:
        lock(ingest, [driver.agreement_id])
        assert decide(ingest, [driver.agreement_id], now=seventh) == 1
        daily = Beside(engine, sweep)
        ingest.commit()
    assert daily.result()[:2] == (1, 0)
    assert [charge.state for charge in driver.charges()] == ["succeeded", "due"]
    assert driver.balance().open_charge_id == driver.charges()[-1].id


def test_a_charge_declined_meanwhile_waits_for_its_day(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, engine: Engine
) -> None:
    """Another worker had it in its list of what is due; by the time it gets it the next try is tomorrow's."""
    driver.drive(20_000, MONDAY)
    with driver.sessions.begin() as session:
        [charge_id] = waiting(session, now=MONDAY)
        ready = prepare(session, charge_id, seller=driver.seller, now=MONDAY, real=now_utc())
    assert ready is not None
    with driver.sessions() as one:
        no = Declined("pi_1", "insufficient_funds", "No.", needs_customer=False, retry="later")
        assert apply(one, ready.attempt_id, no, seller=driver.seller, now=MONDAY) == "declined"
        other = Beside(
            engine, lambda: charge_one(driver.sessions, gateway, charge_id, seller=driver.seller, now=MONDAY)
        )
        assert other.waited
        one.commit()
    assert other.result() == "skipped"
    assert [attempt.state for attempt in driver.attempts()] == ["declined"]
    assert stand_in.books()["count"] == 0
    assert driver.charges()[0].next_at > MONDAY


def test_what_was_booked_between_a_workers_instant_and_its_lock_is_charged_the_next_day(
    driver: Driver, gateway: CardGateway
) -> None:
    """The sum reaches, but not without what came after that instant; whoever booked it saw that a charge was open."""
    second = dt.timedelta(seconds=1)
    driver.drive(25_000, MONDAY)
    driver.drive(-10_000, MONDAY + second)
    assert driver.drive(10_000, MONDAY + 10 * second) == 0
    [due] = driver.charges()
    with driver.sessions.begin() as session:
        read = MONDAY + 5 * second
        assert prepare_some(session, [due.id], seller=driver.seller, now=read, real=now_utc()) == []
    assert [charge.state for charge in driver.charges()] == ["cancelled"]
    tomorrow = MONDAY + DAY
    with driver.sessions.begin() as session:
        assert week_over(session, now=tomorrow)[:2] == (1, 1)
    assert driver.charge(gateway, tomorrow) == ["succeeded"]
    assert [charge.amount_ore for charge in driver.charges()] == [None, 25_000]
    assert driver.balance().charge_not_before is None
