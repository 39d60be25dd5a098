"""What chargers are owed, what is kept of it, what they claim, and the orders by which they are paid."""

from __future__ import annotations

from billing.audit.ledger import each_transfer, total
from billing.audit.rules import Rule, same_person

# Half away from zero, as config.money rounds.
_SHARE = "sign({0}) * ((abs({0}) * {1} * 2 + 10000) / 20000)"
_REMUNERATION = _SHARE.format("claim_ore", "remuneration_bp")
_VAT = _SHARE.format("remuneration_ore", "remuneration_vat_bp")

_BOOKED = """
    SELECT CASE WHEN ore > 0 THEN code ELSE code || '_back' END, id, abs(ore),
        CASE WHEN ore > 0 THEN charger_id ELSE 0 END::bigint, CASE WHEN ore > 0 THEN 0 ELSE charger_id END::bigint,
        agreed_at
    FROM settlements CROSS JOIN LATERAL (
        VALUES ('remuneration', remuneration_ore), ('remuneration_vat', remuneration_vat_ore)) AS k (code, ore)
    WHERE state <> 'draft' AND ore <> 0
    UNION ALL
    SELECT 'charger_payment', o.id, o.amount_ore, s.charger_id, 0, o.ended_at
    FROM charger_orders AS o JOIN settlements AS s ON s.id = o.settlement_id WHERE o.state = 'paid'
"""

