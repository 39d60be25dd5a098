"""The monthly run: who is taken, once, from where it was, and what becomes of one that cannot be invoiced."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.invoices import candidates
from billing.invoices import run as room
from billing.invoices.issue import issue_fresh
from billing.invoices.models import Document, Run, RunFault
from billing.invoices.numbers import FIRST
from billing.invoices.run import begin, carry_out, job, job_early, job_unfinished
from billing.passages.partitions import ensure
from config.clock import move_clock, start_of_day
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.invoices.world import FEBRUARY, JANUARY, World

D = dt.date(2026, 2, 1)


@pytest.fixture
def ctx(session: Session, sessions: SessionFactory, settings: Settings) -> JobContext:
    """A job's context on 1 February 2026, three in the morning in Oslo; the clock stands."""
    move_clock(session, FEBRUARY, running=False)
    session.commit()
    return JobContext(sessions, settings, "invoices")


def one_lane(ctx: JobContext) -> JobContext:
    """The same with one chunk at a time."""
    return replace(ctx, settings=replace(ctx.settings, worker_concurrency=1))


def clock(session: Session, to: dt.datetime) -> None:
    move_clock(session, to, running=False)
    session.commit()


def invoiced(session: Session) -> dict[int, int]:
    """Agreement id → øre of its documents."""
    rows = session.execute(text("SELECT agreement_id, sum(total_ore)::bigint AS ore FROM documents GROUP BY 1"))
    return {row.agreement_id: row.ore for row in rows}


def test_who_is_invoiced_and_who_is_not(session: Session, world: World, ctx: JobContext) -> None:
    plain = world.agreement()
    blocked = world.agreement(standing="blocked")
    by_card = world.agreement(method="card")
    small = world.agreement()
    closed_card = world.agreement(method="card", standing="closed", closed_at=JANUARY)
    closed_charging = world.agreement(method="card", standing="closed", closed_at=JANUARY)
    closed_small = world.agreement(standing="closed", closed_at=JANUARY)
    in_credit = world.agreement()
    for agreement, ore in (
        (plain, 5_000),
        (blocked, 7_000),
        (by_card, 9_000),
        (small, 4_999),
        (closed_card, 9_900),
        (closed_charging, 20_000),
        (closed_small, 100),
        (in_credit, -3_000),
    ):
        world.passage(agreement, ore)
    session.execute(text("UPDATE balances SET open_charge_id = 1 WHERE agreement_id = :id"), {"id": closed_charging})
    session.commit()
    result = job(ctx, FEBRUARY)
    presented = {plain: 5_000, blocked: 7_000, closed_card: 9_900, closed_small: 100, in_credit: -3_000}
    assert invoiced(session) == presented
    assert result == {
        "created": 4, "credited": 1, "already_done": 0, "carried": 1, "failed": 0, "sum_ore": 22_000,
    }  # fmt: skip
    row = session.scalars(select(Run)).one()
    assert (row.state, row.created, row.carried, row.sum_ore, row.looked_at, row.total) == ("done", 4, 1, 22_000, 6, 6)
    assert (row.credited, row.credited_ore) == (1, -3_000)
    assert row.per_second is not None
    assert row.seconds_left == 0


def test_what_is_carried_is_on_the_next_invoice(session: Session, world: World, ctx: JobContext) -> None:
    agreement = world.agreement()
    world.passage(agreement, 3_000)
    session.commit()
    assert job(ctx, FEBRUARY)["created"] == 0
    world.passage(agreement, 2_000, at=FEBRUARY + dt.timedelta(days=1))
    clock(session, FEBRUARY + dt.timedelta(days=27))
    assert job(ctx, FEBRUARY + dt.timedelta(days=28))["created"] == 1
    assert invoiced(session) == {agreement: 5_000}


def test_a_second_run_for_the_same_date_makes_nothing(session: Session, world: World, ctx: JobContext) -> None:
    agreements = [world.agreement() for _ in range(3)]
    for agreement in agreements[:2]:
        world.passage(agreement, 6_000)
    session.commit()
    assert job(ctx, FEBRUARY)["created"] == 2
    # Arrived since, one of them before the clock's now and with an earlier arrival than the cut-off.
    for agreement in agreements:
        world.passage(agreement, 8_000, booked=FEBRUARY + dt.timedelta(hours=1))
    world.passage(agreements[2], 8_000)
    session.commit()
    clock(session, FEBRUARY + dt.timedelta(hours=2))
    again = job(ctx, FEBRUARY)
    assert (again["created"], again["already_done"]) == (0, 2)
    assert sum(invoiced(session).values()) == 12_000


