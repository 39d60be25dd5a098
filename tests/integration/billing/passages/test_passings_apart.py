"""A person's word that two reads near each other are two passings: it holds whatever becomes of either."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from accounts.chargers.oddities import keep_oddities
from billing.passages.mass.preview import undo
from migrations.run import migrate
from tests.integration.billing.passages.conftest import NOW, Road, pan
from tests.integration.billing.passages.test_corrections import adjust, agrees, cancel, sums
from tests.integration.billing.passages.test_doubles import amended, decided, holder, read, settle, settled
from tests.integration.billing.passages.test_mass import DAY, corrected, through, undone
from tests.integration.billing.passages.test_mass_lanes import stand

__all__ = ["holder"]


@pytest.fixture
def two(road: Road, holder: int) -> int:
    """A and, two seconds later, B, which a person says is another passing. Returns who pays for both."""
    road.send([read(road, "A", 0), read(road, "B", 2)])
    assert decided(road, "B", double=True)[0] == "accepted"
    assert sums(road) == {holder: 2 * 2480}
    return holder


def test_a_double_stays_one_unless_the_agent_says_otherwise(road: Road, holder: int) -> None:
    road.send([read(road, "A", 0), read(road, "B", 2)])
    assert decided(road, "B") == ("double_read", "the same passing as A")
    assert amended(road) == []
    assert decided(road, "B", any_age=True)[0] == "double_read"
    assert decided(road, "B", double=True)[0] == "accepted"
    assert road.ask("SELECT flags & 2048 FROM records WHERE source_id = 'B'") == [(2048,)]
    assert sums(road) == {holder: 2 * 2480}
    assert road.ask("SELECT count(*) FROM double_reads") == [(0,)]
    settled(road)
    agrees(road)


def test_what_a_person_says_is_a_passing_stands(road: Road, holder: int) -> None:
    """Also when the first read is taken back: a third one within seconds is not paid beside it."""
    road.send([read(road, "A", 0), read(road, "B", 2)])
    assert decided(road, "B", double=True)[0] == "accepted"
    road.one(cancel("C", "A"))
    settle(road)
    assert road.one(read(road, "D", 4)).detail == "the same passing as B"
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


@pytest.mark.parametrize("which", ["A", "B"])
@pytest.mark.parametrize("lane", ["1", None])
def test_nor_does_adjusting_either_undo_that(road: Road, holder: int, which: str, lane: str | None) -> None:
    road.send([read(road, "A", 0), read(road, "B", 2)])
    assert decided(road, "B", double=True)[0] == "accepted"
    for version, name, of in ((1, "X", which), (2, "Y", which), (1, "Z", "A" if which == "B" else "B")):
        assert road.one(adjust(road, name, of, version, amount=1000 + version, lane=lane)).code == "accepted"
        settle(road)
    assert sums(road) == {holder: 1002 + 1001}
    assert road.one(read(road, "D", 1)).code == "double_read"
    settled(road)
    agrees(road)


@pytest.mark.parametrize(("which", "second"), [("A", 12), ("A", -9), ("B", -7), ("B", 9)])
def test_wherever_either_is_adjusted_to(road: Road, two: int, which: str, second: int) -> None:
    """Also where it was read so far from where it is said to be now that the two were not near."""
    for version, at in ((1, second), (2, 1), (3, second)):
        moved = read(road, f"X{version}", at, action="adjust", original=which, version=version, amount=version)
        assert road.one(moved).code == "accepted"
        settle(road)
    assert sums(road) == {two: 2480 + 3}
    settled(road)
    agrees(road)


@pytest.mark.parametrize("which", ["A", "B"])
@pytest.mark.parametrize("at_once", [False, True])
def test_also_when_it_was_cancelled_before(road: Road, two: int, which: str, at_once: bool) -> None:
    records = [cancel("C", which, 1), adjust(road, "X", which, 2, amount=7)]
    for some in [records] if at_once else [records[:1], records[1:]]:
        road.send(some)
        settle(road)
    assert sums(road) == {two: 2480 + 7}
    settled(road)
    agrees(road)


def test_one_that_was_adjusted_before_the_word(road: Road, holder: int) -> None:
    road.vehicle(holder, "EV10002")
    road.send([read(road, "A", 0), read(road, "K", 2, plate="EV10002")])
    assert road.one(read(road, "X", 2, action="adjust", original="K", version=1)).code == "double_read"
    assert decided(road, "X", double=True)[0] == "accepted"
    assert road.one(adjust(road, "Y", "K", 2, amount=5)).code == "accepted"
    assert sums(road) == {holder: 2480 + 5}
    assert road.one(read(road, "D", 3)).code == "double_read"
    settled(road)
    agrees(road)


def test_a_third_read_is_still_a_double(road: Road, two: int) -> None:
    assert [one.code for one in road.send([read(road, "D", 1), read(road, "E", 11)])] == ["double_read"] * 2
    assert sums(road) == {two: 2 * 2480}


@pytest.mark.parametrize("price", [1000, None])
@pytest.mark.parametrize("limit", [1, 2])
def test_both_come_back_when_a_mass_correction_is_undone(road: Road, two: int, price: int | None, limit: int) -> None:
    """Also when one was adjusted before, and so bears no sign of what the person said; together or one by one."""
    if price is not None:
        assert road.one(adjust(road, "X", "B", 1, amount=price)).code == "accepted"
    row = corrected(road, plate="EV10001")
    assert (row.done, sums(road)) == (2, {})
    then = NOW + 2 * DAY
    through(road, undo(road.session, row.id, reason="it had read right", actor="agent:lise", now=then), then, limit)
    assert sums(road) == {two: 2480 + (price or 2480)}
    settled(road)


def test_both_may_be_sent_right_after_a_mass_correction(road: Road, two: int) -> None:
    corrected(road, plate="EV10001")
    for name, of in (("X", "A"), ("Y", "B")):
        road.one(adjust(road, name, of, 1, amount=11), now=NOW + 2 * DAY)
    settle(road, NOW + 2 * DAY)
    assert sums(road) == {two: 22}
    settled(road)


def test_an_adjustment_that_is_decided_anew(road: Road, two: int) -> None:
    """It was the double of a third one, which is taken back: the person's word is on what it adjusts."""
    assert road.one(read(road, "C", 15)).code == "accepted"
    assert road.one(read(road, "X", 8, action="adjust", original="B", version=1, amount=5)).detail == (
        "the same passing as C"
    )
    road.one(cancel("D", "C"))
    settle(road)
    assert sums(road) == {two: 2480 + 5}
    settled(road)
    agrees(road)


