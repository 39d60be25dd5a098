"""Standings against the facts they follow from."""

from __future__ import annotations

from billing.audit.rules import Rule

# What accounts.agreements.rules.standing says, set-based. Two facts come about by the passing of time, and the jobs
# that note them run daily: a closing that was reached, and a due date after another block. They have until :judged.
_FACTS = """
    SELECT a.id, a.standing,
           b.id IS NOT NULL AS blocked,
           a.closed_at IS NOT NULL AND a.closed_at <= :now AS closed,
           a.closed_at IS NOT NULL AND a.closed_at < CAST(:judged AS date) AS long_closed,
           coalesce(c.now_ore, 0) AS now_ore, coalesce(c.judged_ore, 0) AS judged_ore
    FROM agreements AS a
    LEFT JOIN blocks AS b ON b.agreement_id = a.id AND b.ended_at IS NULL
    LEFT JOIN (
        SELECT agreement_id, sum(amount_ore - settled_ore) AS now_ore,
               sum(amount_ore - settled_ore) FILTER (WHERE due_on <= :judged) AS judged_ore
        FROM claims WHERE due_on < :today AND settled_ore < amount_ore AND amount_ore - settled_ore >= :remainder
        GROUP BY agreement_id
    ) AS c ON c.agreement_id = a.id
"""

RULES = (
    Rule(
        "standings_facts",
        "a standing is what its block, what is overdue and its closing say",
        f"""
        SELECT format('agreement %s is %s; block %s, overdue %s øre, closed %s', id, standing, blocked, now_ore, closed)
        FROM ({_FACTS}) AS f
        WHERE NOT CASE standing
            WHEN 'closed' THEN closed
            WHEN 'open' THEN NOT blocked AND NOT long_closed
            WHEN 'blocked' THEN blocked AND now_ore > 0 AND NOT long_closed
            ELSE blocked AND judged_ore = 0 AND NOT long_closed END
        ORDER BY id
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "standings_history",
        "the last row of an agreement's history is its standing",
        """
        SELECT format('agreement %s is %s, its history ends with %s', a.id, a.standing, coalesce(s.standing, 'nothing'))
        FROM agreements AS a
        LEFT JOIN LATERAL (
            SELECT standing FROM standings WHERE agreement_id = a.id ORDER BY id DESC LIMIT 1
        ) AS s ON true
        WHERE s.standing IS DISTINCT FROM a.standing ORDER BY a.id
        """,
    ),
    Rule(
        "blocks_claims",
        "a block was made for claims of its agreement that are there",
        """
        SELECT format('block %s names claim %s', b.id, k.claim_id)
        FROM blocks AS b CROSS JOIN LATERAL jsonb_array_elements_text(b.claims) AS k (claim_id)
        LEFT JOIN claims AS c ON c.id = k.claim_id::bigint AND c.agreement_id = b.agreement_id
        WHERE c.id IS NULL ORDER BY b.id
        """,
    ),
    # Instants are taken before locks, so that two of one moment may lie in the other order.
    Rule(
        "standings_steps",
        "an agreement's history begins with its opening and goes on by steps that there are, in time; its end is last",
        """
        SELECT format('agreement %s: %s (%s) at %s after %s at %s', x.agreement_id, x.standing, x.reason, x.at,
                      coalesce(x.before, 'nothing'), coalesce(x.since::text, 'no time'))
        FROM (
            SELECT s.*, lag(standing) OVER w AS before, lag(at) OVER w AS since
            FROM standings AS s WINDOW w AS (PARTITION BY agreement_id ORDER BY id)
        ) AS x JOIN agreements AS a ON a.id = x.agreement_id
        WHERE CASE WHEN x.before IS NULL THEN (x.standing, x.reason, x.at) <> ('open', 'opened', a.opened_at)
                  WHEN x.standing = 'closed' THEN x.before = 'closed' OR x.reason <> 'closed'
                       OR x.at IS DISTINCT FROM a.closed_at
                  ELSE x.at < x.since - interval '1 hour' OR (x.before, x.standing, x.reason) NOT IN (
                       ('open', 'blocked', 'overdue'), ('open', 'awaiting_reopen', 'overdue'),
                       ('blocked', 'awaiting_reopen', 'paid'), ('awaiting_reopen', 'blocked', 'overdue'),
                       ('blocked', 'open', 'paid_in_time'), ('awaiting_reopen', 'open', 'paid_in_time'),
                       ('blocked', 'open', 'reopened'), ('awaiting_reopen', 'open', 'reopened')) END
        ORDER BY x.id
        """,
    ),
    Rule(
        "standings_blocks",
        "a change to blocked has the block made then, one to open the block that ended so then; a block has claims",
        """
        SELECT format('agreement %s: %s (%s) at %s has no block that was made or ended so', s.agreement_id, s.standing,
                      s.reason, s.at)
        FROM standings AS s
        JOIN (SELECT id, lag(standing) OVER (PARTITION BY agreement_id ORDER BY id) AS before FROM standings) AS x
             USING (id)
        LEFT JOIN blocks AS m ON (m.agreement_id, m.at) = (s.agreement_id, s.at)
        LEFT JOIN blocks AS e ON (e.agreement_id, e.ended_at) = (s.agreement_id, s.at)
             AND e.ending = CASE s.reason WHEN 'paid_in_time' THEN 'voided' ELSE s.reason END
        WHERE (x.before = 'open' AND s.standing IN ('blocked', 'awaiting_reopen') AND m.id IS NULL)
           OR (x.before <> 'open' AND s.standing = 'open' AND e.id IS NULL)
        UNION ALL
        SELECT format('block %s of agreement %s names no claims, or ended before it began', id, agreement_id)
        FROM blocks WHERE jsonb_array_length(claims) = 0 OR ended_at < at - interval '1 hour'
        """,
    ),
)
