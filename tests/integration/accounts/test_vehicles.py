"""Vehicles on agreements: coming, going, and who wins when two want the same."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from accounts.customers.sign_up import SignedUp
from accounts.vehicles.models import Registration, Removal
from accounts.vehicles.register import Registered, register
from accounts.vehicles.remove import Removals, remove
from config.clock import start_of_day
from config.database import SessionFactory
from config.problems import Conflict, Invalid, NotFound
from tests.integration.accounts.conftest import DAY, HOUR, NOW, at_once, put, told


def take_off(
    session: Session, row: Registration, at: dt.datetime, now: dt.datetime, reason: str | None = None
) -> Removals:
    return remove(session, row.agreement_id, row.id, ends_at=at, reason=reason, now=now, actor="test")


def bells(session: Session) -> int:
    count = session.scalar(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'move_passages'"))
    return int(count or 0)


def test_a_vehicle_is_kept_as_we_key_it(session: Session, kari: SignedUp) -> None:
    made = register(session, kari.agreement.id, "no", " el 123-45", valid_from=NOW, now=NOW, actor="a")
    row = made.registration
    assert (row.country, row.plate, row.scope, row.settlement, row.valid_to) == ("NO", "EL12345", "", "own", None)
    again = register(session, kari.agreement.id, "NO", "EL12345", valid_from=NOW + HOUR, now=NOW, actor="a")
    assert (again.already, again.registration.id) == (True, row.id)


def test_what_is_wrong_is_said_by_field(session: Session, kari: SignedUp) -> None:
    with pytest.raises(Invalid) as caught:
        register(session, kari.agreement.id, "NOR", "\x07", valid_from=NOW, now=NOW, actor="a")
    assert {error["field"] for error in caught.value.errors} == {"country", "plate"}
    with pytest.raises(NotFound):
        register(session, 0, "NO", "EL12345", valid_from=NOW, now=NOW, actor="a")


def test_one_agreement_at_a_time_and_not_told_whose(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    put(session, kari.agreement)
    with pytest.raises(Conflict) as caught:
        register(session, ola.agreement.id, "NO", "EL12345", valid_from=NOW, now=NOW, actor="a")
    assert caught.value.type == "/problems/on-another-agreement"
    said = str(caught.value.as_dict())
    assert "Kari" not in said
    assert str(kari.agreement.number) not in said
    # The session is still usable, and the same plate of another country is another vehicle.
    assert not register(session, ola.agreement.id, "SE", "EL12345", valid_from=NOW, now=NOW, actor="a").already


def test_a_vehicle_comes_when_the_other_has_let_go(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    row = put(session, kari.agreement)
    take_off(session, row, NOW + DAY, NOW)
    with pytest.raises(Conflict):
        register(session, ola.agreement.id, "NO", "EL12345", valid_from=NOW + DAY - HOUR, now=NOW, actor="a")
    made = register(session, ola.agreement.id, "NO", "EL12345", valid_from=NOW + DAY, now=NOW, actor="a")
    assert made.registration.valid_from == NOW + DAY


def test_of_two_who_want_the_same_vehicle_exactly_one_gets_it(
    sessions: SessionFactory, session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    for plate in ("AA10001", "AA10002", "AA10003"):
        acts = [
            lambda s, one=one, plate=plate: register(s, one, "NO", plate, valid_from=NOW, now=NOW, actor="a")
            for one in (kari.agreement.id, ola.agreement.id) * 2
        ]
        results = at_once(sessions, acts)
        won = [result for result in results if isinstance(result, Registered)]
        lost = [result for result in results if isinstance(result, Conflict)]
        assert (len(won), len(lost)) == (2, 2), results  # the winner's second try is "already"
        assert sorted(result.already for result in won) == [False, True]
        assert len({result.registration.id for result in won}) == 1
        assert session.scalar(select(func.count()).where(Registration.plate == plate)) == 1


def test_removal_from_now_is_told_recorded_and_rung(session: Session, kari: SignedUp) -> None:
    row = put(session, kari.agreement)
    done = take_off(session, row, NOW + HOUR, NOW + HOUR)
    assert (done.removed.already, done.removed.registration.valid_to, list(done.still)) == (False, NOW + HOUR, [])
    removal = session.scalars(select(Removal)).one()
    assert (removal.id, removal.ends_at, removal.requested_at) == (done.removed.removal_id, NOW + HOUR, NOW + HOUR)
    assert (removal.actor, removal.moved_at, removal.agreement_id) == ("test", None, kari.agreement.id)
    assert told(session, kari.agreement.id)[3:] == [
        (code, "removed", row.id, NOW + HOUR) for code in ("FJELL", "KYST", "FJORD")
    ]
    assert bells(session) == 1


def test_removal_again_is_a_result(session: Session, kari: SignedUp) -> None:
    row = put(session, kari.agreement)
    take_off(session, row, NOW + HOUR, NOW + HOUR)
    again = take_off(session, row, NOW + DAY, NOW + DAY)
    assert (again.removed.already, again.removed.removal_id) == (True, None)
    assert again.removed.registration.valid_to == NOW + HOUR
    assert session.scalar(select(func.count()).select_from(Removal)) == 1
    assert len(told(session, kari.agreement.id)) == 6


def test_removal_from_an_earlier_instant_needs_a_reason_and_is_told_as_of_now(session: Session, kari: SignedUp) -> None:
    row = put(session, kari.agreement)
    later = NOW + 20 * DAY
    with pytest.raises(Invalid):
        take_off(session, row, NOW + DAY, later)
    done = take_off(session, row, NOW + DAY, later, "sold; papers seen")
    assert done.removed.registration.valid_to == NOW + DAY
    assert session.scalars(select(Removal.reason)).one() == "sold; papers seen"
    # Nobody can have been told before: what was driven until now was driven on a valid list.
    assert {entry[3] for entry in told(session, kari.agreement.id)[3:]} == {later}


def test_an_end_moves_to_an_earlier_instant_only_and_each_time_is_recorded(session: Session, kari: SignedUp) -> None:
    row = put(session, kari.agreement)
    take_off(session, row, NOW + 9 * DAY, NOW)
    assert take_off(session, row, NOW + 10 * DAY, NOW).removed.already
    assert not take_off(session, row, NOW + 5 * DAY, NOW).removed.already
    assert not take_off(session, row, NOW + 2 * DAY, NOW + 20 * DAY, "sold").removed.already
    assert row.valid_to == NOW + 2 * DAY
    assert session.scalar(select(func.count()).select_from(Removal)) == 3


def test_an_end_before_the_beginning_is_the_beginning(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    row = put(session, kari.agreement, at=NOW + 5 * DAY)
    done = take_off(session, row, NOW, NOW)
    assert done.removed.registration.valid_to == row.valid_from
    assert not register(session, ola.agreement.id, "NO", "EL12345", valid_from=NOW, now=NOW, actor="a").already


def test_from_now_twice_at_once_is_done_once(sessions: SessionFactory, session: Session, kari: SignedUp) -> None:
    row = put(session, kari.agreement)
    acts = [
        # As two requests would: each with its own reading of the clock, and no order between them.
        lambda s, at=NOW + step * dt.timedelta(milliseconds=1): remove(
            s, row.agreement_id, row.id, ends_at=at, reason=None, now=at, actor="a"
        )
        for step in (4, 3, 2, 1)
    ]
    results = at_once(sessions, acts)
    done = [result for result in results if isinstance(result, Removals)]
    assert len(done) == 4
    assert sorted(result.removed.already for result in done) == [False, True, True, True]
    assert session.scalar(select(func.count()).select_from(Removal)) == 1


def test_only_what_is_on_the_agreement_can_be_removed_from_it(session: Session, kari: SignedUp, ola: SignedUp) -> None:
    row = put(session, kari.agreement)
    with pytest.raises(NotFound):
        remove(session, ola.agreement.id, row.id, ends_at=NOW, reason=None, now=NOW, actor="a")
    with pytest.raises(Invalid):
        remove(session, row.agreement_id, row.id, ends_at=NOW, reason=None, also=[row.id], now=NOW, actor="a")


@pytest.mark.parametrize("day", [dt.date(2026, 3, 29), dt.date(2026, 10, 25)])
def test_the_last_day_of_the_old_holder_has_23_or_25_hours(
    session: Session, kari: SignedUp, ola: SignedUp, day: dt.date
) -> None:
    row = put(session, kari.agreement)
    end = start_of_day(day + dt.timedelta(days=1))
    take_off(session, row, end, NOW)
    with pytest.raises(Conflict):
        register(
            session, ola.agreement.id, "NO", "EL12345", valid_from=end - dt.timedelta(seconds=1), now=NOW, actor="a"
        )
    assert not register(session, ola.agreement.id, "NO", "EL12345", valid_from=end, now=NOW, actor="a").already


def test_who_comes_later_but_from_earlier_has_passages_looked_at_again(
    session: Session, kari: SignedUp, ola: SignedUp
) -> None:
    row = put(session, kari.agreement)
    done = take_off(session, row, NOW + DAY, NOW + DAY)
    session.execute(text("UPDATE removals SET moved_at = :at"), {"at": NOW + DAY})
    session.execute(text("DELETE FROM procrastinate_jobs"))
    session.commit()
    late: dict[str, Any] = {"valid_from": NOW + DAY, "now": NOW + 9 * DAY, "actor": "agent:anne"}
    with pytest.raises(Invalid):
        register(session, ola.agreement.id, "NO", "EL12345", **late)
    register(session, ola.agreement.id, "NO", "EL12345", **late, reason="bought that day")
    waiting = session.scalars(select(Removal.id).where(Removal.moved_at.is_(None))).all()
    assert waiting == [done.removed.removal_id]
    assert bells(session) == 1


def test_who_comes_while_billing_moves_passages_has_them_looked_at_again(
    session: Session, sessions: SessionFactory, kari: SignedUp, ola: SignedUp
) -> None:
    done = take_off(session, put(session, kari.agreement), NOW + DAY, NOW + DAY)
    session.commit()
    late: dict[str, Any] = {"valid_from": NOW + DAY, "now": NOW + 9 * DAY, "actor": "agent:anne", "reason": "bought"}

    def come() -> None:
        with sessions.begin() as other:
            register(other, ola.agreement.id, "NO", "EL12345", **late)

    # Billing has looked who has the vehicle, found nobody, and has not committed yet.
    session.execute(text("UPDATE removals SET moved_at = :at"), {"at": NOW + DAY})
    coming = threading.Thread(target=come)
    coming.start()
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 10
    with sessions() as watching:
        while not watching.scalar(waits) and coming.is_alive() and time.monotonic() < deadline:
            watching.rollback()
    session.commit()
    coming.join(10)
    assert not coming.is_alive()
    waiting = session.scalars(select(Removal.id).where(Removal.moved_at.is_(None))).all()
    assert waiting == [done.removed.removal_id]
    assert bells(session) == 1
