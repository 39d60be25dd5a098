"""Agreements: standing with history and publications, blocks, closing, payment method."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.agreements import queries
from accounts.agreements.block import block, reopen, void
from accounts.agreements.close import Closed, close, close_reached, job
from accounts.agreements.method import set_payment_method
from accounts.agreements.models import Agreement, Block, StandingChange
from accounts.agreements.standing import StandingChanged, apply
from accounts.customers.close import close_agreement
from accounts.customers.models import Message
from accounts.customers.sign_up import SignedUp
from accounts.vehicles.register import register
from config.clock import move_clock, start_of_day
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import Conflict, Invalid, NotFound, PreconditionFailed
from config.settings import Settings
from tests.integration.accounts.conftest import DAY, HOUR, NOW, at_once, put, told

CALLED = {"channel": "phone", "note": "called"}


def standing(session: Session, signed: SignedUp) -> str:
    return session.scalars(select(Agreement.standing).where(Agreement.id == signed.agreement.id)).one()


def test_blocked_then_paid_then_reopened(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    one = kari.agreement.id
    version = kari.agreement.version
    block(session, {one: [5, 6]}, NOW)
    (first,) = apply(session, {one: 10_000, ola.agreement.id: 0}, NOW, "overdue", "system")
    assert (first.agreement_id, first.before, first.after) == (one, "open", "blocked")
    (second,) = apply(session, {one: 0}, NOW + HOUR, "paid", "bank")
    assert (second.before, second.after) == ("blocked", "awaiting_reopen")
    ended, already = reopen(session, one, CALLED, "agent:anne", NOW + 2 * HOUR)
    assert (ended.ending, ended.ended_by, ended.contact, already) == ("reopened", "agent:anne", CALLED, False)
    (third,) = apply(session, {one: 0}, NOW + 2 * HOUR, "reopened", "agent:anne")
    assert (third.before, third.after) == ("awaiting_reopen", "open")
    session.refresh(kari.agreement)
    assert (kari.agreement.standing, kari.agreement.version) == ("open", version + 3)

    story = queries.story(session, kari.agreement)
    assert [(row.standing, row.reason, row.actor, row.at) for row in story.changes] == [
        ("open", "opened", "test", NOW),
        ("blocked", "overdue", "system", NOW),
        ("awaiting_reopen", "paid", "bank", NOW + HOUR),
        ("open", "reopened", "agent:anne", NOW + 2 * HOUR),
    ]
    assert [row.id for row in story.changes[1:]] == [first.change_id, second.change_id, third.change_id]
    assert story.active_block is None
    # One publication per charger for each of opened, blocked, open again; none for awaiting_reopen.
    assert [row[1] for row in told(session, one)] == ["valid"] * 3 + ["blocked"] * 3 + ["valid"] * 3
    assert [row[1] for row in told(session, ola.agreement.id)] == ["valid"] * 3


def test_the_same_facts_again_change_nothing(session: Session, kari: SignedUp) -> None:
    one = kari.agreement.id
    block(session, {one: [5]}, NOW)
    apply(session, {one: 1}, NOW, "overdue", "system")
    before = len(told(session, one))
    assert apply(session, {one: 1}, NOW + HOUR, "overdue", "system") == []
    assert apply(session, {}, NOW, "overdue", "system") == []
    assert len(told(session, one)) == before


def test_newly_overdue_while_awaiting_is_blocked_again(session: Session, kari: SignedUp) -> None:
    one = kari.agreement.id
    block(session, {one: [5]}, NOW)
    apply(session, {one: 1}, NOW, "overdue", "system")
    apply(session, {one: 0}, NOW, "paid", "bank")
    (changed,) = apply(session, {one: 7}, NOW + DAY, "overdue", "system")
    assert (changed.before, changed.after) == ("awaiting_reopen", "blocked")


def test_payment_in_time_voids_and_opens_by_itself(session: Session, kari: SignedUp) -> None:
    one = kari.agreement.id
    block(session, {one: [5]}, NOW)
    apply(session, {one: 1}, NOW, "overdue", "system")
    (voided,) = void(session, [one], NOW + HOUR)
    assert (voided.ending, voided.ended_at) == ("voided", NOW + HOUR)
    assert void(session, [one], NOW + HOUR) == []
    (changed,) = apply(session, {one: 0}, NOW + HOUR, "paid_in_time", "bank")
    assert changed.after == "open"
    with pytest.raises(Conflict):
        reopen(session, one, CALLED, "agent:anne", NOW + HOUR)


def test_a_block_is_recorded_once_and_a_repeat_is_a_result(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    first = block(session, {kari.agreement.id: [5]}, NOW)
    again = block(session, {ola.agreement.id: [9], kari.agreement.id: [5, 6]}, NOW + HOUR)
    assert [row.agreement_id for row in again] == sorted([kari.agreement.id, ola.agreement.id])
    assert again[0].id == first[0].id
    assert (again[0].claims, again[0].at) == ([5], NOW)
    assert block(session, {}, NOW) == []


def test_reopening_twice_is_a_result_and_reopening_nothing_a_conflict(session: Session, kari: SignedUp) -> None:
    with pytest.raises(Conflict):
        reopen(session, kari.agreement.id, CALLED, "agent:anne", NOW)
    block(session, {kari.agreement.id: [5]}, NOW)
    with pytest.raises(Invalid) as caught:
        reopen(session, kari.agreement.id, {"channel": "pigeon"}, "agent:anne", NOW)
    assert caught.value.errors[0]["field"] == "contact.channel"
    first, _ = reopen(session, kari.agreement.id, CALLED, "agent:anne", NOW)
    again, already = reopen(session, kari.agreement.id, CALLED, "agent:bo", NOW + HOUR)
    assert (again.id, already, again.ended_by) == (first.id, True, "agent:anne")


def test_blocks_and_changes_at_once_happen_once(sessions: SessionFactory, session: Session, kari: SignedUp) -> None:
    one = kari.agreement.id
    made = at_once(sessions, [lambda s: block(s, {one: [5]}, NOW)] * 4)
    assert not [result for result in made if isinstance(result, Exception)]
    assert session.scalar(select(func.count()).select_from(Block)) == 1
    changed = at_once(sessions, [lambda s: apply(s, {one: 9}, NOW, "overdue", "system")] * 4)
    assert sum(len(result) for result in changed if isinstance(result, list)) == 1
    assert session.scalar(select(func.count()).where(StandingChange.standing == "blocked")) == 1
    assert [row[1] for row in told(session, one)].count("blocked") == 3


def test_bulk_in_any_order_at_once_does_not_deadlock(
    sessions: SessionFactory, session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    ids = [kari.agreement.id, ola.agreement.id]
    block(session, {one: [1] for one in ids}, NOW)
    session.commit()
    acts = [
        lambda s, order=order: apply(s, dict.fromkeys(order, 5), NOW, "overdue", "system")
        for order in (ids, ids[::-1]) * 3
    ]
    results = at_once(sessions, acts)
    assert not [result for result in results if isinstance(result, Exception)]
    changed = [one for result in results if isinstance(result, list) for one in result]
    assert sorted(one.agreement_id for one in changed) == sorted(ids)
    assert all(isinstance(one, StandingChanged) for one in changed)


def test_closing_from_now(session: Session, kari: SignedUp) -> None:
    vehicle = put(session, kari.agreement, at=NOW)
    closed = close_agreement(session, kari.agreement.id, at=NOW + HOUR, now=NOW + HOUR, actor="customer:1")
    assert (closed.already, closed.registrations_ended) == (False, 1)
    assert [one.after for one in closed.changed] == ["closed"]
    session.refresh(vehicle)
    assert vehicle.valid_to == NOW + HOUR
    assert standing(session, kari) == "closed"
    assert [row[1:] for row in told(session, kari.agreement.id)][3:] == [("ended", None, NOW + HOUR)] * 3
    again = close_agreement(session, kari.agreement.id, at=NOW + DAY, now=NOW + DAY, actor="customer:1")
    assert again.already
    assert session.scalar(select(func.count()).where(Message.template == "closed")) == 1
    # Closed stays closed, whatever is paid.
    assert apply(session, {kari.agreement.id: 0}, NOW + DAY, "paid", "bank") == []


def test_closing_from_a_later_day_is_reached_by_the_daily_job(session: Session, kari: SignedUp) -> None:
    put(session, kari.agreement, at=NOW)
    day = start_of_day(dt.date(2026, 3, 30))  # the day after the one with 23 hours
    closed = close(session, kari.agreement.id, at=day, now=NOW, actor="customer:1")
    assert (closed.changed, standing(session, kari)) == ([], "open")
    assert {row[3] for row in told(session, kari.agreement.id) if row[1] == "ended"} == {day}
    assert close_reached(session, day - dt.timedelta(microseconds=1)) == []
    (changed,) = close_reached(session, day + 5 * HOUR)
    assert changed.after == "closed"
    assert close_reached(session, day + DAY) == []
    last = queries.story(session, kari.agreement).changes[-1]
    assert (last.standing, last.at, last.reason) == ("closed", day, "closed")


def test_the_job_closes_all_whose_day_has_come(
    sessions: SessionFactory, settings: Settings, session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    for signed, days in ((kari, 1), (ola, 30)):
        close(session, signed.agreement.id, at=NOW + days * DAY, now=NOW, actor="a")
    move_clock(session, NOW + 2 * DAY, running=False)
    session.commit()
    ctx = JobContext(sessions, settings)
    assert job(ctx, NOW) == {"closed": 1}
    assert job(ctx, NOW) == {"closed": 0}
    assert (standing(session, kari), standing(session, ola)) == ("closed", "open")


def test_until_its_day_a_closing_agreement_can_be_blocked_and_takes_no_vehicle(
    session: Session, kari: SignedUp
) -> None:
    close(session, kari.agreement.id, at=NOW + 5 * DAY, now=NOW, actor="customer:1")
    with pytest.raises(Conflict):
        register(session, kari.agreement.id, "NO", "EL12345", valid_from=NOW, now=NOW, actor="customer:1")
    block(session, {kari.agreement.id: [1]}, NOW + DAY)
    (changed,) = apply(session, {kari.agreement.id: 5}, NOW + DAY, "overdue", "system")
    assert changed.after == "blocked"
    (changed,) = apply(session, {kari.agreement.id: 0}, NOW + 6 * DAY, "paid", "bank")
    assert (changed.after, queries.story(session, kari.agreement).changes[-1].reason) == ("closed", "closed")


def test_a_closing_moves_to_an_earlier_day_only(session: Session, kari: SignedUp) -> None:
    vehicle = put(session, kari.agreement)
    close(session, kari.agreement.id, at=NOW + 5 * DAY, now=NOW, actor="a")
    with pytest.raises(Conflict):
        close(session, kari.agreement.id, at=NOW + 6 * DAY, now=NOW, actor="a")
    assert close(session, kari.agreement.id, at=NOW + 5 * DAY, now=NOW, actor="a").already
    assert not close(session, kari.agreement.id, at=NOW + 2 * DAY, now=NOW, actor="a").already
    session.refresh(vehicle)
    assert vehicle.valid_to == NOW + 2 * DAY
    with pytest.raises(Invalid):
        close(session, kari.agreement.id, at=NOW - HOUR, now=NOW, actor="a")
    with pytest.raises(NotFound):
        close(session, 0, at=NOW, now=NOW, actor="a")


def test_a_vehicle_that_was_to_come_later_never_comes(session: Session, kari: SignedUp) -> None:
    later = put(session, kari.agreement, at=NOW + 5 * DAY)
    close(session, kari.agreement.id, at=NOW + DAY, now=NOW, actor="a")
    session.refresh(later)
    assert later.valid_from == later.valid_to == NOW + 5 * DAY


def test_closing_and_adding_a_vehicle_at_once_leaves_none_behind(
    sessions: SessionFactory, session: Session, kari: SignedUp
) -> None:
    def add(s: Session) -> object:
        return register(s, kari.agreement.id, "NO", "EL12345", valid_from=NOW, now=NOW, actor="a").registration

    def end(s: Session) -> object:
        return close(s, kari.agreement.id, at=NOW + HOUR, now=NOW, actor="a")

    added, ended = at_once(sessions, [add, end])
    assert isinstance(ended, Closed)
    assert isinstance(added, Conflict) or ended.registrations_ended == 1


def test_the_payment_method(session: Session, kari: SignedUp) -> None:
    row, already = set_payment_method(session, kari.agreement.id, "card", version=1)
    assert (row.payment_method, row.version, already) == ("card", 2, False)
    assert set_payment_method(session, kari.agreement.id, "card")[1]
    with pytest.raises(PreconditionFailed):
        set_payment_method(session, kari.agreement.id, "invoice", version=1)
    with pytest.raises(Invalid):
        set_payment_method(session, kari.agreement.id, "gold")
    with pytest.raises(NotFound):
        set_payment_method(session, 0, "card")
    close(session, kari.agreement.id, at=NOW, now=NOW, actor="a")
    with pytest.raises(Conflict):
        set_payment_method(session, kari.agreement.id, "invoice")
