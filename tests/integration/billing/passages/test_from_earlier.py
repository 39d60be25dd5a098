"""A registration from an earlier instant leaves no passage behind, whoever commits first."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements.additional import add_additional
from accounts.vehicles.additional import On
from accounts.vehicles.register import register
from accounts.vehicles.remove import remove
from accounts.vehicles.story import removals
from billing.passages import ingest
from billing.passages.balances import lock_query
from billing.passages.move import job, move
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road

LATER = NOW + 24 * HOUR
PLATE = "EV10001"


def come(session: Session, agreement: int, since: dt.datetime = PASSED) -> None:
    """Register the vehicle from an earlier instant."""
    given: dict[str, Any] = {"valid_from": since, "now": LATER, "actor": "agent:anne", "reason": "bought then"}
    assert not register(session, agreement, "NO", PLATE, **given).already


def go(session: Session, agreement: int, registration: int, ends_at: dt.datetime, now: dt.datetime = LATER) -> int:
    """Remove it; return the removal's id."""
    done = remove(session, agreement, registration, ends_at=ends_at, reason="sold", now=now, actor="agent:anne")
    assert done.removed.removal_id is not None
    return done.removed.removal_id


def left(road: Road, *, booked_on: int) -> int:
    """Have a passage on an agreement whose removal billing is to work through; return the removal's id."""
    registration = road.vehicle(booked_on)
    road.one(road.record(plate=PLATE, passed_at=PASSED + HOUR))
    return go(road.session, booked_on, registration, PASSED)


def where(road: Road) -> dict[int, int]:
    """Return what is unbilled by agreement, where it is not nothing."""
    road.session.expire_all()
    rows = road.ask("SELECT agreement_id, unbilled_ore FROM balances WHERE unbilled_ore <> 0")
    return {row[0]: row[1] for row in rows}


def run(road: Road, sessions: SessionFactory, settings: Settings) -> dict[str, int | str]:
    """Commit, and let billing work as the doorbell has it do."""
    move_clock(road.session, LATER, running=False)
    road.session.commit()
    return job(JobContext(sessions, settings), LATER)


def beside(sessions: SessionFactory, act: Callable[[Session], object]) -> threading.Thread:
    """Begin an act in a transaction of its own, and return when it waits for a lock."""

    def do() -> None:
        with sessions.begin() as session:
            act(session)

    thread = threading.Thread(target=do)
    thread.start()
    deadline = time.monotonic() + 10
    with sessions() as watching:
        while thread.is_alive() and time.monotonic() < deadline:
            if watching.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                break
            watching.rollback()
    return thread


def test_billing_commits_first(road: Road, sessions: SessionFactory, settings: Settings) -> None:
    """Billing has found nobody who has the vehicle; the registration comes before it commits, and waits."""
    seller, buyer = road.agreement(), road.agreement()
    removal = left(road, booked_on=seller)
    road.session.commit()
    assert move(road.session, removal, now=LATER) == 0
    coming = beside(sessions, lambda session: come(session, buyer))
    assert coming.is_alive(), "it must wait for what billing is about to say"
    road.session.commit()
    coming.join(10)
    assert run(road, sessions, settings) == {"removals": 1, "moved": 1}
    assert where(road) == {buyer: 2480}
    road.check_books()


@pytest.mark.parametrize("worked_through", [False, True])
def test_the_registration_commits_first(
    road: Road, sessions: SessionFactory, settings: Settings, worked_through: bool
) -> None:
    """Billing comes while the registration is not committed: it neither sees it nor may say that all is moved."""
    seller, buyer = road.agreement(), road.agreement()
    removal = left(road, booked_on=seller)
    if worked_through:
        assert move(road.session, removal, now=LATER) == 0
    road.session.commit()
    come(road.session, buyer)
    with sessions.begin() as other:
        assert move(other, removal, now=LATER) is None
    assert run(road, sessions, settings) == {"removals": 1, "moved": 1}
    assert where(road) == {buyer: 2480}
    road.check_books()