def test_what_is_a_double_of_another_does_not_stand_for_what_was_said_before(road: Road, two: int) -> None:
    """A double that is booked all the same, as its charger's are: neither at once nor after an undone correction."""
    keep_oddities(road.session, road.toll, {"double_read": True})
    road.one(read(road, "C", 30))
    assert "double_read" in road.one(read(road, "X", 25, action="adjust", original="B", version=1)).flags
    assert stand(road) == ["A", "C"]
    undone(road, corrected(road, plate="EV10001"))
    assert stand(road) == ["A", "C"]
    assert sums(road) == {two: 3 * 2480}
    agrees(road)


def test_nor_when_it_is_decided_anew(road: Road, two: int) -> None:
    road.send([read(road, "C", 30), read(road, "E", 19)])
    assert road.one(read(road, "X", 25, action="adjust", original="B", version=1)).code == "double_read"
    keep_oddities(road.session, road.toll, {"double_read": True})
    ((kept,),) = road.ask("SELECT kept_id FROM double_reads")
    road.one(cancel("K", kept))
    settle(road)
    assert road.ask("SELECT code, flags & 2048 FROM records WHERE source_id = 'X'") == [("accepted", 2048)]
    assert "X" not in stand(road)
    agrees(road)


@pytest.fixture
def elsewhere(road: Road, holder: int) -> None:
    """B is of a tag that is read with another plate, and refused for that."""
    keep_oddities(road.session, road.toll, {"tag_plate_mismatch": False})
    road.tag(holder, 7, "EV10001")
    road.send([read(road, "A", 0), read(road, "B", 3, plate="EV77777", country="NO", pan=pan(7))])


@pytest.mark.usefixtures("elsewhere")
def test_taking_it_for_another_reason_is_no_such_word(road: Road) -> None:
    keep_oddities(road.session, road.toll, {"double_read": True})
    assert decided(road, "B")[0] == "accepted"
    assert stand(road) == ["A"]
    assert road.ask("SELECT FROM passings_apart") == []


@pytest.mark.usefixtures("elsewhere")
def test_the_step_knows_what_was_refused_for_another_reason(road: Road, engine: Engine) -> None:
    assert decided(road, "B", double=True)[0] == "accepted"
    down_and_up(road, engine)
    undone(road, corrected(road, plate="EV10001"))
    assert stand(road) == ["A", "B"]


def test_the_step_knows_all_that_stood_beside(road: Road, holder: int, engine: Engine) -> None:
    road.send([read(road, "A", 0), read(road, "B", 8), read(road, "C", 15)])
    assert decided(road, "B", double=True)[0] == "accepted"
    down_and_up(road, engine)
    assert road.one(read(road, "X", 8, action="adjust", original="B", version=1, amount=5)).code == "accepted"
    assert sums(road) == {holder: 2 * 2480 + 5}


def down_and_up(road: Road, engine: Engine) -> None:
    """Forget what was said, and have the step find it again."""
    query = "SELECT original_id, other_id FROM passings_apart ORDER BY 1, 2"
    before = road.ask(query)
    assert before
    road.session.commit()
    migrate(engine, down_to="0020")
    migrate(engine)
    assert road.ask(query) == before
    road.session.commit()
