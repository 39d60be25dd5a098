"""Backlogs: noticed when old passages come at once, taken in slices: each passage once, in order."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.audit.audit import audit
from billing.claims.make import make
from billing.passages.backlog.queries import lasting
from billing.passages.backlog.slices import end_reached
from billing.passages.credit import credit
from billing.passages.held import hold
from billing.passages.models import Passage
from billing.passages.partitions import ensure
from tests.integration.billing.passages.conftest import NOW, Road

DAY = dt.timedelta(days=1)
OLD = NOW - 50 * DAY
SLICE = 50_000
BOOKS = ("ledger_unbilled", "ledger_payable", "balances", "claims_passages", "backlogs_slices", "transfers_claims",
         "ledger_receivable", "batches_passages")  # fmt: skip


def whole(road: Road) -> None:
    found = audit(road.session, BOOKS)
    assert found.first_difference is None


def holder(road: Road, plate: str = "EV10001") -> int:
    made = road.agreement()
    road.vehicle(made, plate)
    return made


def arrive(road: Road, *ores: int, at: dt.datetime = NOW, passed: dt.datetime = OLD, plate: str = "EV10001") -> None:
    road.send(
        [road.record(f"{at:%m%d%H%M%S}-{number}", plate=plate, amount=ore, list_price=ore, passed_at=passed)
         for number, ore in enumerate(ores)],
        now=at,
    )  # fmt: skip


def slice_of(road: Road, agreement: int, now: dt.datetime, kind: str = "card", minimum: int = 20_000) -> list[int]:
    """Claim as a card's charge or the monthly run does; return the sums of what was taken."""
    ensure(road.session, now)
    # A parameter, one of the kinds.
    made = make(road.session, [agreement], kind, f"{kind}:{now}", "", now, minimum, now)  # type: ignore[arg-type]
    return [one.amount_ore for one in made]


@pytest.mark.parametrize(
    ("ores", "passed", "begins"),
    [
        ((100_000,), OLD, False),
        ((60_000, 40_001), OLD, True),
        ((60_000, 40_001), NOW - 30 * DAY, False),
        ((60_000, 40_001), NOW - 30 * DAY - dt.timedelta(seconds=1), True),
    ],
)
def test_noticed(road: Road, ores: tuple[int, ...], passed: dt.datetime, begins: bool) -> None:
    agreement = holder(road)
    arrive(road, *ores, passed=passed)
    assert (lasting(road.session, agreement) is not None) is begins
    assert road.ask("SELECT template FROM messages") == ([("backlog",)] if begins else [])
    whole(road)


def test_told_once_with_how_it_is_spread(road: Road) -> None:
    agreement = holder(road)
    arrive(road, *[30_000] * 4)
    arrive(road, *[30_000] * 4, at=NOW + DAY)
    (told,) = road.ask("SELECT agreement_id, data FROM messages")
    assert told == (agreement, {"amount_ore": 120_000, "facts": {"slice_ore": SLICE, "weeks": 3}})
    assert road.ask("SELECT old_ore, unbilled_ore, slice_ore FROM backlogs") == [(120_000, 120_000, SLICE)]


def test_what_comes_bit_by_bit_is_one_when_it_is_too_much(road: Road) -> None:
    agreement = holder(road)
    arrive(road, 60_000)
    assert lasting(road.session, agreement) is None
    arrive(road, 60_000, at=NOW + DAY)
    assert lasting(road.session, agreement) is not None


def test_a_slice_a_week_oldest_arrivals_first(road: Road) -> None:
    agreement = holder(road)
    arrive(road, *[30_000] * 4)
    arrive(road, 10_000, at=NOW + DAY, passed=NOW)
    assert slice_of(road, agreement, NOW + DAY) == [30_000]
    assert slice_of(road, agreement, NOW + 2 * DAY) == []
    whole(road)
    for week in (1, 2):
        assert slice_of(road, agreement, NOW + (1 + 7 * week) * DAY) == [30_000]
        whole(road)
    assert slice_of(road, agreement, NOW + 22 * DAY) == [40_000]
    assert road.ask("SELECT slices, taken_ore, ended_at IS NULL FROM backlogs") == [(3, 90_000, False)]
    whole(road)


def test_a_passage_larger_than_a_slice_is_taken_alone(road: Road) -> None:
    agreement = holder(road)
    arrive(road, 90_000, 5_000, 50_000)
    assert slice_of(road, agreement, NOW) == [90_000]
    assert lasting(road.session, agreement) is not None
    whole(road)


def test_a_slice_that_is_cut_needs_no_minimum(road: Road) -> None:
    agreement = holder(road)
    arrive(road, 5_000, 49_000, 60_000)
    assert slice_of(road, agreement, NOW) == [5_000]
    assert slice_of(road, agreement, NOW + 7 * DAY) == [49_000]


def test_the_monthly_invoice_takes_a_slice_a_week_and_four_at_most(road: Road) -> None:
    agreement = holder(road)
    arrive(road, *[10_000] * 60)
    assert slice_of(road, agreement, NOW + 3 * DAY, "invoice", 5_000) == [50_000]
    assert slice_of(road, agreement, NOW + 5 * DAY, "invoice", 5_000) == []
    assert slice_of(road, agreement, NOW + 25 * DAY, "invoice", 5_000) == [150_000]
    assert slice_of(road, agreement, NOW + 90 * DAY, "invoice", 5_000) == [200_000]
    whole(road)