def test_a_batch_that_has_matched_and_not_locked_yet_matches_anew(
    road: Road, sessions: SessionFactory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody had the vehicle, so the last holder is to have the passage; before it is booked there somebody comes,
    and billing, which finds nothing there yet, is done."""
    seller, buyer = road.agreement(), road.agreement()
    removal = go(road.session, seller, road.vehicle(seller), PASSED)
    # The charger had not been told yet when the vehicle passed.
    assert move(road.session, removal, now=LATER) == 0
    road.session.commit()
    done: list[int | None] = []

    def meanwhile(*given: Any) -> int:
        if not done:
            with sessions.begin() as other:
                come(other, buyer)
            with sessions.begin() as other:
                done.append(move(other, removal, now=LATER))
        return lock_query(*given)

    monkeypatch.setattr(ingest, "lock_query", meanwhile)
    assert road.one(road.record(plate=PLATE, passed_at=PASSED + HOUR), now=LATER).code == "accepted"
    assert done == [0]
    run(road, sessions, settings)
    assert where(road) == {buyer: 2480}
    assert road.ask("SELECT flags & 4 FROM passages") == [(0,)]
    road.check_books()


def test_every_earlier_holder_is_looked_at_again(road: Road, sessions: SessionFactory, settings: Settings) -> None:
    first, second, buyer = road.agreement(), road.agreement(), road.agreement()
    removal = left(road, booked_on=first)
    assert move(road.session, removal, now=LATER) == 0
    registration = road.vehicle(second, since=NOW)
    road.one(road.record("B", plate=PLATE, passed_at=NOW + HOUR, amount=7), now=LATER)
    assert move(road.session, go(road.session, second, registration, NOW), now=LATER) == 0
    assert where(road) == {first: 2480, second: 7}
    come(road.session, buyer)
    assert run(road, sessions, settings) == {"removals": 2, "moved": 2}
    assert where(road) == {buyer: 2487}
    road.check_books()


def ferry(road: Road, name: str = "F", **more: Any) -> None:
    """A journey with the ferry."""
    fields = {"plate": PLATE, "station": "K1", "service": "ferry", **more}
    road.one(road.record(name, **fields), charger=road.ferry)


def test_what_a_ferry_agreement_kept_goes_to_who_has_the_vehicle(
    road: Road, sessions: SessionFactory, settings: Settings
) -> None:
    """Its removal left a journey there because nobody had the vehicle at all."""
    parent, buyer = road.agreement(), road.agreement()
    own = road.agreement(kind="ferry", operator="FJORD", parent_id=parent)
    registration = road.vehicle(own, scope="FJORD")
    ferry(road)
    assert move(road.session, go(road.session, own, registration, PASSED), now=LATER) == 0
    come(road.session, buyer)
    assert run(road, sessions, settings) == {"removals": 1, "moved": 1}
    assert where(road) == {buyer: 2480}
    road.check_books()


def add(session: Session, agreement: int, on: On, settlement: str = "own") -> int:
    """Make an additional agreement from PASSED; return the agreement it is on."""
    reference = "FK-7" if settlement == "external" else None
    done = add_additional(
        session, agreement, "FJORD", on, settlement=settlement, external_ref=reference, valid_from=PASSED, now=LATER,
        actor="agent:anne", reason="had it before",
    )  # fmt: skip
    assert not done.already
    return done.agreement.id


class TestAdditional:
    """Journeys of the operator booked since on the tag agreement move; everything else stays."""

    def journeys(self, road: Road, agreement: int, **more: Any) -> None:
        road.vehicle(agreement)
        ferry(road, "before", amount=1, passed_at=PASSED - HOUR, **more)
        ferry(road, "since", amount=10, **more)
        road.one(road.record("toll", amount=100, plate=PLATE))

    def test_to_the_ferry_agreement(self, road: Road, sessions: SessionFactory, settings: Settings) -> None:
        holder = road.agreement()
        self.journeys(road, holder)
        own = add(road.session, holder, On("NO", PLATE))
        assert run(road, sessions, settings) == {"removals": 1, "moved": 1}
        assert where(road) == {holder: 101, own: 10}
        assert road.ask("SELECT reason FROM reversals") == [("had it before",)]
        road.check_books()
        assert removals(road.session, [holder], 10) == [], "the vehicle was never removed"

    def test_elsewhere_it_is_reversed_and_only_shown(
        self, road: Road, sessions: SessionFactory, settings: Settings
    ) -> None:
        holder = road.agreement()
        self.journeys(road, holder)
        assert add(road.session, holder, On("NO", PLATE), "external") == holder
        assert run(road, sessions, settings) == {"removals": 1, "moved": 1}
        assert where(road) == {holder: 101}
        rows = "SELECT amount_ore, external, owed, reverses_id IS NOT NULL FROM passages WHERE source_id = 'since' "
        amended = "SELECT source_id, was_code, code, cause FROM amendments"
        assert road.ask(amended) == [("since", "accepted", "other_agreement", "moved")]
        assert road.ask(rows + "ORDER BY amount_ore, external") == [
            (-10, False, True, True), (10, False, True, False), (10, True, False, False),
        ]  # fmt: skip
        road.check_books()
        road.session.execute(text("UPDATE removals SET moved_at = NULL"))
        assert run(road, sessions, settings) == {"removals": 1, "moved": 0}

    @pytest.mark.parametrize("settlement", ["own", "external"])
    def test_on_a_tag(self, road: Road, sessions: SessionFactory, settings: Settings, settlement: str) -> None:
        holder = road.agreement()
        pan = road.tag(holder, 1, PLATE)
        self.journeys(road, holder, pan=pan)
        ferry(road, "without the tag", amount=1000)
        target = add(road.session, holder, On(pan=pan), settlement)
        run(road, sessions, settings)
        assert where(road) == {holder: 1101} | ({target: 10} if settlement == "own" else {})
        road.check_books()

    def test_from_who_had_the_vehicle_last(self, road: Road, sessions: SessionFactory, settings: Settings) -> None:
        """The tag agreement's vehicle was removed, and nobody had it when it sailed."""
        holder = road.agreement()
        registration = road.vehicle(holder)
        ferry(road)
        assert move(road.session, go(road.session, holder, registration, PASSED - HOUR), now=LATER) == 0
        own = add(road.session, holder, On("NO", PLATE))
        assert run(road, sessions, settings) == {"removals": 1, "moved": 1}
        assert where(road) == {own: 2480}
        road.check_books()

    def test_from_now_on_nothing_moves(self, road: Road, sessions: SessionFactory, settings: Settings) -> None:
        holder = road.agreement()
        self.journeys(road, holder)
        add_additional(
            road.session, holder, "FJORD", On("NO", PLATE), settlement="own", valid_from=LATER, now=LATER, actor="a"
        )
        assert run(road, sessions, settings) == {"removals": 0, "moved": 0}
        assert where(road) == {holder: 111}

    @pytest.mark.parametrize("settlement", ["own", "external"])
    def test_a_batch_that_has_matched_and_not_locked_yet_matches_anew(
        self,
        road: Road,
        sessions: SessionFactory,
        settings: Settings,
        monkeypatch: pytest.MonkeyPatch,
        settlement: str,
    ) -> None:
        holder = road.agreement()
        road.vehicle(holder)
        move_clock(road.session, LATER, running=False)
        road.session.commit()
        done: list[int | None] = []

        def meanwhile(*given: Any) -> int:
            if not done:
                with sessions.begin() as other:
                    done.append(add(other, holder, On("NO", PLATE), settlement))
                job(JobContext(sessions, settings), LATER)
            return lock_query(*given)

        monkeypatch.setattr(ingest, "lock_query", meanwhile)
        ferry(road)
        run(road, sessions, settings)
        assert where(road) == ({done[0]: 2480} if settlement == "own" else {})
        road.check_books()
