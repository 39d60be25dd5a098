"""Refused records that may have been an agreement's: a sign misread, a country taken for another, a tag elsewhere.

Records are many, so they are never searched for likeness: everything one sign from a plate is written out (a few
hundred texts) and looked up by an index that holds refused records only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZÆØÅÄÖÜ0123456789"
CONFUSED = ("O0QDØ", "I1L", "B8", "S5", "Z2", "G6", "UV", "ÆA", "ÅA", "VY", "T7")
"""Signs that cameras take for each other; more than one of them may be wrong at once, on a dirty plate."""
MOST_PLATES = 20
MOST_FOUND = 100
DAYS = 7


def swapped(plate: str) -> set[str]:
    """Return what a plate is read as when every sign of one confusable kind is taken for its like (O0 → 00)."""
    found = set()
    for likes in CONFUSED:
        for sign in likes:
            table = str.maketrans(dict.fromkeys(likes, sign))
            found.add(plate.translate(table))
    return found - {plate}


def one_off(plate: str) -> set[str]:
    """Return every text one sign from a plate: one other, one missing, one too many, two neighbours swapped."""
    splits = [(plate[:at], plate[at:]) for at in range(len(plate) + 1)]
    others = {head + sign + tail[1:] for head, tail in splits if tail for sign in SIGNS}
    missing = {head + tail[1:] for head, tail in splits if tail}
    more = {head + sign + tail for head, tail in splits for sign in SIGNS}
    turned = {head + tail[1] + tail[0] + tail[2:] for head, tail in splits if len(tail) > 1}
    return {one for one in others | missing | more | turned | swapped(plate) if one} - {plate}


@dataclass(frozen=True)
class NearMiss:
    """A refused record, and what of the agreement's it is near; see NearMissSchema."""

    why: str
    charger: str
    record: str
    passed_at: dt.datetime
    station: str | None
    read: str | None
    ours: str
    code: str
    detail: str | None


_SELECT = """
    SELECT c.code AS charger, r.source_id, r.passed_at, r.body ->> 'station' AS station,
        r.body ->> 'country' AS country, r.body ->> 'plate' AS plate, r.body ->> 'pan' AS pan, r.code, r.detail
    FROM records AS r JOIN chargers AS c ON c.id = r.charger_id
    WHERE r.code IN ('unknown_vehicle', 'not_valid') AND r.body ->> '{0}' = ANY(:keys)
        AND r.passed_at BETWEEN :since AND :until {1}
    ORDER BY r.passed_at, r.charger_id, r.source_id LIMIT :most
"""
_ONE_CHARGER = "AND c.code = :charger"


def near_misses(
    session: Session,
    vehicles: Sequence[tuple[str, str]],
    pans: Sequence[str],
    at: dt.datetime,
    charger: str | None,
) -> list[NearMiss]:
    """Return refused records within some days of an instant that are near these plates (country, plate), or that name
    these tags: at most MOST_FOUND of each, by when they happened. More than MOST_PLATES plates are not looked for."""
    near: dict[str, list[tuple[str, str]]] = {}
    for country, plate in vehicles[:MOST_PLATES]:
        for read in {plate} | one_off(plate):
            near.setdefault(read, []).append((country, plate))
    found = []
    for row in _look(session, "plate", list(near), at, charger):
        ours = _nearest(near[row.plate], row.country, row.plate)
        why = "exact" if (row.country, row.plate) == ours else "country" if row.plate == ours[1] else "one_sign"
        found.append(_miss(row, why, " ".join(ours)))
    seen = {(one.charger, one.record) for one in found}
    for row in _look(session, "pan", list(pans), at, charger):
        if (row.charger, row.source_id) not in seen:
            found.append(_miss(row, "tag", row.pan))
    return sorted(found, key=lambda one: (one.passed_at, one.charger, one.record))[:MOST_FOUND]


def _look(session: Session, what: str, keys: list[str], at: dt.datetime, charger: str | None) -> Sequence[Any]:
    if not keys:
        return ()
    around = dt.timedelta(days=DAYS)
    params: dict[str, object] = {"keys": keys, "since": at - around, "until": at + around, "most": MOST_FOUND}
    if charger is not None:
        params["charger"] = charger
    sql = _SELECT.format(what, _ONE_CHARGER if charger is not None else "")
    return session.execute(text(sql), params).all()


def _nearest(ours: Sequence[tuple[str, str]], country: str | None, plate: str) -> tuple[str, str]:
    """Return of several plates of ours the one that a read one is: the same, the same but for the country, or the
    first in order."""
    return min(ours, key=lambda one: (one != (country, plate), one[1] != plate, one))


def _miss(row: Any, why: str, ours: str) -> NearMiss:
    said = [value for value in (row.country, row.plate) if value]
    return NearMiss(
        why, row.charger, row.source_id, row.passed_at, row.station, " ".join(said) or None, ours, row.code,
        row.detail,
    )  # fmt: skip
