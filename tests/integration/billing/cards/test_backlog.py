"""Three months of old passages arrive at once for a customer who pays by card: a slice a week, told once."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text

from billing.audit.audit import RULES, audit
from billing.cards.due import decide, week_over
from billing.cards.gateway import CardGateway
from config.clock import move_clock
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.billing.passages import conftest as passages
from tests.integration.billing.passages.conftest import UNOPENED, Road

road = passages.road
DAY = dt.timedelta(days=1)
ARRIVED = MONDAY + 60 * DAY


def test_three_months_at_once(
    road: Road, driver: Driver, gateway: CardGateway, stand_in: GatewayServer, sessions: SessionFactory
) -> None:
    road.vehicle(driver.agreement_id)
    first = dt.datetime(2026, 1, 2, 7, tzinfo=dt.UTC)
    road.send([
        road.record(f"old-{day}", plate="EV10001", amount=2_500, list_price=2_500, passed_at=first + day * DAY)
        for day in range(88)
    ], now=ARRIVED)  # fmt: skip
    decide(road.session, [driver.agreement_id], now=ARRIVED)
    road.session.commit()
    taken: list[tuple[int, int]] = []
    for day in range(35):
        now, before = ARRIVED + day * DAY, stand_in.books()["sum_ore"]
        if day == 10:  # an ordinary day's driving waits behind
            road.send([road.record("new", plate="EV10001", amount=3_100, passed_at=now - DAY)], now=now)
            decide(road.session, [driver.agreement_id], now=now)
            road.session.commit()
        with sessions.begin() as session:
            week_over(session, now=now)
        driver.charge(gateway, now)
        sum_ore = stand_in.books()["sum_ore"] - before
        if sum_ore:
            taken.append((day, sum_ore))
    assert taken == [(0, 50_000), (7, 50_000), (14, 50_000), (21, 50_000), (28, 23_100)]
    with sessions.begin() as session:
        assert session.execute(text("SELECT count(*) FROM messages WHERE template = 'backlog'")).scalar_one() == 1
        assert session.execute(text("SELECT slices, ended_at IS NULL FROM backlogs")).one() == (4, False)
        move_clock(session, ARRIVED + 35 * DAY, running=False)
    with sessions() as session:
        # The agreement was not opened the way agreements are; everything else must hold.
        every = [rule.name for rule in RULES if rule.name not in UNOPENED]
        assert audit(session, every).first_difference is None


def test_a_card_that_fails_brings_one_invoice_a_week_not_all_at_once(
    road: Road, driver: Driver, gateway: CardGateway, sessions: SessionFactory
) -> None:
    road.vehicle(driver.agreement_id)
    road.send([
        road.record(f"old-{number}", plate="EV10001", amount=40_000, passed_at=ARRIVED - 50 * DAY)
        for number in range(4)
    ], now=ARRIVED)  # fmt: skip
    road.session.execute(text("UPDATE cards SET removed_at = now(), is_default = false"))
    decide(road.session, [driver.agreement_id], now=ARRIVED)
    road.session.commit()
    invoiced = []
    for day in range(15):
        now = ARRIVED + day * DAY
        with sessions.begin() as session:
            week_over(session, now=now)
        driver.charge(gateway, now)
        with sessions() as session:
            invoiced.append(session.execute(text("SELECT count(*) FROM documents")).scalar_one())
    assert [invoiced[day] for day in (0, 6, 7, 13, 14)] == [1, 1, 2, 2, 3]
