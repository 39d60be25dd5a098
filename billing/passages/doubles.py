"""Double reads: one vehicle read twice, by tag and by camera, in a lane within seconds is one passing.

The rule: reads are taken in the order in which they **arrive** (of a chunk by position). One is a double if a read that
stands, of that vehicle, at that station, in that lane, lies within ``double_read_seconds`` of it, before or after; else
it is kept itself, if it is booked at all. So a double makes no third one double, and it is the same wherever a chunk
ends. Of a read that was corrected the correction in force decides: a cancelled one stands no more (also when the
cancellation came before it), an adjusted one stands where its adjustment says, which may be a double itself. A refused
double whose read stands no more is decided anew (billing.roadside.waiting), and may stand then. One that a person says
is a passing of its own stands beside those that stood near it then, and they beside it, whatever is made of either
(``passings_apart``, by originals).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import Any, NamedTuple

from psycopg import Cursor

from billing.passages.match import statements

_SQL = statements("odd.sql")

Lane = tuple[str, str, str, str]
"""Country and plate, station, lane."""

Rank = tuple[int, dt.datetime, str]
"""Version, issued at, source id: of several corrections of one original the highest is in force."""


class Read(NamedTuple):
    """A read that can be booked. ``adjusts``: of an adjustment that is decided anew, what it corrects."""

    position: int
    source_id: str
    lane: Lane
    passed_at: dt.datetime
    adjusts: str | None = None

    @property
    def original_id(self) -> str:
        """What is corrected, if anything is: the read by which one knows it."""
        return self.adjusts or self.source_id


class Word(NamedTuple):
    """A correction of this chunk; an adjustment that can be booked, and has a lane, has a ``read``."""

    position: int
    source_id: str
    original_id: str
    rank: Rank
    read: Read | None = None


class Kept(NamedTuple):
    """A read that was kept before this chunk; an adjustment's has what it corrects as ``original_id``."""

    lane: Lane
    passed_at: dt.datetime
    source_id: str
    original_id: str


class _Lanes:
    """The reads that stand, by lane and by original."""

    def __init__(self, within: dt.timedelta, apart: Mapping[str, AbstractSet[str]]) -> None:
        self.within = within
        self.apart = apart
        self.doubles: dict[int, str] = {}
        self._reads: dict[Lane, dict[str, tuple[dt.datetime, str]]] = {}
        self._lane_of: dict[str, Lane] = {}

    def put(self, lane: Lane, at: dt.datetime, name: str, original: str) -> None:
        self._reads.setdefault(lane, {})[original] = at, name
        self._lane_of[original] = lane

    def free(self, original: str) -> None:
        lane = self._lane_of.pop(original, None)
        if lane is not None:
            del self._reads[lane][original]

    def judge(self, read: Read, original: str, *, stands: bool) -> None:
        apart = self.apart.get(original, frozenset())
        others = [seen for other, seen in self._reads.get(read.lane, {}).items() if other not in apart]
        near = [(abs(at - read.passed_at), name) for at, name in others if abs(at - read.passed_at) <= self.within]
        if near:
            self.doubles[read.position] = min(near)[1]
        elif stands:
            self.put(read.lane, read.passed_at, read.source_id, original)


def find(
    arriving: Iterable[Read | Word],
    kept: Iterable[Kept],
    ranks: Mapping[str, Rank],
    within: dt.timedelta,
    apart: Mapping[str, AbstractSet[str]] = MappingProxyType({}),
) -> dict[int, str]:
    """Return the doubles among reads: position → source id of the kept read that it repeats (the nearest in time).

    ``kept`` are the reads kept before and ``ranks`` the highest corrections before, by original; ``apart`` the
    originals that a person says are other passings than an original is. Of several of one source id only the first is a
    read; the others are repeats, and not ours to judge.
    """
    events = sorted(arriving, key=lambda each: each.position)
    in_force = dict(ranks)
    lanes = _Lanes(within, apart)
    for one in kept:
        if one.original_id not in in_force or in_force[one.original_id][2] == one.source_id:
            lanes.put(one.lane, one.passed_at, one.source_id, one.original_id)
    to_come = {each.source_id for each in events if isinstance(each, Read)}
    early: dict[str, Read | None] = {}
    seen: set[str] = set()
    for each in events:
        if each.source_id in seen:
            continue
        seen.add(each.source_id)
        if isinstance(each, Read):
            to_come.discard(each.source_id)
            word = in_force.get(each.original_id)
            lanes.judge(each, each.original_id, stands=word is None or word[2] == each.source_id)
            came = early.pop(each.source_id, None)
            if came is not None:
                lanes.judge(came, each.source_id, stands=True)
        elif each.original_id not in in_force or in_force[each.original_id] < each.rank:
            in_force[each.original_id] = each.rank
            if each.original_id in to_come:
                early[each.original_id] = each.read
                continue
            lanes.free(each.original_id)
            if each.read is not None:
                lanes.judge(each.read, each.original_id, stands=True)
    return lanes.doubles


def in_chunk(
    cursor: Cursor[Any], charger_id: int, within: dt.timedelta, *, corrects: bool, again: bool = False
) -> dict[int, str]:
    """Return the doubles of the chunk in ``lanes``, ``incoming`` and ``matched`` (and ``correcting``, where it
    ``corrects``): position → source id of the read kept. Where no two reads are near each other that is one query.
    ``again``: what is decided anew, and so has records."""
    params = {"charger": charger_id, "within": within}
    cursor.execute(_SQL["near"], params, prepare=False)
    reads: dict[int, Read] = {}
    near: dict[str, tuple[Lane, dt.datetime]] = {}
    for position, name, country, plate, station, lane, at, other, other_at in cursor:
        read = reads[position] = Read(position, name, (country, plate, station, lane), at)
        if other is not None:
            near[other] = read.lane, other_at
    if not reads:
        return {}
    here = set() if again else _known(cursor, charger_id, [read.source_id for read in reads.values()])
    words: list[Word] = []
    if corrects:
        cursor.execute(_SQL["words"], prepare=False)
        words = [
            Word(at, name, of, (version, issued, name), reads.pop(at, None)) for at, name, of, version, issued in cursor
        ]
    arriving = [read for read in reads.values() if read.source_id not in here]
    asked = {*near, *(read.source_id for read in arriving)} if again else near
    cursor.execute(_SQL["roots"], {**params, "names": sorted(asked)}, prepare=False)
    roots = dict(cursor.fetchall())
    arriving = [read._replace(adjusts=roots.get(read.source_id)) for read in arriving]
    kept = [Kept(lane, at, name, roots.get(name, name)) for name, (lane, at) in near.items()]
    names = (
        {one.original_id for one in kept} | {one.original_id for one in arriving} | {one.original_id for one in words}
    )
    cursor.execute(_SQL["ranks"], {**params, "names": sorted(names)}, prepare=False)
    ranks = {original: (version, issued_at, name) for original, version, issued_at, name in cursor}
    cursor.execute(_SQL["apart"], {**params, "names": sorted(names)}, prepare=False)
    apart: dict[str, set[str]] = {}
    for original, other in cursor:
        apart.setdefault(original, set()).add(other)
    return find([*arriving, *words], kept, ranks, within, apart)


def _known(cursor: Cursor[Any], charger_id: int, names: Sequence[str]) -> set[str]:
    """Return those of the ids that have a record: their read is kept already, or was not booked."""
    cursor.execute(_SQL["here"], {"charger": charger_id, "names": names}, prepare=False)
    return {row[0] for row in cursor}