def test_the_cut_off_is_when_it_began_and_never_after_its_date(session: Session, ctx: JobContext) -> None:
    assert begin(session, D, now=FEBRUARY, actor="t").cutoff_at == FEBRUARY
    late = begin(session, dt.date(2026, 1, 1), now=FEBRUARY, actor="t")
    assert late.cutoff_at == dt.datetime(2026, 1, 1, 23, tzinfo=dt.UTC)


def test_what_arrives_while_it_runs_waits(session: Session, world: World, ctx: JobContext) -> None:
    agreement = world.agreement()
    world.passage(agreement, 6_000)
    row = begin(session, D, now=FEBRUARY, actor="t")
    world.passage(agreement, 700, booked=FEBRUARY + dt.timedelta(seconds=1))
    session.commit()
    clock(session, FEBRUARY + dt.timedelta(minutes=1))
    carry_out(ctx, row.id)
    assert invoiced(session) == {agreement: 6_000}
    assert session.execute(text("SELECT unbilled_ore FROM balances")).scalar_one() == 700


def test_an_invoice_made_late_is_dated_the_day_it_is_made(session: Session, world: World, ctx: JobContext) -> None:
    world.passage(world.agreement(), 6_000)
    session.commit()
    clock(session, FEBRUARY + dt.timedelta(days=4))
    job(ctx, FEBRUARY)
    document = session.scalars(select(Document)).one()
    assert (document.issued_on, document.due_on) == (dt.date(2026, 2, 5), dt.date(2026, 2, 19))


