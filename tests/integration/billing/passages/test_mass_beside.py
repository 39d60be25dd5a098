"""Mass corrections beside all else: what a charger corrects, what is moved and credited, in any order and at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from billing.passages.credit import credit
from billing.passages.mass.carry_out import carry_out_chunk
from billing.passages.mass.models import MassCorrection
from billing.passages.mass.preview import confirm, undo
from billing.passages.move import move
from billing.passages.rules import Cancel
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road, at_once
from tests.integration.billing.passages.test_mass import DAY, agrees, corrected, owed, shown, sums, through, two, undone

__all__ = ["two"]


@pytest.mark.parametrize("bearer", ["charger", "us"])
@pytest.mark.parametrize("cancelled", ["before", "after"])
def test_the_charger_cancels_one(road: Road, two: tuple[int, int], bearer: str, cancelled: str) -> None:
    """Before the undoing it stays taken back; after it the copy is found. The charger is owed nothing of it."""
    row = corrected(road, bearer=bearer)
    word: Any = Cancel(id="X", action="cancel", original="1-a", version=1)
    if cancelled == "before":
        road.send([word], now=NOW + DAY)
        agrees(road)
    back = undone(road, row)
    if cancelled == "after":
        assert (back.done, back.skipped) == (4, 0)
        road.send([word], now=NOW + 3 * DAY)
    else:
        assert (back.done, back.skipped) == (3, 1)
    assert sums(road) == {two[0]: 230, two[1]: 1230}
    assert owed(road) == 1460
    agrees(road)


@pytest.mark.parametrize("bearer", ["charger", "us"])
def test_the_charger_adjusts_one_meanwhile(road: Road, two: tuple[int, int], bearer: str) -> None:
    row = corrected(road, bearer=bearer)
    better = road.record("X", plate="EV10001", amount=77, action="adjust", original="1-a", version=1)
    road.send([better], now=NOW + DAY)
    agrees(road)
    back = undone(road, row)
    assert (back.done, back.skipped) == (3, 1)
    assert sums(road) == {two[0]: 230 + 77, two[1]: 1230}
    assert owed(road) == 1460 + 77
    agrees(road)


@pytest.mark.parametrize("bearer", ["charger", "us"])
def test_a_copy_is_credited_and_moved_as_any_passage(road: Road, two: tuple[int, int], bearer: str) -> None:
    undone(road, corrected(road, bearer=bearer))
    copies = [row[0] for row in road.ask("SELECT replaced_by FROM reversals ORDER BY passage_id")]
    credit(road.session, two[1], copies[2], reason="kind", actor="agent:kari", now=NOW + 3 * DAY)
    ((registration,),) = road.ask("SELECT id FROM registrations WHERE plate = 'EV10001'")
    removal = road.remove(registration, PASSED - HOUR, at=NOW + 3 * DAY)
    buyer = road.agreement()
    road.vehicle(buyer, "EV10001", since=PASSED - HOUR)
    assert move(road.session, removal, now=NOW + 4 * DAY) == 3
    assert sums(road) == {two[1]: 230, buyer: 1230}
    assert owed(road) == 2460
    agrees(road)


def test_a_copy_of_a_vehicle_removed_meanwhile_is_moved(road: Road, two: tuple[int, int]) -> None:
    row = corrected(road)
    ((registration,),) = road.ask("SELECT id FROM registrations WHERE plate = 'EV10001'")
    removal = road.remove(registration, PASSED - HOUR, at=NOW + DAY)
    buyer = road.agreement()
    road.vehicle(buyer, "EV10001", since=PASSED - HOUR)
    assert move(road.session, removal, now=NOW + DAY) == 1  # at S2
    undone(road, row)
    assert road.ask("SELECT moved_at FROM removals") == [(None,)]
    road.session.expire_all()
    assert move(road.session, removal, now=NOW + 4 * DAY) == 2
    assert sums(road) == {two[1]: 1230, buyer: 1230}
    agrees(road)


@pytest.mark.parametrize("bearer", ["charger", "us"])
@pytest.mark.parametrize("undoing", [False, True])
def test_cancellations_at_the_same_time(road: Road, two: tuple[int, int], bearer: str, undoing: bool) -> None:
    """Chunks of one passage beside cancellations of each: whoever comes first, nothing is taken back twice."""
    row = shown(road, bearer=bearer)
    confirm(road.session, row.id, row.digest, actor="a", now=NOW + HOUR)
    if undoing:
        through(road, row, NOW + HOUR)
        row = undo(road.session, row.id, reason="right", actor="a", now=NOW + DAY)
    number = row.id
    road.session.commit()
    engine, toll, ferry = road.session.get_bind(), road.toll, road.ferry
    road.session.expunge_all()

    def carry_out() -> None:
        with Session(engine) as session:
            while carry_out_chunk(session, number, now=NOW + 2 * DAY, limit=1):
                session.commit()
            session.commit()

    def cancel() -> None:
        with Session(engine) as session:
            other = Road(session, toll, ferry)
            for original in ("2-b", "1-a", "2-a", "1-b"):
                word: Any = Cancel(id=f"X-{original}", action="cancel", original=original, version=1)
                other.send([word], now=NOW + 2 * DAY)
                session.commit()

    at_once(carry_out, cancel)
    assert (sums(road), owed(road)) == (dict.fromkeys(two, 30), 60)
    agrees(road)


STEPS = st.lists(
    st.sampled_from(["charger", "us", "undo", "cancel-1-a", "cancel-2-b", "adjust-1-a", "adjust-2-a", "credit"]),
    min_size=1, max_size=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_the_books_agree(road: Road, two: tuple[int, int], steps: list[str]) -> None:
    """And nobody pays twice: what is unbilled and owed is at most what each record says."""
    with road.session.begin_nested() as attempt:
        now, done = NOW + HOUR, list[MassCorrection]()
        for number, step in enumerate(steps, 1):
            now += DAY
            _step(road, two, step, number, now, done)
            agrees(road)
        twice = road.ask(
            "SELECT source_id, sum(amount_ore) FROM passages GROUP BY 1 HAVING sum(amount_ore) < 0 "
            "OR sum(amount_ore) > max(amount_ore) UNION ALL "
            "SELECT source_id, sum(amount_ore) FROM passages WHERE owed GROUP BY 1 HAVING sum(amount_ore) < 0 "
            "OR sum(amount_ore) > max(amount_ore)"
        )
        assert twice == []
        attempt.rollback()
    road.session.expire_all()


def _step(
    road: Road, two: tuple[int, int], step: str, number: int, now: dt.datetime, done: list[MassCorrection]
) -> None:
    word, _, original = step.partition("-")
    if word in ("charger", "us"):
        row = shown(road, now, bearer=word)
        if row.passages:
            confirm(road.session, row.id, row.digest, actor="a", now=now)
            done.append(through(road, row, now))
    elif word == "undo":
        if done:
            undone(road, done[-1], now)
    elif word == "cancel":
        message: Any = Cancel(id=f"X{number}", action="cancel", original=original, version=number)
        road.send([message], now=now)
    elif word == "adjust":
        better = road.record(
            f"X{number}", plate="EV10002", amount=7, action="adjust", original=original, version=number
        )
        road.send([better], now=now)
    else:
        live = road.ask(
            "SELECT p.id FROM passages AS p WHERE p.agreement_id = :a AND p.reverses_id IS NULL "
            "AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id) ORDER BY 1 LIMIT 1",
            a=two[0],
        )
        if live:
            credit(road.session, two[0], live[0][0], reason="kind", actor="a", now=now)
