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
# What is a customer's own: the very vehicle, while it was on the agreement; a tag of theirs, while it was in such a
# vehicle or in nobody's, and no other's plate was read with it. A buyer is not shown the seller's journeys, nor the
# seller those of who drives on with the tag.
_LASTED = "{0}.valid_from <= r.passed_at AND ({0}.valid_to IS NULL OR {0}.valid_to > r.passed_at)"
_FAMILY = "SELECT f.id FROM agreements AS f WHERE f.id = :family OR f.parent_id = :family"
_OWN = {
    "plate": f"""
        AND EXISTS (
            SELECT FROM registrations AS g
            WHERE g.country = r.body ->> 'country' AND g.plate = r.body ->> 'plate' AND g.scope IN ('', c.code)
                AND g.agreement_id IN ({_FAMILY}) AND {_LASTED.format("g")})
    """,
    "pan": f"""
        AND EXISTS (
            SELECT FROM tags AS t JOIN tag_mounts AS m ON m.tag_id = t.id AND {_LASTED.format("m")}
            WHERE t.pan = r.body ->> 'pan' AND t.agreement_id = :family AND t.issued_at <= r.passed_at
                AND (r.body ->> 'plate' IS NULL
                    OR (r.body ->> 'country', r.body ->> 'plate') = (m.country, m.plate))
                AND NOT EXISTS (
                    SELECT FROM registrations AS g
                    WHERE g.country = m.country AND g.plate = m.plate AND g.scope IN ('', c.code)
                        AND g.agreement_id NOT IN ({_FAMILY}) AND {_LASTED.format("g")}))
    """,  # noqa: S608 - no input in it
}


def near_misses(
    session: Session,
    vehicles: Sequence[tuple[str, str]],
    pans: Sequence[str],
    at: dt.datetime,
    charger: str | None,
    *,
    own_of: int | None = None,
) -> list[NearMiss]:
    """Return refused records within some days of an instant that are near these plates (country, plate), or that name
    these tags: at most MOST_FOUND of each, by when they happened. More than MOST_PLATES plates are not looked for.

    With ``own_of`` (an agreement's id) only those that are its customer's to see: of the very vehicle while it was on
    the agreement or its additional ones, and of its tags while they were in no other's vehicle.
    """
    near: dict[str, list[tuple[str, str]]] = {}
    for country, plate in vehicles[:MOST_PLATES]:
        for read in {plate} | (one_off(plate) if own_of is None else set()):
            near.setdefault(read, []).append((country, plate))
    found = []
    for row in _look(session, "plate", list(near), at, charger, own_of):
        ours = _nearest(near[row.plate], row.country, row.plate)
        why = "exact" if (row.country, row.plate) == ours else "country" if row.plate == ours[1] else "one_sign"
        found.append(_miss(row, why, " ".join(ours)))
    seen = {(one.charger, one.record) for one in found}
    for row in _look(session, "pan", list(pans), at, charger, own_of):
        if (row.charger, row.source_id) not in seen:
            found.append(_miss(row, "tag", row.pan))
    return sorted(found, key=lambda one: (one.passed_at, one.charger, one.record))[:MOST_FOUND]


def _look(
    session: Session, what: str, keys: list[str], at: dt.datetime, charger: str | None, own_of: int | None
) -> Sequence[Any]:
    if not keys:
        return ()
    around = dt.timedelta(days=DAYS)
    params: dict[str, object] = {"keys": keys, "since": at - around, "until": at + around, "most": MOST_FOUND}
    more = ""
    if charger is not None:
        params["charger"] = charger
        more = _ONE_CHARGER
    if own_of is not None:
        params["family"] = own_of
        more += _OWN[what]
    sql = _SELECT.format(what, more)
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
