"""Mass corrections and second reads: what the charger bears stands in its lane no more, and comes back at most once."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from accounts.chargers.oddities import keep_oddities
from billing.passages.mass.carry_out import carry_out_chunk
from billing.passages.mass.models import MassCorrection
from billing.passages.mass.preview import confirm, undo
from billing.roadside.contest import contest
from config.database import SessionFactory
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road, at_once, pan
from tests.integration.billing.passages.test_corrections import cancel
from tests.integration.billing.passages.test_doubles import holder, read, settle, settled
from tests.integration.billing.passages.test_mass import DAY, agrees, corrected, owed, shown, sums, undone

__all__ = ["holder"]

THEN = NOW + DAY
"""Between a correction and its undoing."""

LIVE = (
    "SELECT p.source_id FROM passages AS p WHERE p.reverses_id IS NULL "
    "AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id)"
)
"""The reads that are charged."""


def stand(road: Road) -> list[str]:
    return [name for (name,) in road.ask("SELECT source_id FROM lane_reads WHERE stands ORDER BY 1")]


def accepted_all_the_same(road: Road, name: str) -> None:
    done = contest(road.session, road.toll, name, reason="two vehicles", actor="agent:kari", now=NOW, double=True)
    assert done.code == "accepted"


def test_what_the_charger_bears_is_sent_anew(road: Road, holder: int) -> None:
    road.send([read(road, "A", 0), read(road, "Z", 60)])
    corrected(road, plate="EV10001")
    assert (stand(road), sums(road)) == ([], {})
    said = road.send([read(road, "A2", 0, amount=2000), read(road, "A3", 1, amount=2000)], now=THEN)
    assert [(one.code, one.detail) for one in said] == [("accepted", None), ("double_read", "the same passing as A2")]
    assert (stand(road), sums(road), owed(road)) == (["A2"], {holder: 2000}, 2000)
    settled(road)
    agrees(road)


def test_what_we_bear_is_the_passing_still(road: Road, holder: int) -> None:
    """The charger is paid for it: the same passing under another id would be paid twice."""
    road.send([read(road, "A", 0)])
    row = corrected(road, bearer="us")
    assert road.one(read(road, "A2", 0), now=THEN).detail == "the same passing as A"
    assert undone(road, row).done == 1
    assert (stand(road), owed(road)) == (["A"], 2480)
    settled(road)


def test_its_refused_doubles_are_not_decided_anew(road: Road, holder: int) -> None:
    """They are of the faulty station too; their charger may contest them."""
    road.send([read(road, "A", 0), read(road, "B", 3)])
    row = corrected(road)
    settle(road, THEN)
    assert sums(road) == {}
    road.one(cancel("C", "A"), now=THEN)
    settle(road, THEN)
    assert sums(road) == {}
    assert road.ask("SELECT code FROM records WHERE source_id = 'B'") == [("double_read",)]
    assert (undone(road, row).done, sums(road)) == (0, {})
    agrees(road)


def test_undone_it_stands_again(road: Road, holder: int) -> None:
    road.send([read(road, "A", 0), read(road, "B", 3), read(road, "Z", 60)])
    back = undone(road, corrected(road))
    assert (back.done, back.skipped, stand(road)) == (2, 0, ["A", "Z"])
    assert road.one(read(road, "A2", 0), now=NOW + 3 * DAY).detail == "the same passing as A"
    assert sums(road) == {holder: 2 * 2480}
    settled(road)
    again = corrected(road, NOW + 4 * DAY)
    assert (again.done, stand(road)) == (2, [])
    agrees(road)


@pytest.mark.parametrize(("seconds", "more"), [(0, {}), (10, {}), (-10, {}), (3, {"plate": "EV10001", "amount": 2000})])
def test_what_was_sent_anew_is_not_charged_twice_by_the_undoing(
    road: Road, holder: int, seconds: int, more: dict[str, object]
) -> None:
    road.send([read(road, "A", 0), read(road, "Z", 60)])
    row = corrected(road)
    assert road.one(read(road, "A2", seconds, **more), now=THEN).code == "accepted"
    back = undone(road, row)
    assert (back.passages, back.done, back.done_ore, back.skipped) == (2, 1, 2480, 1)
    assert stand(road) == ["A2", "Z"]
    assert sums(road) == {holder: 2480 + int(str(more.get("amount", 2480)))}
    settled(road)
    agrees(road)


@pytest.mark.parametrize("more", [{"passed": 11}, {"lane": "2"}, {"plate": "EV10002"}, {"lane": None}])
def test_another_passing_keeps_none_from_coming_back(road: Road, holder: int, more: dict[str, object]) -> None:
    road.vehicle(holder, "EV10002")
    road.send([read(road, "A", 0)])
    row = corrected(road)
    seconds = int(str(more.pop("passed", 0)))
    assert road.one(read(road, "A2", seconds, **more), now=THEN).code == "accepted"
    assert (undone(road, row).skipped, sums(road)) == (0, {holder: 2 * 2480})
    agrees(road)


def test_what_was_sent_anew_and_cancelled_does_not_either(road: Road, holder: int) -> None:
    road.send([read(road, "A", 0)])
    row = corrected(road)
    road.send([read(road, "A2", 0), cancel("C", "A2")], now=THEN)
    assert (undone(road, row).done, stand(road), sums(road)) == (1, ["A"], {holder: 2480})
    settled(road)
    agrees(road)


def test_of_two_corrections_only_one_comes_back(road: Road, holder: int) -> None:
    road.send([read(road, "A", 0)])
    first = corrected(road)
    road.one(read(road, "A2", 0, amount=2000), now=THEN)
    second = corrected(road, THEN + HOUR)
    assert undone(road, first).done == 1
    assert undone(road, second, NOW + 3 * DAY).skipped == 1
    assert (stand(road), sums(road)) == (["A"], {holder: 2480})
    settled(road)
    agrees(road)


@pytest.mark.parametrize("late", [False, True])
def test_flagged_doubles_come_back_but_do_not_stand(road: Road, holder: int, late: bool) -> None:
    """The second finds the first standing, which came back in the chunk before; one sent anew keeps both out."""
    keep_oddities(road.session, road.toll, {"double_read": True})
    road.send([read(road, "A", 0), read(road, "B", 3)])
    row = corrected(road)
    if late:
        road.one(read(road, "A2", 0), now=THEN)
    back = undo(road.session, row.id, reason="right", actor="a", now=NOW + 2 * DAY)
    while carry_out_chunk(road.session, back.id, now=NOW + 2 * DAY + back.chunks * HOUR, limit=1):
        pass
    assert (back.done, back.skipped) == ((0, 2) if late else (2, 0))
    assert stand(road) == (["A2"] if late else ["A"])
    assert sums(road) == {holder: 2480 if late else 2 * 2480}
    settled(road)


def test_a_passing_of_its_own_comes_back_beside_the_other(road: Road, holder: int) -> None:
    """As a person said: the second is not kept out by the first, which came back in the chunk before."""
    road.send([read(road, "A", 0), read(road, "B", 3)])
    accepted_all_the_same(road, "B")
    row = corrected(road)
    assert stand(road) == []
    back = undo(road.session, row.id, reason="right", actor="a", now=NOW + 2 * DAY)
    while carry_out_chunk(road.session, back.id, now=NOW + 2 * DAY + back.chunks * HOUR, limit=1):
        pass
    assert (back.done, stand(road), sums(road)) == (2, ["A", "B"], {holder: 2 * 2480})
    settled(road)
    agrees(road)


@pytest.mark.parametrize("accepted", [False, True])
def test_of_two_corrections_of_doubles_only_one_comes_back(road: Road, holder: int, accepted: bool) -> None:
    """What was taken back before the second was sent anew is no reason for the second to come back beside it."""
    keep_oddities(road.session, road.toll, {"double_read": accepted})

    def sent(first: str, second: str, now: dt.datetime) -> None:
        road.send([read(road, first, 0), read(road, second, 3)], now=now)
        if not accepted:
            accepted_all_the_same(road, second)
        assert sums(road) == {holder: 2 * 2480}

    sent("A", "B", NOW)
    one = corrected(road)
    sent("A2", "B2", THEN)
    other = corrected(road, THEN + HOUR)
    undone(road, one, NOW + 2 * DAY)
    undone(road, other, NOW + 3 * DAY)
    assert sums(road) == {holder: 2 * 2480}
    assert {name for (name,) in road.ask(LIVE)} == {"A", "B"}
    agrees(road)


STEPS = st.lists(
    st.sampled_from(["send-0", "send-5", "send-5", "send-12", "mass", "mass", "us", "undo", "undo", "cancel"]),
    min_size=3, max_size=9,
)  # fmt: skip


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_nobody_pays_a_passing_twice(road: Road, holder: int, steps: list[str]) -> None:
    """What is charged stands in its lane; of what stands no two are near, and only what we bore is not charged."""
    with road.session.begin_nested() as attempt:
        now, done = NOW, list[MassCorrection]()
        for number, step in enumerate(steps, 1):
            now += DAY
            word, _, seconds = step.partition("-")
            if word == "send":
                road.one(read(road, f"R{number}", int(seconds)), now=now)
            elif word == "cancel" and (standing := stand(road)):
                road.one(cancel(f"C{number}", standing[0]), now=now)
            elif word == "undo" and done:
                undone(road, done.pop(), now)
            elif word in ("mass", "us") and road.ask(f"{LIVE} LIMIT 1"):
                done.append(corrected(road, now, bearer="us" if word == "us" else "charger"))
            settle(road, now)
            near = "l.source_id < k.source_id AND abs(extract(epoch FROM l.passed_at - k.passed_at)) <= 10"
            assert road.ask(f"SELECT 1 FROM lane_reads k JOIN lane_reads l ON {near} WHERE k.stands AND l.stands") == []
            charged = {name for (name,) in road.ask(LIVE)}
            paid = {name for (name,) in road.ask("SELECT source_id FROM passages GROUP BY 1 "
                                                 "HAVING sum(amount_ore) FILTER (WHERE owed) > 0")}  # fmt: skip
            assert charged <= set(stand(road)) == paid
            agrees(road)
        attempt.rollback()
    road.session.expire_all()


@pytest.mark.parametrize("undoing", [False, True])
def test_sent_anew_at_the_same_time(road: Road, holder: int, undoing: bool) -> None:
    """Whoever comes first: each passing is paid once at most, and what is not taken is said."""
    road.send([read(road, f"A{number}", 60 * number) for number in range(6)])
    row = shown(road)
    confirm(road.session, row.id, row.digest, actor="a", now=NOW + HOUR)
    if undoing:
        while carry_out_chunk(road.session, row.id, now=NOW + HOUR):
            pass
        row = undo(road.session, row.id, reason="right", actor="a", now=THEN)
    number = row.id
    road.session.commit()
    engine, toll, ferry = road.session.get_bind(), road.toll, road.ferry
    road.session.expunge_all()

    def carry_out() -> None:
        with Session(engine) as session:
            while carry_out_chunk(session, number, now=NOW + 2 * DAY, limit=1):
                session.commit()
            session.commit()

    def send() -> None:
        with Session(engine) as session:
            other = Road(session, toll, ferry)
            for passing in (5, 0, 4, 1, 3, 2):
                other.send([read(other, f"N{passing}", 60 * passing + 1)], now=NOW + 2 * DAY)
                session.commit()

    at_once(carry_out, send)
    settle(road, NOW + 2 * DAY)
    paid = len(stand(road))
    assert paid == 6 if undoing else paid <= 6
    road.session.expire_all()
    assert sums(road) == ({holder: paid * 2480} if paid else {})
    if undoing:  # else there may be refused second reads of what was taken back thereafter
        settled(road)
    agrees(road)


def test_the_undoing_of_a_ferry_passing_by_tag_sees_its_camera_read(road: Road, sessions: SessionFactory) -> None:
    """The tag leads to the additional agreement and the plate to the tag agreement: sent anew at that moment, by plate,
    it waits for what comes back on the other, and one of them is paid."""
    own, child = road.on_a_ferry()
    one = {"station": "K1", "service": "ferry", "lane": "1"}
    assert road.one(road.record("TAG", pan=pan(1), **one), charger=road.ferry).code == "accepted"
    row = corrected(road, charger="FJORD", stations=["K1"])
    assert sums(road) == {}
    row = undo(road.session, row.id, reason="right", actor="a", now=THEN)
    number, toll, ferry = row.id, road.toll, road.ferry
    road.session.commit()
    with ThreadPoolExecutor(1) as other, sessions() as undoing, sessions() as sending:
        assert carry_out_chunk(undoing, number, now=THEN)
        again = Road(sending, toll, ferry).one
        camera = road.record("CAM", plate="EV10001", passed_at=PASSED + dt.timedelta(seconds=2), **one)
        waiting = other.submit(again, camera, charger=ferry, now=THEN)
        while not road.ask("SELECT FROM pg_locks WHERE NOT granted"):
            assert not waiting.done()
        undoing.commit()
        assert waiting.result().code == "double_read"
        sending.commit()
    assert sums(road) == {child: 2480}
    assert own not in sums(road)
    agrees(road)
