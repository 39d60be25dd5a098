"""Double reads are judged as they arrive, and where a chunk ends changes nothing; what is taken back frees them."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from accounts.chargers.oddities import keep_oddities
from billing.passages.again import decide_again
from billing.passages.batches import open_batch
from billing.passages.incoming import Item, limits_at, prepare
from billing.passages.ingest import book_chunk
from billing.passages.rules import Cancel
from billing.roadside.contest import contest
from config.database import SessionFactory
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, Road, pan
from tests.integration.billing.passages.test_corrections import adjust, agrees, cancel, retry, sums

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def holder(road: Road) -> int:
    made = road.agreement()
    road.vehicle(made)
    return made


def read(road: Road, name: str, seconds: int, **more: Any) -> Any:
    return road.record(name, **({"plate": "EV10001", "lane": "1", "passed_at": PASSED + seconds * SECOND} | more))


def settle(road: Road, now: dt.datetime = NOW) -> None:
    """What the job does: corrections whose original is here, then doubles whose first read was taken back."""
    retry(road, now)
    while freed := road.ask("SELECT source_id FROM double_reads WHERE freed"):
        decide_again(
            road.session, road.toll, [name for (name,) in freed], cause="read_taken_back", reason=None, actor="test",
            now=now,
        )  # fmt: skip


def settled(road: Road) -> None:
    """Whatever came in whatever order: one passing is paid once, and none is lost.

    No two reads that stand are near each other, but where a person says that one is a passing of its own; each refused
    double is one of a read that stands; and those stand that are booked and not corrected.
    """
    near = (
        "l.charger_id = k.charger_id AND l.country = k.country AND l.plate = k.plate AND l.station = k.station "
        "AND l.lane = k.lane AND l.source_id < k.source_id AND abs(extract(epoch FROM l.passed_at - k.passed_at)) <= 10"
    )
    both = f"SELECT k.source_id, l.source_id FROM lane_reads AS k JOIN lane_reads AS l ON {near}"
    root = "coalesce((SELECT c.original_id FROM corrections AS c WHERE c.source_id = {0}.source_id), {0}.source_id)"
    apart = (
        f"SELECT FROM passings_apart AS a WHERE a.original_id = {root.format('k')} AND a.other_id = {root.format('l')}"
    )
    assert road.ask(f"{both} WHERE k.stands AND l.stands AND NOT EXISTS ({apart})") == []
    in_force = (
        "NOT EXISTS (SELECT FROM corrections AS k WHERE k.charger_id = r.charger_id AND k.state = 'applied' AND "
        "k.original_id = r.source_id) AND NOT EXISTS (SELECT FROM corrections AS k JOIN corrections AS o "
        "ON o.charger_id = k.charger_id AND o.original_id = k.original_id AND o.state = 'applied' "
        "WHERE k.charger_id = r.charger_id AND k.source_id = r.source_id AND (o.version, o.issued_at, "
        'o.source_id COLLATE "C") > (k.version, k.issued_at, k.source_id COLLATE "C"))'
    )
    lost = (
        "SELECT r.source_id FROM records AS r WHERE r.code = 'double_read' AND "
        f"{in_force} AND NOT EXISTS (SELECT FROM double_reads AS d JOIN lane_reads AS l ON l.charger_id = d.charger_id "
        "AND l.source_id = d.kept_id AND l.stands "
        "WHERE d.charger_id = r.charger_id AND d.source_id = r.source_id AND NOT d.freed)"
    )
    assert road.ask(lost) == []
    stale = (
        "SELECT l.source_id FROM lane_reads AS l LEFT JOIN records AS r ON r.charger_id = l.charger_id "
        f"AND r.source_id = l.source_id AND r.code = 'accepted' AND {in_force} WHERE l.stands AND r.source_id IS NULL"
    )
    assert road.ask(stale) == []


def in_chunks(road: Road, records: list[Any], ends: list[int]) -> list[tuple[str, str | None]]:
    """Send records in chunks that end there; return code and detail of each."""
    said = []
    for first, last in zip([0, *ends], [*ends, len(records)], strict=True):
        if first < last:
            said += [(one.code, one.detail) for one in road.send(records[first:last])]
    return said


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
def test_a_double_makes_no_third_one_double(road: Road, holder: int, ends: list[int]) -> None:
    chain = [read(road, name, seconds) for name, seconds in (("A", 0), ("B", 8), ("C", 16))]
    assert in_chunks(road, chain, ends) == [
        ("accepted", None),
        ("double_read", "the same passing as A"),
        ("accepted", None),
    ]
    assert sums(road) == {holder: 2 * 2480}
    assert road.ask("SELECT source_id FROM lane_reads WHERE stands ORDER BY 1") == [("A",), ("C",)]


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
def test_nor_one_that_is_accepted_with_a_flag(road: Road, holder: int, ends: list[int]) -> None:
    keep_oddities(road.session, road.toll, {"double_read": True})
    in_chunks(road, [read(road, name, seconds) for name, seconds in (("A", 0), ("B", 8), ("C", 16))], ends)
    assert road.ask("SELECT source_id, flags & 2048 FROM records ORDER BY 1") == [("A", 0), ("B", 2048), ("C", 0)]


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
def test_what_lies_before_it_in_time_and_comes_later(road: Road, holder: int, ends: list[int]) -> None:
    """What came first is kept, and the nearest kept one is named."""
    late = [read(road, "A", 10), read(road, "B", 0), read(road, "C", -1)]
    assert [code for code, _ in in_chunks(road, late, ends)] == ["accepted", "double_read", "accepted"]
    assert in_chunks(road, [read(road, "D", 5)], []) == [("double_read", "the same passing as A")]


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
@pytest.mark.parametrize(
    ("order", "codes"),
    [
        ("A CB", ["accepted", "accepted", "accepted"]),
        ("A BC", ["accepted", "double_read", "accepted"]),
        ("C AB", ["accepted", "accepted", "accepted"]),
    ],
)
def test_what_was_cancelled_by_then_is_no_passing(
    road: Road, holder: int, order: str, codes: list[str], ends: list[int]
) -> None:
    records = {"A": read(road, "A", 0), "B": read(road, "B", 5), "C": cancel("C", "A")}
    said = in_chunks(road, [records[name] for name in order.replace(" ", "")], ends)
    assert [code if code != "deferred_original_missing" else "accepted" for code, _ in said] == codes
    settle(road)
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


def test_what_was_not_booked_or_came_before_is_not_kept(road: Road, holder: int) -> None:
    """Refused, of another's id, or a repeat of what was refused: none makes another a double."""
    road.send([road.record("X", plate="EV10001"), read(road, "A", 0), read(road, "B", 3)])
    said = road.send([read(road, "X", 60), read(road, "Y", 60, plate="EV99999"), read(road, "C", 63)])
    assert [one.code for one in said] == ["conflict", "unknown_vehicle", "accepted"]
    road.send([cancel("A2", "A")])
    said = road.send([read(road, "B", 3), read(road, "D", 4)])
    assert [one.code for one in said] == ["duplicate", "accepted"]
    twice = [read(road, "E", 120, plate="EV99999"), read(road, "E", 120), read(road, "F", 121)]
    assert [one.code for one in road.send(twice)] == ["unknown_vehicle", "conflict", "accepted"]
    assert road.ask("SELECT source_id FROM lane_reads WHERE stands ORDER BY 1") == [("C",), ("D",), ("F",)]
    agrees(road)


