"""The weekly limit by Oslo dates: short months, the clock changes, the last second of a day, the turn of the year."""

from __future__ import annotations

import datetime as dt

import pytest

from billing.cards import outcome
from billing.cards.charge import prepare
from billing.cards.due import week_over
from billing.cards.gateway import CardGateway, Succeeded
from config.clock import OSLO, business_date, now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import Driver, make_driver

SECOND = dt.timedelta(seconds=1)


def oslo(text: str) -> dt.datetime:
    """Return the instant (UTC) of an Oslo wall-clock time."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=OSLO).astimezone(dt.UTC)


@pytest.mark.parametrize(
    ("charged_at", "first_day"),
    [
        ("2026-02-22T10:00:00", "2026-03-01"),  # of 28 days, across its end
        ("2026-02-25T10:00:00", "2026-03-04"),
        ("2026-02-01T10:00:00", "2026-02-08"),
        ("2028-02-25T10:00:00", "2028-03-03"),  # of 29
        ("2026-10-22T23:30:00", "2026-10-29"),  # summer time when charged, 169 hours in the week after
        ("2026-10-25T02:30:00", "2026-11-01"),  # in the hour that comes twice
        ("2026-10-18T00:00:00", "2026-10-25"),  # the week ends on the day of 25 hours
        ("2026-03-26T23:30:00", "2026-04-02"),  # the day of 23 hours lies between
        ("2026-06-10T23:59:59", "2026-06-17"),  # 21:59:59 in UTC
        ("2026-06-11T00:00:00", "2026-06-18"),  # still the day before in UTC
        ("2026-12-25T12:00:00", "2027-01-01"),
        ("2026-12-31T23:59:59", "2027-01-07"),
        ("2027-01-01T00:00:00", "2027-01-08"),  # the year before in UTC
    ],
)
def test_a_week_is_seven_oslo_dates(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, charged_at: str, first_day: str
) -> None:
    at, first = oslo(charged_at), oslo(first_day + "T00:00:00")
    assert driver.drive(20_000, at) == 1
    assert driver.charge(gateway, at) == ["succeeded"]
    assert driver.balance().last_charged_on == dt.date.fromisoformat(charged_at[:10])
    last = first - SECOND
    assert driver.drive(20_000, last) == 0
    assert driver.balance().charge_not_before == dt.date.fromisoformat(first_day)
    with driver.sessions.begin() as session:
        assert week_over(session, now=last) == (0, 0, 0)
    assert driver.charge(gateway, last) == []
    with driver.sessions.begin() as session:
        assert week_over(session, now=first)[1] == 1
    assert driver.charge(gateway, first) == ["succeeded"]
    assert driver.balance().last_charged_on == dt.date.fromisoformat(first_day)
    assert stand_in.books()["count"] == 2


def test_an_answer_after_midnight_counts_from_its_own_day(driver: Driver) -> None:
    """Begun on New Year's Eve in the last second, told of in the new year: the receipt's day is the week's."""
    before, after = oslo("2026-12-31T23:59:59"), oslo("2027-01-01T00:00:01")
    driver.drive(20_000, before)
    with driver.sessions.begin() as session:
        ready = prepare(session, driver.charges()[0].id, seller=driver.seller, now=before, real=now_utc())
    assert ready is not None
    with driver.sessions.begin() as session:
        outcome.apply(session, ready.attempt_id, Succeeded("pi_1", 20_000, now_utc()), seller=driver.seller, now=after)
    assert driver.balance().last_charged_on == dt.date(2027, 1, 1)
    driver.drive(20_000, oslo("2027-01-07T23:59:59"))
    assert [charge.state for charge in driver.charges()] == ["succeeded"]
    driver.drive(100, oslo("2027-01-08T00:00:00"))
    assert [charge.state for charge in driver.charges()] == ["succeeded", "due"]


@pytest.mark.parametrize(
    ("declined_at", "tried_again"),
    [
        ("2026-10-23T09:00:00", "2026-10-26T06:00:00"),  # Friday; Monday after the clocks went back
        ("2026-03-27T09:00:00", "2026-03-30T06:00:00"),  # and forward
        ("2026-12-30T23:59:59", "2026-12-31T06:00:00"),
        ("2026-12-31T09:00:00", "2027-01-04T06:00:00"),  # New Year's Day and a weekend
    ],
)
def test_a_declined_card_is_tried_at_six_on_the_next_bank_day(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, declined_at: str, tried_again: str
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    at, again = oslo(declined_at), oslo(tried_again)
    driver.drive(20_000, at)
    assert driver.charge(gateway, at) == ["declined"]
    assert driver.charges()[0].next_at == again
    assert driver.charge(gateway, again - SECOND) == []
    assert driver.charge(gateway, again) == ["declined"]
    assert business_date(driver.charges()[0].next_at) > business_date(again)
