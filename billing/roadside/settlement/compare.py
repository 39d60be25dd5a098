"""The comparison of a claim with what we owe, in SQL: a claim may have millions of lines.

``claimed`` and ``ours`` are temporary tables: the claim's lines, and what arrived in its days by record or by project.
Of every difference, claimed − ours is how much the claim is out by it; what is equal has none.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.roadside.settlement.models import ChargerClaim
from billing.roadside.settlement.settle import OWED
from config.database import touched

_OURS_RECORDS = """
    CREATE TEMPORARY TABLE ours ON COMMIT DROP AS
    SELECT p.source_id AS name, sum(p.amount_ore)::bigint AS ore, count(*) AS number,
        bool_or(p.reverses_id IS NOT NULL) AS reversed
    FROM passages AS p
    WHERE p.charger_id = :charger AND p.owed AND p.booked_at >= :begins AND p.booked_at < :ends
    GROUP BY p.source_id
"""

_OURS_PROJECTS = f"""
    CREATE TEMPORARY TABLE ours ON COMMIT DROP AS
    SELECT o.project AS name, o.accepted_ore - o.reversed_ore AS ore, o.accepted_count - o.reversed_count AS number,
        false AS reversed
    FROM ({OWED}) AS o
"""  # noqa: S608 - no input in it

# A record named twice counts once. A cancellation is a record of its own, and takes away from the one whose passage it
# took back: of an adjusted record that is the adjustment, not the record which was there first. One that took nothing
# back takes from the first; one that is not in force (superseded, waiting, refused) stands by itself.
# What stands only in the claim is looked up by its key; what was booked on other days is theirs, unless another claim
# has had it already.
_RECORDS = """
    WITH RECURSIVE numbered AS (
        SELECT l.line, l.source_id, l.amount_ore, first_value(l.line) OVER w AS first_line
        FROM claimed AS l WINDOW w AS (PARTITION BY l.source_id COLLATE "C" ORDER BY l.line)
    ), cancels AS MATERIALIZED (
        SELECT n.source_id, k.original_id
        FROM numbered AS n JOIN corrections AS k ON k.charger_id = :charger AND k.source_id = n.source_id
        WHERE n.line = n.first_line AND k.action = 'cancel' AND k.state = 'applied'
    ), family AS (
        SELECT c.source_id, c.original_id AS name FROM cancels AS c
        UNION ALL
        SELECT c.source_id, k.source_id FROM cancels AS c
        JOIN corrections AS k ON k.charger_id = :charger AND k.original_id = c.original_id AND k.action = 'adjust'
    ), chain AS (
        SELECT f.source_id, f.name, r.passage_id FROM family AS f
        JOIN records AS r ON r.charger_id = :charger AND r.source_id = f.name
        WHERE r.passage_id IS NOT NULL
        UNION
        SELECT c.source_id, c.name, t.id FROM chain AS c
        JOIN reversals AS v ON v.passage_id = c.passage_id
        CROSS JOIN LATERAL (VALUES (v.counter_id), (v.replaced_by)) AS t (id)
        WHERE t.id IS NOT NULL
    ), cancelled AS (
        SELECT c.source_id, min(c.name) AS name FROM chain AS c
        JOIN reversals AS v ON v.passage_id = c.passage_id AND v.cause = 'cancelled' AND v.reason = c.source_id
        GROUP BY c.source_id
    ), theirs AS (
        SELECT coalesce(x.name, k.original_id, n.source_id) AS name, min(n.line) AS line,
            sum(n.amount_ore)::bigint AS ore
        FROM numbered AS n
        LEFT JOIN cancels AS k ON k.source_id = n.source_id
        LEFT JOIN cancelled AS x ON x.source_id = n.source_id
        WHERE n.line = n.first_line GROUP BY 1
    ), found AS (
        SELECT 'claimed_twice' AS kind, n.line, n.source_id AS name, n.amount_ore AS claimed, 0::bigint AS ours,
            NULL::text AS code, format('first in line %s', n.first_line) AS detail
        FROM numbered AS n WHERE n.line <> n.first_line
        UNION ALL
        SELECT CASE WHEN o.reversed AND o.ore <= 0 THEN 'reversed_here' ELSE 'amount_differs' END, t.line, t.name,
            t.ore, o.ore, NULL,
            CASE WHEN o.reversed THEN 'accepted, and taken back' ELSE 'accepted with another sum' END
        FROM theirs AS t JOIN ours AS o ON o.name = t.name WHERE t.ore <> o.ore
        UNION ALL
        SELECT CASE WHEN o.reversed AND o.ore < 0 THEN 'reversed_here' ELSE 'missing_there' END, NULL, o.name, 0, o.ore,
            NULL, CASE WHEN o.reversed AND o.ore < 0 THEN 'taken back on these days' ELSE 'owed, and not claimed' END
        FROM ours AS o LEFT JOIN theirs AS t ON t.name = o.name WHERE t.name IS NULL AND o.ore <> 0
        UNION ALL
        SELECT CASE WHEN r.source_id IS NULL THEN 'missing_here' WHEN r.code <> 'accepted' THEN 'not_accepted'
                WHEN c.number IS NOT NULL THEN 'claimed_twice' ELSE 'other_period' END,
            t.line, t.name, t.ore, 0, CASE WHEN r.code <> 'accepted' THEN r.code END,
            CASE WHEN r.source_id IS NULL THEN 'no such record has come'
                WHEN r.code <> 'accepted' THEN concat_ws(': ', r.code, r.detail)
                WHEN c.number IS NOT NULL THEN format('claimed in %s', c.number)
                ELSE format('came in batch %s on %s', b.id, (b.received_at AT TIME ZONE 'Europe/Oslo')::date) END
        FROM theirs AS t
        LEFT JOIN ours AS o ON o.name = t.name
        LEFT JOIN records AS r ON r.charger_id = :charger AND r.source_id = t.name
        LEFT JOIN batches AS b ON b.id = r.batch_id
        LEFT JOIN LATERAL (
            SELECT c.number FROM charger_claim_lines AS l JOIN charger_claims AS c ON c.id = l.claim_id
            WHERE l.source_id = t.name AND c.charger_id = :charger AND c.id <> :claim AND NOT EXISTS (
                SELECT FROM charger_claim_differences AS d WHERE d.claim_id = c.id AND d.source_id = t.name)
            ORDER BY c.id LIMIT 1
        ) AS c ON r.code = 'accepted'
        WHERE o.name IS NULL AND t.ore <> 0
    )
    INSERT INTO charger_claim_differences (claim_id, number, kind, line, source_id, claimed_ore, ours_ore, code, detail)
    SELECT :claim, row_number() OVER (ORDER BY f.line NULLS LAST, f.name COLLATE "C", f.kind), f.kind, f.line, f.name,
        f.claimed, f.ours, f.code, f.detail
    FROM found AS f