def amended(road: Road) -> list[tuple[Any, ...]]:
    return road.ask("SELECT source_id, was_code, code, cause FROM amendments ORDER BY id")


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
def test_a_double_of_what_is_taken_back_is_decided_anew(road: Road, holder: int, ends: list[int]) -> None:
    in_chunks(road, [read(road, "A", 0), read(road, "B", 5), cancel("C", "A")], ends)
    assert road.ask("SELECT source_id, kept_id, freed FROM double_reads") == [("B", "A", True)]
    settle(road)
    assert amended(road) == [("B", "double_read", "accepted", "read_taken_back")]
    assert road.one(read(road, "D", 9)).detail == "the same passing as B"
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


def test_of_several_doubles_the_first_stands(road: Road, holder: int) -> None:
    road.send([read(road, "A", 0), read(road, "Z", 3), read(road, "B", 5)])
    road.one(cancel("C", "A"))
    settle(road)
    assert road.ask("SELECT source_id FROM lane_reads WHERE stands") == [("Z",)]
    assert road.ask("SELECT detail FROM records WHERE source_id = 'B'") == [("the same passing as Z",)]
    road.one(cancel("C2", "Z"))
    settle(road)
    assert sums(road) == {holder: 2480}
    settled(road)


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
@pytest.mark.parametrize(
    "changes", [{"plate": "EV10002"}, {"passed_at": PASSED - HOUR}, {"lane": "2"}, {"station": "S2"}]
)
def test_what_is_adjusted_away_leaves_its_lane(
    road: Road, holder: int, changes: dict[str, Any], ends: list[int]
) -> None:
    other = road.agreement()
    road.vehicle(other, "EV10002")
    adjusted = read(road, "X", 0, action="adjust", original="A", version=1, **changes)
    said = in_chunks(road, [read(road, "A", 0), adjusted, read(road, "B", 5)], ends)
    assert [code for code, _ in said] == ["accepted"] * 3
    again = read(road, "D", 3, **changes) if "passed_at" not in changes else read(road, "D", 3 - 3600)
    assert road.one(again).detail == "the same passing as X"
    assert sum(sums(road).values()) == 2 * 2480
    settled(road)
    agrees(road)


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
def test_nor_may_an_adjustment_be_one(road: Road, holder: int, ends: list[int]) -> None:
    """Both are of one vehicle now: it pays once, and when the other goes, still once."""
    road.vehicle(holder, "EV10002")
    adjusted = read(road, "X", 0, action="adjust", original="A", version=1)
    said = in_chunks(road, [read(road, "A", 0, plate="EV10002"), read(road, "B", 3), adjusted], ends)
    assert [code for code, _ in said] == ["accepted", "accepted", "double_read"]
    assert sums(road) == {holder: 2480}
    road.one(cancel("C", "B"))
    settle(road)
    assert amended(road) == [("X", "double_read", "accepted", "read_taken_back")]
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2]])
def test_an_adjustment_that_names_no_lane_stays_where_it_was(road: Road, holder: int, ends: list[int]) -> None:
    records = [read(road, "A", 0), read(road, "B", 3), read(road, "X", 0, action="adjust", original="A", version=1,
                                                           lane=None, amount=1)]  # fmt: skip
    assert [code for code, _ in in_chunks(road, records, ends)] == ["accepted", "double_read", "accepted"]
    settle(road)
    assert sums(road) == {holder: 1}
    assert road.ask("SELECT detail FROM records WHERE source_id = 'B'") == [("the same passing as X",)]
    road.one(adjust(road, "X2", "X", 2, amount=2))
    road.one(cancel("C", "A", 3))
    settle(road)
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


