"""What chargers were told, against the changes that they are to be told of.

A charger has no date of its own: it was there when a change was made if it had been told something before, by the
order of the rows or by time. One that came later was told of what it found, at once, which is no change.
"""

from __future__ import annotations

from billing.audit.rules import Rule

# When each change was to be told (chargers.publish): an end and a removal as of when they count where that lies ahead.
# Awaiting a reopening tells nothing, and an end is told when it is decided, not when it comes.
_CHANGES = """
    SELECT agreement_id, NULL::bigint AS registration_id, CASE standing WHEN 'open' THEN 'valid' ELSE standing END
               AS status, at AS made_at
    FROM standings WHERE standing IN ('open', 'blocked')
    UNION ALL
    SELECT id, NULL, 'ended', closed_at FROM agreements WHERE closed_at IS NOT NULL
    UNION ALL
    SELECT agreement_id, registration_id, 'removed', greatest(requested_at, ends_at) FROM removals WHERE operator = ''
"""

RULES = (
    Rule(
        "publications_changes",
        "a change of standing, an end and a removal were each published once to every charger there was",
        f"""
        WITH changes AS (
            SELECT agreement_id, coalesce(registration_id, 0) AS registration_id, status, made_at, count(*) AS n
            FROM ({_CHANGES}) AS c GROUP BY 1, 2, 3, 4
        ), told AS (
            SELECT charger_id, agreement_id, coalesce(registration_id, 0) AS registration_id, status, made_at,
                   count(*) AS n, max(id) AS id
            FROM publications GROUP BY 1, 2, 3, 4, 5
        ), last AS (
            SELECT agreement_id, registration_id, status, made_at, max(id) AS id FROM told GROUP BY 1, 2, 3, 4
        ), there AS (
            SELECT charger_id, min(id) AS id, min(made_at) AS since FROM publications GROUP BY charger_id
        )
        SELECT format('agreement %s%s is %s as of %s: charger %s was told %s times, not %s', c.agreement_id,
                      CASE c.registration_id WHEN 0 THEN '' ELSE ', registration ' || c.registration_id END, c.status,
                      c.made_at, h.charger_id, coalesce(t.n, 0), c.n)
        FROM changes AS c
        LEFT JOIN last AS l USING (agreement_id, registration_id, status, made_at)
        CROSS JOIN there AS h
        LEFT JOIN told AS t ON (t.agreement_id, t.registration_id, t.status, t.made_at, t.charger_id)
                             = (c.agreement_id, c.registration_id, c.status, c.made_at, h.charger_id)
        WHERE coalesce(t.n, 0) > c.n OR (coalesce(t.n, 0) < c.n AND (l.id > h.id OR c.made_at > h.since))
        ORDER BY c.agreement_id, c.made_at, h.charger_id
        """,  # noqa: S608 - ours
    ),
)