def test_a_run_cut_short_goes_on_where_it_was(
    session: Session, world: World, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        world.passage(world.agreement(), 6_000)
    session.commit()
    monkeypatch.setattr(candidates, "CHUNK", 2)
    calls: list[int] = []

    def cut(*args: Any, **named: Any) -> dict[int, int]:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return issue_fresh(*args, **named)

    monkeypatch.setattr(room, "issue_fresh", cut)
    with pytest.raises(KeyboardInterrupt):
        job(one_lane(ctx), FEBRUARY)
    row = session.scalars(select(Run)).one()
    assert (row.state, row.created, row.looked_at) == ("running", 2, 2)
    session.rollback()
    monkeypatch.setattr(room, "issue_fresh", issue_fresh)
    result = job_unfinished(ctx, FEBRUARY)
    assert result == {"runs": 1, "created": 3}
    numbers = session.scalars(select(Document.number).order_by(Document.number)).all()
    assert list(numbers) == list(range(FIRST, FIRST + 5))
    session.expire_all()
    assert session.scalars(select(Run.created)).one() == 5


def test_one_bad_agreement_costs_the_others_nothing_and_is_tried_again(
    session: Session, world: World, ctx: JobContext
) -> None:
    agreements = [world.agreement() for _ in range(7)]
    for agreement in agreements:
        world.passage(agreement, 6_000)
    bad = agreements[4]
    session.execute(text("UPDATE balances SET unbilled_ore = 6001 WHERE agreement_id = :id"), {"id": bad})
    session.commit()
    result = job(ctx, FEBRUARY)
    assert (result["created"], result["failed"]) == (6, 1)
    assert set(invoiced(session)) == set(agreements) - {bad}
    fault = session.scalars(select(RunFault)).one()
    assert fault.agreement_id == bad
    assert "BalanceDiffers" in fault.error
    numbers = session.scalars(select(Document.number).order_by(Document.number)).all()
    assert list(numbers) == list(range(FIRST, FIRST + 6))

    assert job(ctx, FEBRUARY)["failed"] == 1
    session.execute(text("UPDATE balances SET unbilled_ore = 6000 WHERE agreement_id = :id"), {"id": bad})
    session.commit()
    result = job(ctx, FEBRUARY)
    assert (result["created"], result["already_done"], result["failed"]) == (1, 6, 0)
    session.expire_all()
    fault = session.scalars(select(RunFault)).one()
    assert fault.resolved_at is not None
    assert fault.attempts == 2


def test_two_that_carry_out_the_same_run_share_it(
    session: Session, world: World, ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(12):
        world.passage(world.agreement(), 6_000)
    row = begin(session, D, now=FEBRUARY, actor="t")
    session.commit()
    monkeypatch.setattr(candidates, "CHUNK", 2)
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda: results.append(int(carry_out(ctx, row.id)["created"]))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == 12
    session.expire_all()
    assert session.scalars(select(Run.created)).one() == 12
    assert len(invoiced(session)) == 12


def test_the_books_hold_what_was_invoiced(session: Session, world: World, ctx: JobContext) -> None:
    agreement = world.agreement()
    world.passage(agreement, 6_000)
    world.credit(agreement, 1_500)
    session.commit()
    job(ctx, FEBRUARY)
    rows = session.execute(text("SELECT code, debit, credit, amount_ore FROM transfers ORDER BY id")).all()
    assert [tuple(row) for row in rows] == [
        ("claim", "receivable", "unbilled", 6_000),
        ("credit_used", "credit", "receivable", 1_500),
    ]
    assert session.execute(text("SELECT unbilled_ore, unbilled_count FROM balances")).one() == (0, 0)


def test_a_small_sum_is_carried_so_many_months_and_then_invoiced(
    session: Session, world: World, ctx: JobContext
) -> None:
    old, young = world.agreement(), world.agreement()
    world.passage(old, 4_000)
    world.passage(young, 4_000)
    since = "UPDATE balances SET open_since = :at WHERE agreement_id = :id"
    session.execute(text(since), {"at": start_of_day(dt.date(2025, 9, 1)) - dt.timedelta(seconds=1), "id": old})
    session.execute(text(since), {"at": start_of_day(dt.date(2025, 9, 1)), "id": young})
    for month in (dt.datetime(2025, 8, 15, tzinfo=dt.UTC), dt.datetime(2025, 9, 15, tzinfo=dt.UTC)):
        ensure(session, month)
    session.execute(text("UPDATE passages SET booked_at = (SELECT open_since FROM balances AS b "
                         "WHERE b.agreement_id = passages.agreement_id)"))  # fmt: skip
    session.commit()
    assert job(ctx, FEBRUARY)["carried"] == 1
    assert invoiced(session) == {old: 4_000}


@pytest.mark.parametrize(
    ("day", "months", "before"),
    [
        (dt.date(2026, 2, 1), 5, dt.date(2025, 9, 1)),
        (dt.date(2026, 1, 31), 2, dt.date(2025, 11, 30)),
        (dt.date(2028, 3, 30), 1, dt.date(2028, 2, 29)),
        (dt.date(2026, 12, 1), 12, dt.date(2025, 12, 1)),
    ],
)
def test_months_before(day: dt.date, months: int, before: dt.date) -> None:
    assert candidates.months_before(day, months) == before


def test_who_drives_very_much_is_invoiced_between_the_months_runs(
    session: Session, world: World, ctx: JobContext
) -> None:
    heavy, light = world.agreement(), world.agreement()
    job(ctx, FEBRUARY)
    world.passage(light, 4_999_999)
    session.commit()
    clock(session, FEBRUARY + dt.timedelta(days=3))
    assert job_early(ctx, FEBRUARY + dt.timedelta(days=3)) == {"created": 0}
    assert session.execute(text("SELECT count(*) FROM runs WHERE kind = 'early'")).scalar_one() == 0, "none for nobody"
    world.passage(heavy, 5_000_000)
    session.commit()
    fourth = FEBRUARY + dt.timedelta(days=3)
    for created, already in ((1, 0), (0, 1)):
        result = job_early(ctx, fourth)
        assert (result["created"], result["already_done"]) == (created, already) if created else result["created"] == 0
    assert invoiced(session) == {heavy: 5_000_000}
    world.passage(heavy, 5_000_000)
    session.commit()
    for days, sum_ore in ((10, 5_000_000), (18, 10_000_000)):
        clock(session, FEBRUARY + dt.timedelta(days=days))
        job_early(ctx, FEBRUARY + dt.timedelta(days=days))
        assert invoiced(session) == {heavy: sum_ore}, "not twice within fourteen days"
    assert session.execute(text("SELECT DISTINCT split_part(run, ':', 1) FROM claims")).scalars().all() == ["early"]
