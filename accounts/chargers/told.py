"""When a charger was told of a change: SQL that matching, support, the API and the audit share.

A charger that takes no status lists is told of a change when it counts (``effective_at``), though not before it is
told anything at all (``told_from``). One that takes lists is told when it acknowledges the version that holds the
change, or a later full list, whichever is first. What changed outside of the periods in which it took lists
(``list_periods``) it was told at once, then as now; and what no list had said when it took none any more, then.

Which lists it took, and how long after its acknowledgement one counts, is said by the period that covers the passage:
what is agreed later changes nothing of what was judged before, nor of what arrives late from that time. A period that
begins when another ends goes on from it.
"""

from __future__ import annotations

from typing import LiteralString


def told(list_type: LiteralString) -> LiteralString:
    """Return a lateral subquery (version, at) for a row ``p`` of publications and a row ``c`` of chargers: no row as
    long as the charger has not been told. ``version`` is null where it was told at once. ``list_type`` is SQL.

    Each branch is one probe of an index, however many versions there are.
    """
    return f"""(
        SELECT f.version, f.at FROM (
            SELECT CAST(NULL AS integer) AS version, greatest(p.effective_at, c.told_from) AS at
            WHERE NOT EXISTS (
                SELECT FROM list_periods AS w WHERE w.charger_id = c.id AND w.since <= p.effective_at
                    AND (w.until IS NULL OR w.until > p.effective_at))
            UNION ALL
            SELECT NULL, w.until FROM list_periods AS w
            WHERE w.charger_id = c.id AND w.until > p.effective_at AND NOT EXISTS (
                SELECT FROM list_periods AS n WHERE n.charger_id = c.id AND n.since = w.until AND n.id > w.id)
            UNION ALL
            (SELECT v.version, v.acknowledged_at FROM list_versions AS v
            WHERE v.charger_id = c.id AND v.list_type = {list_type} AND v.through_change >= p.position
            ORDER BY v.through_change, v.version LIMIT 1)
            UNION ALL
            (SELECT v.version, v.acknowledged_at FROM list_versions AS v
            WHERE v.charger_id = c.id AND v.list_type = {list_type} AND v.kind = 'full'
                AND v.acknowledged_at IS NOT NULL AND v.through_change >= p.position
            ORDER BY v.acknowledged_at, v.version LIMIT 1)
        ) AS f WHERE f.at IS NOT NULL ORDER BY f.at, f.version NULLS FIRST LIMIT 1
    )"""  # noqa: S608 - no input in it


def taken(at: LiteralString) -> LiteralString:
    """Return a lateral subquery of one row (list_types, latency_minutes, lists) for a row ``c`` of chargers: what it
    took at an instant, by the last period that had begun by then, else what it takes today; ``lists``: whether it took
    any. ``at`` is SQL."""
    return f"""(
        SELECT coalesce(w.list_types, c.list_types) AS list_types, w.latency_minutes,
            coalesce(w.since <= {at} AND (w.until IS NULL OR w.until > {at}), false) AS lists
        FROM (SELECT) AS one
        LEFT JOIN LATERAL (
            SELECT w.* FROM list_periods AS w WHERE w.charger_id = c.id AND w.since <= {at}
            ORDER BY w.since DESC, w.id DESC LIMIT 1
        ) AS w ON true
    )"""  # noqa: S608 - no input in it


def first_type(list_types: LiteralString) -> LiteralString:
    """Return the SQL of the list a charger goes by when a tag is read, or when nothing is said of how: that of tags, if
    it takes it. ``list_types`` (what it takes) is SQL."""
    return f"CASE {list_types} WHEN 'plates' THEN 'plates' ELSE 'tags' END"


FIRST_TYPE = first_type("c.list_types")
"""And which that is today, for a row ``c`` of chargers."""


def list_type_of(list_types: LiteralString, by_plate: LiteralString) -> LiteralString:
    """Return the SQL of the list that a passage is judged by: who takes both lists goes by the one of what was read.
    ``list_types`` (what was taken then) and ``by_plate`` (whether it was the plate) are SQL."""
    return (
        f"CASE {list_types} WHEN 'both' THEN CASE WHEN {by_plate} THEN 'plates' ELSE 'tags' END ELSE {list_types} END"
    )


def latency(at: LiteralString, since: LiteralString, minutes: LiteralString) -> LiteralString:
    """Return the SQL of how long after it was told a change counts, for a row ``t`` of ``taken`` and ``k`` of ``told``:
    what is told at once needs no time to reach the roadside. Where nothing is agreed a figure counts from its date on:
    ``since`` (instants) and ``minutes`` are parameters, arrays of one length; ``at`` is when it happened."""
    return f"""
        make_interval(mins => CASE WHEN k.version IS NULL THEN 0 ELSE coalesce(t.latency_minutes, (
            SELECT f.minutes
            FROM unnest(CAST({since} AS timestamptz[]), CAST({minutes} AS integer[])) AS f (since, minutes)
            WHERE f.since <= {at} ORDER BY f.since DESC LIMIT 1
        ), 0) END)
    """  # noqa: S608 - no input in it


BY_TAG: LiteralString = list_type_of("t.list_types", "false")
"""The list that goes for a tag that was read, for a row ``t`` of ``taken``."""


def tag_refused(pan: LiteralString, at: LiteralString, wait: LiteralString) -> LiteralString:
    """Return the SQL condition that the last which a charger (a row ``c``) had been told by an instant of what became
    of a tag is that it is lost, stolen or returned. ``pan`` and ``at`` are SQL; ``wait`` is that of ``latency``."""
    return f"""coalesce((
        SELECT p.reason <> 'active'
        FROM tags AS g
        JOIN publications AS p ON p.agreement_id = g.agreement_id AND p.tag_id = g.id
            AND p.reason IN ('active', 'lost', 'stolen', 'returned')
        CROSS JOIN LATERAL {taken(at)} AS t
        CROSS JOIN LATERAL {told(BY_TAG)} AS k
        WHERE g.pan = {pan} AND k.at + {wait} <= {at}
        ORDER BY p.id DESC LIMIT 1
    ), false)"""  # noqa: S608 - no input in it