@pytest.mark.parametrize("ends", [[], [1], [2], [1, 2], [1, 2, 3]])
@pytest.mark.parametrize("often", [False, True])
def test_one_that_comes_when_what_it_adjusts_was_taken_back(
    road: Road, holder: int, ends: list[int], often: bool
) -> None:
    """It was read where that was: what has come to stand there since is of the same passing."""
    records = [read(road, "K", 0), read(road, "D", 3), cancel("C", "K"), adjust(road, "X", "K", 2)]
    for first, last in zip([0, *ends], [*ends, 4], strict=True):
        in_chunks(road, records[first:last], [])
        if often:
            settle(road)
    settle(road)
    assert road.one(read(road, "E", 5)).code == "double_read"
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


@pytest.mark.parametrize("ends", [[], [1], [2], [3], [1, 2, 3]])
def test_the_lane_may_be_in_an_adjustment_that_was_refused(road: Road, holder: int, ends: list[int]) -> None:
    """X moves K to where B stands, and is refused; Y names no lane, and is of the same passing all the same."""
    moved = read(road, "X", 3, action="adjust", original="K", version=1)
    records = [read(road, "B", 0), read(road, "K", 300, lane=None, station="S2"), moved, adjust(road, "Y", "K", 2)]
    said = in_chunks(road, records, ends)
    assert said[3] == ("double_read", "the same passing as B")
    settle(road)
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


def test_a_lane_that_an_adjustment_did_not_name_is_kept_when_it_had_waited(road: Road, holder: int) -> None:
    """X waits for K, is refused beside E, and is decided anew when E has become Y, which stands beside it too."""
    road.one(read(road, "E", 6))
    road.one(adjust(road, "X", "K", 2))
    road.one(read(road, "K", 0))
    settle(road)
    assert road.ask("SELECT detail FROM records WHERE source_id = 'X'") == [("the same passing as E",)]
    road.one(read(road, "Y", 1, action="adjust", original="E", version=1, amount=5))
    settle(road)
    assert road.ask("SELECT detail FROM records WHERE source_id = 'X'") == [("the same passing as Y",)]
    assert sums(road) == {holder: 5}
    settled(road)
    agrees(road)