def test_counter_rows_come_with_their_passage(road: Road) -> None:
    """What is credited before it is billed is never charged, wherever in the row it stands."""
    agreement = holder(road)
    arrive(road, *[30_000] * 4)
    ((passage,),) = road.ask("SELECT min(id) FROM passages")
    credit(road.session, agreement, passage, reason="wrong", actor="agent:kari", now=NOW + DAY)
    arrive(road, 30_000, at=NOW + DAY)
    assert slice_of(road, agreement, NOW + DAY) == [30_000]
    assert road.ask("SELECT count(*), sum(amount_ore) FROM passages WHERE claim_id IS NOT NULL") == [(3, 30_000)]
    whole(road)


def test_it_ends_when_one_slice_is_left_and_its_week_is_over(road: Road) -> None:
    agreement = holder(road)
    arrive(road, *[30_000] * 4)
    ((first,),) = road.ask("SELECT min(id) FROM passages")
    assert slice_of(road, agreement, NOW) == [30_000]
    for passage in (first + 1, first + 2):
        credit(road.session, agreement, passage, reason="wrong", actor="agent:kari", now=NOW + DAY)
    assert lasting(road.session, agreement) is None
    assert end_reached(road.session, now=NOW + 6 * DAY) == 0
    assert end_reached(road.session, now=NOW + 7 * DAY) == agreement
    assert road.ask("SELECT ended_at FROM backlogs") == [(NOW + 7 * DAY,)]
    whole(road)


def test_who_drives_much_has_larger_slices(road: Road) -> None:
    """Four weeks' ordinary driving of 400,000: a slice is two of its weeks, so that the backlog shrinks."""
    agreement = holder(road)
    arrive(road, *[100_000] * 4, at=NOW - DAY, passed=NOW - 2 * DAY)
    arrive(road, *[30_000] * 4)
    found = lasting(road.session, agreement)
    assert found is not None
    assert found.slice_ore == 200_000


def shared(units: list[int], limit: int) -> list[list[int]]:
    """How passages are shared out to slices: the specification, in words of Python."""
    result: list[list[int]] = []
    while units:
        taken = 1
        while taken < len(units) and sum(units[: taken + 1]) <= limit:
            taken += 1
        result.append(units[:taken])
        units = units[taken:]
    return result


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ores=st.lists(st.integers(1, 80_000), min_size=2, max_size=12))
def test_slices_share_the_passages_out(road: Road, ores: list[int]) -> None:
    with road.session.begin_nested() as attempt:
        agreement = holder(road)
        arrive(road, *ores)
        if lasting(road.session, agreement) is None:
            assert sum(ores) <= 100_000
        else:
            _in_slices(road, agreement, ores)
        attempt.rollback()
    road.session.expire_all()


def _in_slices(road: Road, agreement: int, ores: list[int]) -> None:
    expected, left, week = shared(ores, SLICE), sum(ores), 0
    while left:
        taken = slice_of(road, agreement, NOW + 7 * week * DAY, minimum=1)
        wanted = sum(expected[week]) if left > SLICE else left
        assert taken == [wanted]
        left, week = left - wanted, week + 1
        whole(road)
    in_order = road.ask("SELECT claim_id FROM passages WHERE agreement_id = :a ORDER BY booked_at, id", a=agreement)
    claims = [claim for (claim,) in in_order]
    assert None not in claims
    assert claims == sorted(claims)


def test_chunks_and_a_run_at_once(road: Road) -> None:
    """Two chunks of old passages and claims at the same time: one backlog, one message, whole books."""
    agreement = holder(road)
    arrive(road, *[30_000] * 2)
    road.session.commit()
    engine = road.session.get_bind()
    failed: list[BaseException] = []

    def beside(number: int) -> None:
        try:
            with Session(engine) as session:
                other = Road(session, road.toll, road.ferry)
                for step in range(4):
                    at = NOW + dt.timedelta(minutes=number, seconds=step)
                    if number:
                        arrive(other, *[20_000] * 3, at=at)
                    else:
                        slice_of(other, agreement, NOW + 7 * (step + 1) * DAY)
                    session.commit()
        except BaseException as error:
            failed.append(error)

    road.session.expunge_all()
    threads = [threading.Thread(target=beside, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert road.ask("SELECT count(*) FROM backlogs WHERE ended_at IS NULL")[0][0] <= 1
    assert road.ask("SELECT (SELECT count(*) FROM backlogs) = (SELECT count(*) FROM messages)") == [(True,)]
    assert road.ask("SELECT max(passages_ore) <= 60000 FROM claims") == [(True,)]
    road.session.execute(text("SELECT 1"))
    whole(road)


def test_what_is_held_back_keeps_nothing_else_waiting(road: Road) -> None:
    """A disputed passage at the front does not fill the slice."""
    agreement = holder(road)
    arrive(road, *[50_000] * 3)
    ((first,),) = road.ask("SELECT min(id) FROM passages")
    assert hold(road.session, road.session.get_one(Passage, (first, NOW)), NOW)
    assert slice_of(road, agreement, NOW) == [50_000]
    assert road.ask("SELECT count(*) FROM passages WHERE claim_id IS NOT NULL AND id = :p", p=first) == [(0,)]
    whole(road)
