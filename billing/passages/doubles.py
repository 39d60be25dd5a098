"""Double reads: one vehicle read twice, by tag and by camera, in a lane within seconds is one passing.

The rule: reads are taken in the order in which they **arrive** (of a chunk by position). One is a double if a read that
was kept of that vehicle, at that station, in that lane lies within ``double_read_seconds`` of it, before or after; else
it is kept itself, if it is booked at all. So a double makes no third one double, and it is the same wherever a chunk
ends. A kept read that has been cancelled by then (also by a cancellation that came before it) is no passing; one that
has been adjusted stays in its lane. What arrives later changes no answer that was given.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Cursor

from billing.passages.match import statements

_SQL = statements("odd.sql")

Lane = tuple[str, str, str, str]
"""Country and plate, station, lane."""


class Read(NamedTuple):
    """A read that can be booked."""

    position: int
    source_id: str
    lane: Lane
    passed_at: dt.datetime


class Word(NamedTuple):
    """A correction of this chunk; ``rank`` (version, issued at, source id) says which of several counts."""

    position: int
    source_id: str
    original_id: str
    cancels: bool
    rank: tuple[int, dt.datetime, str]


Ranks = dict[str, tuple[tuple[int, dt.datetime, str], bool]]
"""Of an original: the highest correction so far, and whether it cancels."""


def find(
    arriving: Iterable[Read | Word],
    kept: Mapping[Lane, Iterable[tuple[dt.datetime, str]]],
    ranks: Mapping[str, tuple[tuple[int, dt.datetime, str], bool]],
    within: dt.timedelta,
) -> dict[int, str]:
    """Return the doubles among reads: position → source id of the kept read that it repeats (the nearest in time).

    ``kept`` are the reads kept before and ``ranks`` the corrections that came before. Of several of one source id only
    the first is a read; the others are repeats, and not ours to judge.
    """
    lanes = {lane: list(reads) for lane, reads in kept.items()}
    in_force: Ranks = dict(ranks)
    seen: set[str] = set()
    doubles: dict[int, str] = {}
    for one in sorted(arriving, key=lambda each: each.position):
        if one.source_id in seen:
            continue
        seen.add(one.source_id)
        if isinstance(one, Word):
            if one.original_id not in in_force or in_force[one.original_id][0] < one.rank:
                in_force[one.original_id] = one.rank, one.cancels
            continue
        others = lanes.setdefault(one.lane, [])
        near = [
            (abs(at - one.passed_at), name)
            for at, name in others
            if abs(at - one.passed_at) <= within and not (name in in_force and in_force[name][1])
        ]
        if near:
            doubles[one.position] = min(near)[1]
        else:
            others.append((one.passed_at, one.source_id))
    return doubles


def in_chunk(cursor: Cursor[Any], charger_id: int, within: dt.timedelta, *, corrects: bool) -> dict[int, str]:
    """Return the doubles of the chunk in ``lanes``, ``incoming`` and ``matched`` (and ``correcting``, where it
    ``corrects``): position → source id of the read kept. Where no two reads are near each other that is one query."""
    params = {"charger": charger_id, "within": within}
    cursor.execute(_SQL["near"], params, prepare=False)
    reads: dict[int, Read] = {}
    kept: dict[Lane, set[tuple[dt.datetime, str]]] = {}
    for position, name, country, plate, station, lane, at, other, other_at in cursor:
        read = reads[position] = Read(position, name, (country, plate, station, lane), at)
        if other is not None:
            kept.setdefault(read.lane, set()).add((other_at, other))
    if not reads:
        return {}
    here = _known(cursor, charger_id, [read.source_id for read in reads.values()])
    arriving: list[Read | Word] = [read for read in reads.values() if read.source_id not in here]
    if corrects:
        cursor.execute(_SQL["words"], prepare=False)
        arriving += [
            Word(at, name, of, cancels, (version, issued, name)) for at, name, of, cancels, version, issued in cursor
        ]
    names = {name for reads_of in kept.values() for _, name in reads_of} | {read.source_id for read in reads.values()}
    cursor.execute(_SQL["ranks"], {**params, "names": sorted(names)}, prepare=False)
    ranks = {original: ((version, issued_at, name), cancels) for original, version, issued_at, name, cancels in cursor}
    return find(arriving, kept, ranks, within)


def _known(cursor: Cursor[Any], charger_id: int, names: Sequence[str]) -> set[str]:
    """Return those of the ids that have a record: their read is kept already, or was not booked."""
    cursor.execute(_SQL["here"], {"charger": charger_id, "names": names}, prepare=False)
    return {row[0] for row in cursor}
