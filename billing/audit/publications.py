"""What chargers are told, against the changes that they are to be told of; and the lists that tell them."""

from __future__ import annotations

from billing.audit.rules import Rule

# When each change was to be told (chargers.publish): an end and a removal as of when they count where that lies ahead.
# Awaiting a reopening tells nothing, and an end is told when it is decided, not when it comes. Of two at one moment
# the one written last counts from no earlier than the other.
_CHANGES = """
    SELECT agreement_id, NULL::bigint AS registration_id, CASE standing WHEN 'open' THEN 'valid' ELSE standing END
               AS status, max(at) OVER (PARTITION BY agreement_id ORDER BY id) AS made_at
    FROM standings WHERE standing IN ('open', 'blocked')
    UNION ALL
    SELECT id, NULL, 'ended', closed_at FROM agreements WHERE closed_at IS NOT NULL
    UNION ALL
    SELECT agreement_id, registration_id, 'removed', greatest(requested_at, ends_at) FROM removals WHERE operator = ''
"""

RULES = (
    Rule(
        "publications_changes",
        "a change of standing, an end and a removal were each published once",
        f"""
        WITH changes AS (
            SELECT agreement_id, coalesce(registration_id, 0) AS registration_id, status, made_at, count(*) AS n
            FROM ({_CHANGES}) AS c GROUP BY 1, 2, 3, 4
        ), told AS (
            SELECT agreement_id, coalesce(registration_id, 0) AS registration_id, status, effective_at AS made_at,
                   count(*) AS n
            FROM publications WHERE status IN ('valid', 'blocked', 'ended', 'removed') GROUP BY 1, 2, 3, 4
        )
        SELECT format('agreement %s%s is %s as of %s: published %s times, not %s', agreement_id,
                      CASE registration_id WHEN 0 THEN '' ELSE ', registration ' || registration_id END, status,
                      made_at, coalesce(t.n, 0), c.n)
        FROM changes AS c LEFT JOIN told AS t USING (agreement_id, registration_id, status, made_at)
        WHERE coalesce(t.n, 0) <> c.n
        ORDER BY agreement_id, made_at
        """,  # noqa: S608 - no input in it
    ),
    # An end may be moved to an earlier instant, and was published as of the later one too.
    Rule(
        "publications_causes",
        "what was published is a change that there was, and counts from no earlier than it was made",
        f"""
        SELECT format('publication %s: agreement %s%s %s as of %s is no change that there was', p.id, p.agreement_id,
                      ', registration ' || p.registration_id, p.status, p.effective_at)
        FROM publications AS p
        LEFT JOIN ({_CHANGES}) AS c ON (c.agreement_id, c.status) = (p.agreement_id, p.status)
             AND c.registration_id IS NOT DISTINCT FROM p.registration_id AND c.made_at <= p.effective_at
        WHERE p.status IN ('valid', 'blocked', 'ended', 'removed') AND (c.agreement_id IS NULL
              OR p.effective_at < p.made_at)
        ORDER BY p.id
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "publications_standings",
        "what was last published of an agreement is how it stands, and counts from when it was published, in order",
        """
        SELECT format('agreement %s is %s, last published as %s', a.id, a.standing, coalesce(p.status, 'nothing'))
        FROM agreements AS a
        LEFT JOIN LATERAL (
            SELECT status FROM publications AS p WHERE p.agreement_id = a.id AND p.status IN ('valid', 'blocked')
            ORDER BY id DESC LIMIT 1
        ) AS p ON true
        LEFT JOIN LATERAL (
            SELECT standing FROM standings AS s WHERE s.agreement_id = a.id AND s.standing IN ('open', 'blocked')
            ORDER BY id DESC LIMIT 1
        ) AS s ON true
        WHERE CASE a.standing
            WHEN 'open' THEN p.status IS DISTINCT FROM 'valid'
            WHEN 'blocked' THEN p.status IS DISTINCT FROM 'blocked'
            WHEN 'awaiting_reopen' THEN p.status IS DISTINCT FROM CASE s.standing WHEN 'open' THEN 'valid'
                ELSE s.standing END
            ELSE NOT EXISTS (SELECT FROM publications AS e WHERE e.agreement_id = a.id AND e.status = 'ended'
                AND e.effective_at <= :now) END
        UNION ALL
        SELECT format('agreement %s: publication %s (%s) counts from %s, earlier than one before it', agreement_id, id,
                      status, effective_at)
        FROM (SELECT *, max(effective_at) OVER (PARTITION BY agreement_id ORDER BY id) AS latest
              FROM publications WHERE status IN ('valid', 'blocked')) AS p
        WHERE effective_at < latest
        """,
    ),
    Rule(
        "publications_positions",
        "the places of changes on lists are 1, 2, 3 …",
        """
        SELECT format('change %s has place %s after %s', id, position, before)
        FROM (SELECT id, position, lag(position, 1, CAST(0 AS bigint)) OVER (ORDER BY position) AS before
              FROM publications WHERE position IS NOT NULL) AS p
        WHERE position <> before + 1 ORDER BY position
        """,
    ),
    Rule(
        "list_versions_numbers",
        "versions of a charger's list are 1, 2, 3 …, the first one full; their changes follow each other and are there",
        """
        SELECT format('charger %s, %s: version %s (%s, changes %s to %s) after version %s (to %s), of %s', charger_id,
                      list_type, version, kind, from_change, through_change, before, through_before, highest)
        FROM (
            SELECT v.*, lag(version, 1, 0) OVER w AS before,
                   lag(through_change, 1, CAST(0 AS bigint)) OVER w AS through_before,
                   (SELECT coalesce(max(position), 0) FROM publications) AS highest
            FROM list_versions AS v WINDOW w AS (PARTITION BY charger_id, list_type ORDER BY version)
        ) AS v
        WHERE version <> before + 1 OR from_change <> through_before + 1 OR through_change > highest
           OR (version = 1 AND kind <> 'full')
        ORDER BY charger_id, list_type, version
        """,
    ),
    Rule(
        "list_versions_steps",
        "a version was made, then sent, then acknowledged; what a later full list superseded has one",
        """
        SELECT format('charger %s, %s, version %s is %s: made %s, sent %s, acknowledged %s', v.charger_id, v.list_type,
                      v.version, v.state, v.made_at, coalesce(v.sent_at::text, 'never'),
                      coalesce(v.acknowledged_at::text, 'never'))
        FROM list_versions AS v
        WHERE (v.state IN ('sent', 'rejected') AND v.sent_at IS NULL) OR (v.state = 'made' AND v.sent_at IS NOT NULL)
           OR v.sent_at < v.made_at OR v.acknowledged_at < v.sent_at
           OR (v.state = 'superseded' AND NOT EXISTS (
               SELECT FROM list_versions AS f WHERE (f.charger_id, f.list_type) = (v.charger_id, v.list_type)
                   AND f.kind = 'full' AND f.version > v.version AND f.state = 'acknowledged')
               AND v.error IS DISTINCT FROM 'no longer taken')
        ORDER BY v.charger_id, v.list_type, v.version
        """,
    ),
    Rule(
        "list_versions_bytes",
        "the bytes of a version that is not answered, and may be sent again, are those it was made of",
        """
        SELECT format('charger %s, %s, version %s: %s bytes, kept %s', v.charger_id, v.list_type, v.version, v.size,
                      p.size)
        FROM list_versions AS v
        JOIN (SELECT version_id, sum(length(body)) AS size, string_agg(body, '' ORDER BY part) AS body FROM list_parts
              WHERE version_id IN (SELECT id FROM list_versions WHERE state IN ('made', 'sent'))
              GROUP BY version_id) AS p ON p.version_id = v.id
        WHERE v.state IN ('made', 'sent') AND (p.size <> v.size OR sha256(p.body) <> v.sha256)
        UNION ALL
        SELECT format('charger %s, %s, version %s is %s and its bytes are gone', charger_id, list_type, version, state)
        FROM list_versions AS v WHERE state IN ('made', 'sent') AND size > 0
            AND NOT EXISTS (SELECT FROM list_parts AS p WHERE p.version_id = v.id)
        """,
    ),
    Rule(
        "list_periods_chargers",
        "a charger takes lists in the period that lasts, those that it says, and in no two at once",
        """
        SELECT format('charger %s takes lists: %s; a period lasts: %s', c.code, c.lists, w.id IS NOT NULL)
        FROM chargers AS c LEFT JOIN list_periods AS w ON w.charger_id = c.id AND w.until IS NULL
        WHERE (c.lists = 'none') <> (w.id IS NULL)
        UNION ALL
        SELECT format('charger %s takes %s with %s minutes, in the period that lasts %s with %s', c.code, c.list_types,
                      coalesce(c.latency_minutes::text, 'the usual'), w.list_types,
                      coalesce(w.latency_minutes::text, 'the usual'))
        FROM chargers AS c JOIN list_periods AS w ON w.charger_id = c.id AND w.until IS NULL
        WHERE (c.list_types, c.latency_minutes) IS DISTINCT FROM (w.list_types, w.latency_minutes)
        UNION ALL
        SELECT format('charger %s took lists twice at once: periods %s and %s', a.charger_id, a.id, b.id)
        FROM list_periods AS a JOIN list_periods AS b ON b.charger_id = a.charger_id AND b.id > a.id
        WHERE b.since < coalesce(a.until, 'infinity')
        """,
    ),
)