def decided(road: Road, name: str, **how: bool) -> tuple[str, str | None]:
    done = contest(road.session, road.toll, name, reason="they say so", actor="agent:1", now=NOW, **how)
    return done.code, done.detail


def test_what_is_decided_anew_is_asked_too(road: Road, holder: int) -> None:
    assert road.one(read(road, "C", 0, plate="EV55555")).code == "unknown_vehicle"
    road.vehicle(holder, "EV55555")
    assert road.one(read(road, "D", 3, plate="EV55555")).code == "accepted"
    assert decided(road, "C") == ("double_read", "the same passing as D")
    assert sums(road) == {holder: 2480}
    road.one(cancel("K", "D"))
    settle(road)
    assert sums(road) == {holder: 2480}
    settled(road)
    agrees(road)


def test_what_is_booked_then_keeps_its_lane(road: Road, holder: int) -> None:
    road.one(read(road, "C", 0, plate="EV55555"))
    road.vehicle(holder, "EV55555")
    assert decided(road, "C")[0] == "accepted"
    assert road.one(read(road, "D", 3, plate="EV55555")).detail == "the same passing as C"
    settled(road)


def test_a_ferry_passing_by_tag_and_by_camera_at_the_same_moment(road: Road, sessions: SessionFactory) -> None:
    """The tag leads to the additional agreement and the plate to the tag agreement: they wait for each other."""
    _, child = road.on_a_ferry()
    road.session.commit()
    code = road.ferry.code

    def book(session: Session, name: str, **more: Any) -> str:
        charger = session.scalars(select(Charger).where(Charger.code == code)).one()
        batch = open_batch(session, charger, name=name, form="jsonl", sha256=b"", now=NOW)
        one = road.record(name, station="K1", service="ferry", lane="1", **more)
        chunk = prepare(1, [Item(1, msgspec.json.encode(one), one)], limits_at(NOW))
        return book_chunk(session, batch, chunk, now=NOW).answers[0].code

    with ThreadPoolExecutor(1) as other, sessions() as tag, sessions() as camera:
        assert book(tag, "TAG", pan=pan(1)) == "accepted"
        waiting = other.submit(book, camera, "CAM", plate="EV10001", passed_at=PASSED + 2 * SECOND)
        while not road.ask("SELECT FROM pg_locks WHERE NOT granted"):
            assert not waiting.done()
        tag.commit()
        assert waiting.result() == "double_read"
        camera.commit()
    assert sums(road) == {child: 2480}
    agrees(road)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from([0, 8, 16, 24]), st.sampled_from("1112")),
        st.tuples(st.sampled_from(["cancel", "cancel", "adjust"]), st.integers(0, 8), st.integers(1, 3)),
    ),
    min_size=4,
    max_size=9,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=EVENTS,
    ends=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(sorted),
    laned=st.booleans(),
    often=st.booleans(),
)
def test_where_a_chunk_ends_changes_nothing(
    road: Road, holder: int, events: list[Any], ends: list[int], laned: bool, often: bool
) -> None:
    """The same records in the same order, cut anywhere: the same answers and sums. Where an adjustment that waits may
    be decided between, or doubles anew, others may come to stand; but one passing is paid once, and none is lost."""
    records: list[Any] = []
    reads = [number for number, event in enumerate(events) if event[0] == "read"] or [0]
    early = False
    for number, (what, one, other) in enumerate(events):
        name, of = f"R{number}", reads[one % len(reads)] if what != "read" else 0
        if what == "read":
            records.append(read(road, name, one, lane=other, amount=2**number))
        elif what == "cancel":
            records.append(cancel(name, f"R{of}", other))
        else:
            early = early or of > number
            more = {"lane": "1", "passed_at": PASSED + 8 * one * SECOND} if laned else {}
            records.append(adjust(road, name, f"R{of}", other, amount=2**number, **more))
    results = []
    for cut in ([], [end for end in ends if end < len(records)]):
        with road.session.begin_nested() as example:
            said = []
            for first, last in zip([0, *cut], [*cut, len(records)], strict=True):
                said += in_chunks(road, records[first:last], [])
                if often:
                    settle(road)
            settle(road)
            new = [
                answer
                for answer, one in zip(said, records, strict=True)
                if not isinstance(one, Cancel) and one.action == "new"
            ]
            results.append((new, sums(road)))
            settled(road)
            agrees(road)
            example.rollback()
        road.session.expire_all()
    if not early and not often:
        assert results[0] == results[1]
