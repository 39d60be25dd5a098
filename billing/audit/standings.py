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
        """,  # noqa: S608 - ours
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
)
