"""What a charger is owed for a period: by arrival, reversals taken off, credits not, once."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from billing.passages.credit import credit
from billing.passages.rules import Sent
from billing.roadside.settlement import queries
from billing.roadside.settlement import settle as settling
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.closed import wait_until_closed
from billing.roadside.settlement.rules import Period
from billing.roadside.settlement.settle import settle, settle_by_code
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound
from config.settings import Settings
from tests.integration.billing.beside import Beside
from tests.integration.billing.passages.conftest import NOW
from tests.integration.billing.settlement.conftest import (
    APRIL,
    FEBRUARY,
    LATE_MARCH,
    MARCH,
    MAY,
    MIDNIGHT,
    OVER,
    World,
)


def lines(world: World, settlement_id: int) -> dict[str, tuple[int, int, int, int, int]]:
    rows = world.road.ask(
        "SELECT project, accepted_count, accepted_ore, reversed_count, reversed_ore, net_ore FROM settlement_lines "
        "WHERE settlement_id = :s ORDER BY project",
        s=settlement_id,
    )
    return {row[0]: row[1:] for row in rows}


def test_a_month_by_project(world: World) -> None:
    world.drive("A", 10_000)
    world.drive("B", 20_001, at=LATE_MARCH)
    world.drive("C", 5_000, station="S2")
    world.drive("D", 7_000, at=MIDNIGHT)  # April's
    row = world.settle()
    assert (row.state, row.claim_ore, row.remuneration_ore, row.payout_ore) == ("draft", 35_001, 613, 34_388)
    assert lines(world, row.id) == {"BERGEN": (2, 30_001, 0, 0, 30_001), "VEST": (1, 5_000, 0, 0, 5_000)}
    assert (row.cutoff_at, row.remuneration_bp, row.made_by) == (MIDNIGHT, 175, "accountant:kari")
    april = world.settle(APRIL, now=MAY)
    assert lines(world, april.id) == {"BERGEN": (1, 7_000, 0, 0, 7_000)}


def test_the_charger_is_owed_what_support_credits(world: World) -> None:
    """We owe the charger whether or not the driver pays."""
    world.drive("A", 10_000)
    credit(world.session, world.agreement, world.passage("A"), reason="goodwill", actor="agent:x", now=LATE_MARCH)
    row = world.settle()
    assert (row.accepted_count, row.accepted_ore, row.reversed_count, row.claim_ore) == (1, 10_000, 0, 10_000)


def test_what_is_settled_elsewhere_after_all_is_taken_off(world: World) -> None:
    world.drive("A", 10_000)
    world.drive("B", 4_000)
    assert world.move_elsewhere("FJELL", at=LATE_MARCH) == 2
    world.road.check_books()
    row = world.settle()
    assert (row.accepted_ore, row.reversed_count, row.reversed_ore, row.claim_ore) == (14_000, 2, 14_000, 0)
    assert (row.remuneration_ore, row.payout_ore) == (0, 0)
    assert agree(world.session, row.id, note=None, actor="accountant:kari", now=OVER).state == "carried"


def test_taken_back_in_the_next_month_is_the_next_months(world: World) -> None:
    world.drive("A", 10_000)
    assert world.settle().claim_ore == 10_000
    world.move_elsewhere("FJELL", at=MIDNIGHT)
    row = world.settle(APRIL, now=MAY)
    assert (row.accepted_ore, row.reversed_ore, row.claim_ore) == (0, 10_000, -10_000)
    assert (row.remuneration_ore, row.payout_ore) == (-175, -9_825)


def test_what_is_negative_goes_into_the_next_settlement(world: World) -> None:
    world.drive("A", 10_000)
    first = world.settle()
    world.move_elsewhere("FJELL", at=MIDNIGHT)
    negative = world.settle(APRIL, now=MAY)
    world.road.ask("DELETE FROM registrations WHERE settlement = 'external' RETURNING 1")
    world.drive("B", 30_000, at=MAY)
    may = Period(dt.date(2026, 5, 1), dt.date(2026, 5, 31))
    june = dt.datetime(2026, 6, 1, 5, tzinfo=dt.UTC)
    last = world.settle(may, now=june)
    assert (last.claim_ore, last.remuneration_ore, last.brought_ore, last.payout_ore) == (30_000, 525, -9_825, 19_650)
    for row in (first, negative, last):
        agree(world.session, row.id, note=None, actor="accountant:kari", now=june)
    assert [row.state for row in (first, negative, last)] == ["agreed", "carried", "agreed"]
    # What is left of the payable is what is to be paid out: the first month's, and the last one's.
    assert world.payable() == first.payout_ore + last.payout_ore


def test_agreeing_books_what_is_ours_once(world: World) -> None:
    world.drive("A", 100_000)
    row = world.settle()
    assert world.payable() == 100_000
    for _ in range(2):
        assert agree(world.session, row.id, note=None, actor="accountant:kari", now=OVER).state == "agreed"
    assert world.payable() == row.payout_ore == 98_250
    booked = world.road.ask("SELECT code, debit, credit, amount_ore, ref FROM transfers WHERE code LIKE 'remun%'")
    assert booked == [("remuneration", "payable", "remuneration", 1_750, row.id)]


def test_a_repeat_is_a_result(world: World) -> None:
    world.drive("A", 10_000)
    first = world.settle()
    assert world.settle().id == first.id
    assert world.road.ask("SELECT count(*) FROM settlements") == [(1,)]


@pytest.mark.parametrize(
    ("first", "last", "slug"),
    [
        (dt.date(2026, 3, 20), dt.date(2026, 4, 30), "overlaps"),
        (dt.date(2026, 3, 1), dt.date(2026, 3, 30), "overlaps"),
        (dt.date(2026, 2, 1), dt.date(2026, 4, 30), "overlaps"),
        (dt.date(2026, 4, 2), dt.date(2026, 4, 30), "gap"),
    ],
)
def test_periods_neither_overlap_nor_leave_days_out(world: World, first: dt.date, last: dt.date, slug: str) -> None:
    world.drive("A", 10_000)
    world.settle()
    with pytest.raises(Conflict) as caught:
        world.settle(Period(first, last), now=MAY)
    assert caught.value.type == f"/problems/settlement-{slug}"


def test_the_database_refuses_overlapping_periods(world: World) -> None:
    world.drive("A", 10_000)
    world.settle()
    copy = (
        "INSERT INTO settlements (charger_id, period_from, period_to, cutoff_at, accepted_count, accepted_ore, "
        "reversed_count, reversed_ore, claim_ore, remuneration_bp, remuneration_ore, remuneration_vat_bp, "
        "remuneration_vat_ore, brought_ore, payout_ore, made_at, made_by) SELECT charger_id, period_to, period_to + 9, "
        "cutoff_at, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, made_at, made_by FROM settlements"
    )
    with pytest.raises(IntegrityError, match="ex_settlements_period"):
        world.session.execute(text(copy))


def test_the_first_settlement_begins_no_later_than_what_is_owed(world: World) -> None:
    world.drive("A", 10_000)  # on 2 March
    with pytest.raises(Conflict, match="owed from 2026-03-02"):
        world.settle(Period(dt.date(2026, 3, 3), dt.date(2026, 3, 31)))
    assert world.settle(Period(dt.date(2026, 3, 2), dt.date(2026, 3, 31))).claim_ore == 10_000


def test_passages_and_ledger_must_say_the_same(world: World) -> None:
    world.drive("A", 10_000)
    world.session.execute(text("UPDATE transfers SET amount_ore = 9999 WHERE code = 'passages'"))
    with pytest.raises(Conflict, match="worth 10000 øre, the ledger says 9999"):
        world.settle()
    assert world.road.ask("SELECT count(*) FROM settlements") == [(0,)]


@pytest.mark.parametrize(
    ("now", "open_"),
    [(LATE_MARCH, True), (MIDNIGHT + dt.timedelta(minutes=59), True), (MIDNIGHT + dt.timedelta(minutes=60), False)],
)
def test_not_before_the_period_is_over(world: World, now: dt.datetime, open_: bool) -> None:
    world.drive("A", 10_000)
    if open_:
        with pytest.raises(Conflict, match="not over"):
            world.settle(now=now)
    else:
        assert world.settle(now=now).claim_ore == 10_000


def test_what_is_still_being_booked_is_waited_for(world: World, sessions: SessionFactory) -> None:
    """A batch that read its time in March and commits in April is in March's settlement: without the wait for
    transactions that began before, it would be in no settlement at all."""
    world.drive("A", 10_000)
    move_clock(world.session, LATE_MARCH, running=False)
    toll = world.road.toll.id
    world.session.commit()

    def accountant() -> int:
        with sessions.begin() as session:
            (row,) = settle(session, {toll: MARCH}, now=OVER, actor="accountant:kari")
            return row.claim_ore

    # Its transaction has begun and knows the time; nothing of it can be seen in any lock on passages.
    world.session.execute(text("SELECT business_at FROM business_clock"))
    with sessions.begin() as clock:
        move_clock(clock, OVER, running=False)
    with sessions() as impatient, pytest.raises(Conflict, match="still being booked"):
        settle(impatient, {toll: MARCH}, now=OVER, actor="accountant:kari", patience=0.2)
    sent = world.road.record("B", plate="EV10001", amount=500)
    found: list[int] = []
    # Not Beside, which waits for a lock: this waits by looking who is under way.
    beside = threading.Thread(target=lambda: found.append(accountant()), daemon=True)
    beside.start()
    beside.join(0.5)
    assert beside.is_alive(), "it did not wait"
    assert _booked(world, sent) == "accepted"
    world.session.commit()
    beside.join(20)
    assert found == [10_500]


def _booked(world: World, sent: Sent) -> str:
    return world.road.one(sent, now=LATE_MARCH).code


def test_who_began_after_the_period_is_not_waited_for(world: World, sessions: SessionFactory) -> None:
    """A long reading that began in April can book nothing in March; the clock is real time here."""
    world.drive("A", 10_000)
    world.session.commit()
    with sessions() as other:
        other.execute(text("SELECT 1"))
        wait_until_closed(world.session, MARCH.last, now=OVER, patience=0)


def test_two_at_once_make_one(world: World, engine: Engine, sessions: SessionFactory) -> None:
    world.drive("A", 10_000)
    world.session.commit()
    toll = world.road.toll.id

    def again() -> int:
        with sessions.begin() as session:
            return settle(session, {toll: MARCH}, now=OVER, actor="schedule")[0].id

    first = world.settle()
    beside = Beside(engine, again)
    assert beside.waited
    world.session.commit()
    assert beside.result() == first.id


def test_by_code_the_next_whole_month(world: World) -> None:
    world.drive("A", 10_000)
    row = settle_by_code(world.session, "FJELL", None, None, now=MAY, actor="a:b")
    assert (row.period_from, row.period_to) == (NOW.date(), MARCH.last)
    row = settle_by_code(world.session, "FJELL", None, None, now=MAY, actor="a:b")
    assert (row.period_from, row.period_to) == (APRIL.first, APRIL.last)
    with pytest.raises(Conflict, match="not over"):
        settle_by_code(world.session, "FJELL", None, None, now=MAY, actor="a:b")
    with pytest.raises(Conflict, match="Nothing is owed"):
        settle_by_code(world.session, "FJORD", None, None, now=MAY, actor="a:b")
    with pytest.raises(NotFound):
        settle_by_code(world.session, "NONE", None, None, now=MAY, actor="a:b")
    with pytest.raises(Invalid):
        settle_by_code(world.session, "FJELL", MARCH.last, MARCH.first, now=MAY, actor="a:b")


def test_the_job_settles_every_charger_that_has_a_month_to_settle(
    world: World, sessions: SessionFactory, settings: Settings
) -> None:
    world.drive("A", 10_000)
    world.road.vehicle(world.agreement, "EV10009", scope="FJORD")
    world.road.one(world.road.record("F", plate="EV10009", station="K1", service="ferry"), charger=world.road.ferry)
    move_clock(world.session, MAY, running=False)
    world.session.commit()
    context = JobContext(sessions, settings)
    assert settling.job(context, MAY) == {"settlements": 4}
    assert settling.job(context, MAY) == {"settlements": 0}
    rows = world.road.ask("SELECT charger_id, period_from, claim_ore FROM settlements ORDER BY 2, 1")
    toll, ferry = world.road.toll.id, world.road.ferry.id
    assert rows == [
        (toll, NOW.date(), 10_000),
        (ferry, NOW.date(), 2_480),
        (toll, APRIL.first, 0),
        (ferry, APRIL.first, 0),
    ]


def test_one_charger_whose_books_differ_keeps_no_other_waiting(
    world: World, sessions: SessionFactory, settings: Settings
) -> None:
    world.drive("A", 10_000)
    world.road.one(world.road.record("F", plate="EV10001", station="K1", service="ferry"), charger=world.road.ferry)
    world.session.execute(
        text("UPDATE transfers SET amount_ore = 1 WHERE credit_owner = :c"), {"c": world.road.toll.id}
    )
    move_clock(world.session, OVER, running=False)
    world.session.commit()
    with pytest.raises(Conflict, match="FJELL"):
        settling.job(JobContext(sessions, settings), OVER)
    assert world.road.ask("SELECT charger_id FROM settlements") == [(world.road.ferry.id,)]


def test_a_charger_that_nothing_came_from_for_a_month_has_an_empty_settlement(world: World) -> None:
    world.drive("A", 10_000)
    world.settle()
    row = world.settle(APRIL, now=MAY)
    assert (row.claim_ore, row.payout_ore, lines(world, row.id)) == (0, 0, {})
    assert queries.one(world.session, row.id).as_dict()["lines"] == []


def test_february_before_anything_was_owed(world: World) -> None:
    world.drive("A", 10_000)
    assert world.settle(FEBRUARY).claim_ore == 0
    assert world.settle().claim_ore == 10_000