RULES = (
    total(
        "ledger_remuneration",
        "remuneration is what was kept of the settlements agreed to",
        "remuneration",
        debit=False,
        detail="SELECT remuneration_ore FROM settlements WHERE state <> 'draft'",
    ),
    each_transfer(
        "transfers_settlements",
        "what is kept of a settlement is booked when it is agreed to, a payment to a charger when it is noted, once",
        "'remuneration', 'remuneration_back', 'remuneration_vat', 'remuneration_vat_back', 'charger_payment'",
        _BOOKED,
    ),
    Rule(
        "settlements_sums",
        "a settlement is the sum of its projects; what is kept of it is its rate, rounded once",
        f"""
        SELECT format('settlement %s: %s accepted, %s taken back; its projects: %s and %s; kept %s and %s', s.id,
                      s.accepted_ore, s.reversed_ore, coalesce(l.accepted, 0), coalesce(l.reversed, 0),
                      s.remuneration_ore, s.remuneration_vat_ore)
        FROM settlements AS s LEFT JOIN (
            SELECT settlement_id, sum(accepted_ore) AS accepted, sum(reversed_ore) AS reversed,
                sum(accepted_count) AS came, sum(reversed_count) AS went
            FROM settlement_lines GROUP BY 1
        ) AS l ON l.settlement_id = s.id
        WHERE (s.accepted_ore, s.reversed_ore) <> (coalesce(l.accepted, 0), coalesce(l.reversed, 0))
           OR (s.accepted_count, s.reversed_count) <> (coalesce(l.came, 0), coalesce(l.went, 0))
           OR s.remuneration_ore <> {_REMUNERATION} OR s.remuneration_vat_ore <> {_VAT}
        ORDER BY s.id
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "settlements_passages",
        "a settlement has what arrived for its charger in its days, by project, and nothing else",
        """
        SELECT format('settlement %s, %s: %s passages of %s øre and %s taken back of %s øre; there are %s of %s and '
                      '%s of %s', coalesce(l.id, p.id), coalesce(l.project, p.project), coalesce(l.accepted_count, 0),
                      coalesce(l.accepted_ore, 0), coalesce(l.reversed_count, 0), coalesce(l.reversed_ore, 0),
                      coalesce(p.came, 0), coalesce(p.came_ore, 0), coalesce(p.went, 0), coalesce(p.went_ore, 0))
        FROM (SELECT settlement_id AS id, * FROM settlement_lines) AS l
        FULL JOIN (
            SELECT s.id, p.project, count(*) FILTER (WHERE p.reverses_id IS NULL) AS came,
                coalesce(sum(p.amount_ore) FILTER (WHERE p.reverses_id IS NULL), 0) AS came_ore,
                count(*) FILTER (WHERE p.reverses_id IS NOT NULL) AS went,
                coalesce(-sum(p.amount_ore) FILTER (WHERE p.reverses_id IS NOT NULL), 0) AS went_ore
            FROM settlements AS s JOIN passages AS p ON p.charger_id = s.charger_id AND p.owed
                AND p.booked_at >= s.period_from::timestamp AT TIME ZONE 'Europe/Oslo' AND p.booked_at < s.cutoff_at
            GROUP BY 1, 2
        ) AS p ON p.id = l.id AND p.project = l.project
        WHERE (l.accepted_count, l.accepted_ore, l.reversed_count, l.reversed_ore)
            IS DISTINCT FROM (p.came, p.came_ore, p.went, p.went_ore)
        ORDER BY coalesce(l.id, p.id), coalesce(l.project, p.project)
        """,
    ),
    Rule(
        "settlements_periods",
        "a charger's settlements follow each other day by day, are cut off when their last day ended, begin no later "
        "than what is owed, and bring along what the one before lacked",
        """
        SELECT format('settlement %s of charger %s, %s to %s, cut off %s: brought %s øre; the one before ended %s with '
                      '%s øre', x.id, x.charger_id, x.period_from, x.period_to, x.cutoff_at, x.brought_ore,
                      coalesce(x.ended::text, 'never'), coalesce(x.lacked, 0))
        FROM (
            SELECT s.*, lag(period_to) OVER w AS ended, lag(payout_ore) OVER w AS lacked
            FROM settlements AS s WINDOW w AS (PARTITION BY charger_id ORDER BY period_from)
        ) AS x
        WHERE x.cutoff_at <> (x.period_to + 1)::timestamp AT TIME ZONE 'Europe/Oslo'
           OR x.ended <> x.period_from - 1 OR x.brought_ore <> least(coalesce(x.lacked, 0), 0)
           OR (x.ended IS NULL AND EXISTS (SELECT FROM transfers AS t WHERE t.credit = 'payable'
               AND t.credit_owner = x.charger_id AND t.booked_on < x.period_from))
        ORDER BY x.id
        """,
    ),
    Rule(
        "settlements_orders",
        "a settlement is ordered while an order of it is open, and paid when one is, with its payout; carried without",
        """
        SELECT format('settlement %s is %s, payout %s øre; its order: %s, %s øre', s.id, s.state, s.payout_ore,
                      coalesce(o.state, 'none'), coalesce(o.amount_ore, 0))
        FROM settlements AS s
        LEFT JOIN charger_orders AS o ON o.settlement_id = s.id AND o.state NOT IN ('rejected', 'withdrawn')
        WHERE s.state <> CASE WHEN s.agreed_at IS NULL THEN 'draft' WHEN s.payout_ore <= 0 THEN 'carried'
                WHEN o.id IS NULL THEN 'agreed' WHEN o.state = 'paid' THEN 'paid' ELSE 'ordered' END
           OR o.amount_ore <> s.payout_ore
        ORDER BY s.id
        """,
    ),
    Rule(
        "orders_files",
        "an order is released by somebody else than who made it, and its file has its digest and names it",
        f"""
        SELECT format('order %s (%s) of %s, released by %s: its file is not its own', id, state, made_by,
                      coalesce(released_by, 'nobody'))
        FROM charger_orders
        WHERE {same_person("made_by", "released_by")} OR sha256 <> sha256(content)
           OR position(convert_to('<EndToEndId>' || end_to_end_id || '</EndToEndId>', 'UTF8') IN content) = 0
           OR position(convert_to('>' || trunc(amount_ore / 100.0)::bigint || '.'
                  || lpad((amount_ore % 100)::text, 2, '0') || '</InstdAmt>', 'UTF8') IN content) = 0
        ORDER BY id
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "charger_claims_differences",
        "a charger's claim is its lines, and its differences account for all that it is out",
        """
        SELECT format('claim %s of charger %s: %s lines of %s øre, there are %s of %s; ours %s øre; %s differences of '
                      '%s øre, there are %s', c.number, c.charger_id, c.line_count, c.claimed_ore, coalesce(l.n, 0),
                      coalesce(l.ore, 0), c.ours_ore, c.difference_count, coalesce(d.ore, 0), coalesce(d.n, 0))
        FROM charger_claims AS c
        LEFT JOIN (SELECT claim_id, count(*) AS n, sum(amount_ore) AS ore FROM charger_claim_lines GROUP BY 1) AS l
            ON l.claim_id = c.id
        LEFT JOIN (
            SELECT claim_id, count(*) AS n, sum(claimed_ore - ours_ore) AS ore FROM charger_claim_differences GROUP BY 1
        ) AS d ON d.claim_id = c.id
        WHERE (c.line_count, c.claimed_ore, c.difference_count, c.claimed_ore - c.ours_ore)
            <> (coalesce(l.n, 0), coalesce(l.ore, 0), coalesce(d.n, 0), coalesce(d.ore, 0))
           OR c.sha256 <> sha256(c.content)
        ORDER BY c.id
        """,
    ),
)
