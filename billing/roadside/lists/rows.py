"""The rows of a list, streamed from the database: of every tag or vehicle, or of those that changes are about.

What stands on a row is what is so now; of an agreement's standing what was published up to the list's last change, so
that a list never says more of it than its versions tell.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

import msgspec
from psycopg import ClientCursor, Connection

from billing.roadside.lists.rules import said


class Row(msgspec.Struct, omit_defaults=True, gc=False):
    """A row of a list. Of tags: ``pan``, and the vehicle it is in; of plates: the vehicle. ``reason`` is given where
    ``state`` is blocked."""

    pan: str | None
    country: str | None
    plate: str | None
    state: str
    reason: str | None = None
    obu_id: str | None = None


@dataclass(frozen=True)
class Wanted:
    """Which rows: for which charger (its code; a ferry operator's additional agreements count), at which instant,
    knowing changes up to ``through``; of what changes from ``first`` on are about, or None for all there is."""

    charger: str
    ferry: bool
    now: dt.datetime
    through: int
    first: int | None


# The standing that lists know of each agreement that ever had another than valid.
_STANDING: LiteralString = """
    SELECT DISTINCT ON (p.agreement_id) p.agreement_id, p.status, p.reason FROM publications AS p
    WHERE p.status IN ('valid', 'blocked', 'ended') AND p.position <= %(through)s {some}
    ORDER BY p.agreement_id, p.position DESC
"""
_EVER: LiteralString = (
    "AND p.agreement_id IN (SELECT agreement_id FROM publications WHERE status IN ('blocked', 'ended'))"
)
_CHANGED: LiteralString = """
    changed AS MATERIALIZED (
        SELECT * FROM publications WHERE position BETWEEN %(first)s AND %(through)s
    ), vehicles AS MATERIALIZED (
        SELECT DISTINCT r.country, r.plate, r.pan FROM registrations AS r
        WHERE r.id = ANY(ARRAY(SELECT registration_id FROM changed WHERE registration_id IS NOT NULL))
        UNION SELECT r.country, r.plate, r.pan
        FROM changed AS c JOIN registrations AS r ON r.agreement_id = c.agreement_id
        WHERE c.status IN ('valid', 'blocked', 'ended') AND (r.valid_to IS NULL OR r.valid_to >= c.effective_at)
    ),
"""

_OF_FOUND: LiteralString = (
    "AND p.agreement_id = ANY(ARRAY(SELECT agreement_id FROM found WHERE agreement_id IS NOT NULL "
    "UNION SELECT own_id FROM found WHERE own_id IS NOT NULL))"
)


def _lasting(alias: LiteralString) -> LiteralString:
    return f"{alias}.valid_from <= %(now)s AND ({alias}.valid_to IS NULL OR {alias}.valid_to > %(now)s)"


_LASTING: tuple[tuple[LiteralString, LiteralString], ...] = (
    ("{m_now}", _lasting("m")),
    ("{r_now}", _lasting("r")),
    ("{a_now}", _lasting("a")),
    ("{b_now}", _lasting("b")),
    ("{g_now}", _lasting("g")),
)

_TAG_IDS: LiteralString = """
    wanted AS MATERIALIZED (
        SELECT tag_id AS id FROM changed WHERE tag_id IS NOT NULL
        UNION SELECT t.id FROM changed AS c JOIN tags AS t ON t.agreement_id = c.agreement_id
        WHERE c.status IN ('valid', 'blocked', 'ended')
        UNION SELECT m.tag_id FROM vehicles AS v JOIN tag_mounts AS m ON m.country = v.country AND m.plate = v.plate
        UNION SELECT t.id FROM vehicles AS v JOIN tags AS t ON t.pan = v.pan
    ),
"""

_TAGS: LiteralString = """
    found AS {materialized} (
        SELECT t.pan, t.obu_id, t.state, m.country, m.plate, r.agreement_id, {own} AS own_id, {external} AS external
        FROM tags AS t
        LEFT JOIN tag_mounts AS m ON m.pan = t.pan AND {m_now}
        LEFT JOIN registrations AS r ON r.country = m.country AND r.plate = m.plate AND r.scope = '' AND {r_now}
        {additional}
        {which}
    )
"""
_TAGS_ADDITIONAL: LiteralString = """
        LEFT JOIN registrations AS a ON a.scope = %(code)s AND a.pan = t.pan AND {a_now}
        LEFT JOIN registrations AS b ON b.scope = %(code)s AND b.country = m.country AND b.plate = m.plate AND {b_now}
"""
_PLATE_KEYS: LiteralString = """
    wanted AS MATERIALIZED (
        SELECT DISTINCT country, plate FROM vehicles WHERE plate IS NOT NULL
        UNION SELECT m.country, m.plate FROM vehicles AS v JOIN tag_mounts AS m ON m.pan = v.pan AND {m_now}
    ),
"""
_ALL_PLATES: LiteralString = """
    wanted AS (
        SELECT DISTINCT g.country, g.plate FROM registrations AS g
        WHERE g.plate IS NOT NULL AND g.scope IN ('', %(code)s) AND {g_now}
    ),
"""
_PLATES: LiteralString = """
    found AS {materialized} (
        SELECT CAST(NULL AS text) AS pan, CAST(NULL AS text) AS obu_id, CAST(NULL AS text) AS state, w.country, w.plate,
            r.agreement_id, {own} AS own_id, {external} AS external
        FROM wanted AS w
        LEFT JOIN registrations AS r ON r.country = w.country AND r.plate = w.plate AND r.scope = '' AND {r_now}
        {additional}
    )
"""
_PLATES_ADDITIONAL: LiteralString = """
        LEFT JOIN registrations AS b ON b.scope = %(code)s AND b.country = w.country AND b.plate = w.plate AND {b_now}
"""

# Who has an additional agreement with this operator that is good there is good there, whatever the tag agreement is.
_SELECT: LiteralString = """
    SELECT f.pan, f.obu_id, f.country, f.plate, f.state,
        (f.agreement_id IS NOT NULL OR f.own_id IS NOT NULL OR f.external)::text,
        CASE WHEN f.external OR (f.own_id IS NOT NULL AND coalesce(o.status, 'valid') = 'valid') THEN 'valid'
            WHEN f.agreement_id IS NOT NULL THEN s.status ELSE o.status END,
        CASE WHEN f.agreement_id IS NOT NULL THEN s.reason ELSE o.reason END
    FROM found AS f
    LEFT JOIN standing AS s ON s.agreement_id = f.agreement_id
    LEFT JOIN standing AS o ON o.agreement_id = f.own_id
    ORDER BY f.pan, f.country, f.plate
"""


def query(list_type: str, wanted: Wanted) -> LiteralString:
    """Return the SQL of a list's rows; its parameters are now, through, first and code."""
    some = wanted.first is not None
    tags = list_type == "tags"
    if wanted.ferry:
        additional = _TAGS_ADDITIONAL if tags else _PLATES_ADDITIONAL
        own: LiteralString = (
            "CASE WHEN a.id IS NOT NULL THEN CASE a.settlement WHEN 'own' THEN a.agreement_id END "
            "WHEN b.settlement = 'own' THEN b.agreement_id END"
            if tags
            else "CASE b.settlement WHEN 'own' THEN b.agreement_id END"
        )
        external: LiteralString = (
            "coalesce(a.settlement, b.settlement, '') = 'external'"
            if tags
            else "coalesce(b.settlement, '') = 'external'"
        )
    else:
        additional, own, external = "", "CAST(NULL AS bigint)", "false"
    parts: list[LiteralString] = ["WITH "]
    if some:
        parts.append(_CHANGED)
    if tags:
        parts += [_TAG_IDS] if some else []
        parts.append(_TAGS)
    else:
        parts += [_PLATE_KEYS if some else _ALL_PLATES, _PLATES]
    parts += [", standing AS MATERIALIZED (", _STANDING, ")", _SELECT]
    sql: LiteralString = "".join(parts)
    fill: list[tuple[LiteralString, LiteralString]] = [
        ("{additional}", additional),
        ("{own}", own),
        ("{external}", external),
        ("{which}", "WHERE t.id = ANY(ARRAY(SELECT id FROM wanted))" if some else ""),
        ("{some}", _OF_FOUND if some else _EVER),
        ("{materialized}", "MATERIALIZED" if some else "NOT MATERIALIZED"),
    ]
    for hole, text in [*fill, *_LASTING]:
        sql = sql.replace(hole, text)
    return sql


def stream(connection: Connection[Any], list_type: str, wanted: Wanted) -> Iterator[Row]:
    """Yield the rows of a list by PAN, or by country and plate, on the transaction of a psycopg connection: one
    statement, one snapshot, flat memory. The connection can do nothing else until the last row."""
    params = {"now": wanted.now, "through": wanted.through, "first": wanted.first, "code": wanted.charger}
    sql = ClientCursor(connection).mogrify(query(list_type, wanted), params)
    with connection.cursor() as cursor, cursor.copy(b"COPY (" + sql.encode() + b") TO STDOUT") as copy:
        for pan, obu_id, country, plate, tag_state, covered, standing, why in copy.rows():
            state, reason = said(tag_state, covered == "true", standing, why)
            yield Row(pan, country, plate, state, reason, obu_id)