"""

_PROJECTS = """
    WITH numbered AS (
        SELECT l.line, l.project, l.count, l.amount_ore, first_value(l.line) OVER w AS first_line
        FROM claimed AS l WINDOW w AS (PARTITION BY l.project ORDER BY l.line)
    ), found AS (
        SELECT 'claimed_twice' AS kind, n.line, n.project AS name, n.amount_ore AS claimed, 0::bigint AS ours,
            format('first in line %s', n.first_line) AS detail
        FROM numbered AS n WHERE n.line <> n.first_line
        UNION ALL
        SELECT CASE WHEN o.name IS NULL THEN 'missing_here' WHEN t.line IS NULL THEN 'missing_there'
                ELSE 'amount_differs' END, t.line, coalesce(t.project, o.name), coalesce(t.amount_ore, 0),
            coalesce(o.ore, 0), format('%s claimed, %s owed', coalesce(t.count, 0), coalesce(o.number, 0))
        FROM (SELECT * FROM numbered WHERE line = first_line) AS t FULL JOIN ours AS o ON o.name = t.project
        WHERE (coalesce(t.amount_ore, 0), coalesce(t.count, 0)) <> (coalesce(o.ore, 0), coalesce(o.number, 0))
    )
    INSERT INTO charger_claim_differences (claim_id, number, kind, line, project, claimed_ore, ours_ore, detail)
    SELECT :claim, row_number() OVER (ORDER BY f.line NULLS LAST, f.name COLLATE "C", f.kind), f.kind, f.line, f.name,
        f.claimed, f.ours, f.detail
    FROM found AS f
"""


def compare(session: Session, row: ChargerClaim, begins: dt.datetime, ends: dt.datetime) -> None:
    """Write what differs between the temporary table ``claimed`` and what arrived from ``begins`` until ``ends``, and
    what ours comes to."""
    session.execute(text("DROP TABLE IF EXISTS ours"))
    session.execute(text("SELECT set_config('work_mem', '64MB', true)"))  # for this transaction: a million lines hashed
    params = {"claim": row.id, "charger": row.charger_id}
    if row.form == "records":
        session.execute(text(_OURS_RECORDS), {**params, "begins": begins, "ends": ends})
    else:
        spans = {"chargers": [row.charger_id], "begins": [begins], "ends": [ends]}
        session.execute(text(_OURS_PROJECTS), {**spans, "earliest": begins, "latest": ends})
    session.execute(text("ANALYZE ours"))
    made = session.execute(text(_RECORDS if row.form == "records" else _PROJECTS), params)
    row.difference_count = touched(made)
    ours = text("SELECT count(*) FILTER (WHERE ore <> 0), coalesce(sum(ore), 0)::bigint FROM ours")
    row.ours_count, row.ours_ore = session.execute(ours).one()
    session.flush()
