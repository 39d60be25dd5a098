"""Double reads are judged as they arrive: where a chunk ends changes nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.chargers.oddities import keep_oddities
from billing.passages.rules import Cancel
from tests.integration.billing.passages.conftest import PASSED, Road
from tests.integration.billing.passages.test_corrections import adjust, agrees, cancel, retry, sums

SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def holder(road: Road) -> int:
    made = road.agreement()
    road.vehicle(made)
    return made


def read(road: Road, name: str, seconds: int, **more: Any) -> Any:
    return road.record(name, **({"plate": "EV10001", "lane": "1", "passed_at": PASSED + seconds * SECOND} | more))


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
    assert road.ask("SELECT source_id FROM lane_reads ORDER BY 1") == [("A",), ("C",)]


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
    retry(road)
    assert sums(road) == ({} if "double_read" in codes else {holder: 2480})
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
    assert road.ask("SELECT source_id FROM lane_reads ORDER BY 1") == [("A",), ("C",), ("D",), ("F",)]
    agrees(road)


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from([0, 8, 16, 24]), st.sampled_from("1112")),
        st.tuples(st.sampled_from(["cancel", "cancel", "adjust"]), st.integers(0, 8), st.integers(1, 3)),
    ),
    min_size=4,
    max_size=9,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, ends=st.lists(st.integers(1, 7), min_size=1, max_size=4).map(sorted), often=st.booleans())
def test_where_a_chunk_ends_changes_nothing(
    road: Road, holder: int, events: list[Any], ends: list[int], often: bool
) -> None:
    """The same records in the same order, cut anywhere, waiting corrections decided between or not. Corrections are of
    reads: whose correction one of a correction is cannot be known before that has come."""
    records: list[Any] = []
    reads = [number for number, event in enumerate(events) if event[0] == "read"] or [0]
    for number, (what, one, other) in enumerate(events):
        if what == "read":
            records.append(read(road, f"R{number}", one, lane=other, amount=2**number))
        elif what == "cancel":
            records.append(cancel(f"R{number}", f"R{reads[one % len(reads)]}", other))
        else:
            records.append(adjust(road, f"R{number}", f"R{reads[one % len(reads)]}", other, amount=2**number))
    results = []
    for cut in ([], [end for end in ends if end < len(records)]):
        with road.session.begin_nested() as example:
            said = []
            for first, last in zip([0, *cut], [*cut, len(records)], strict=True):
                said += in_chunks(road, records[first:last], [])
                if often:
                    retry(road)
            retry(road)
            new = [
                answer
                for answer, one in zip(said, records, strict=True)
                if not isinstance(one, Cancel) and one.action == "new"
            ]
            results.append((new, sums(road)))
            agrees(road)
            example.rollback()
        road.session.expire_all()
    assert results[0] == results[1]
