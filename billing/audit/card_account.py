"""The card provider's account of us: what is in the books of its payouts and costs is what was read."""

from __future__ import annotations

from billing.audit.rules import Rule

RULES = (
    Rule(
        "card_payouts_booked",
        "a payout of the card provider's is in the books while it is paid, with its sum",
        """
        SELECT format('payout %s (%s, %s øre): %s øre in the books', coalesce(p.id, t.ref), coalesce(p.state, 'none'),
                      coalesce(p.amount_ore, 0), coalesce(t.ore, 0))
        FROM card_payouts AS p
        FULL JOIN (
            SELECT ref, sum(CASE code WHEN 'card_payout' THEN amount_ore ELSE -amount_ore END) AS ore
            FROM transfers WHERE code IN ('card_payout', 'card_payout_back') GROUP BY 1
        ) AS t ON t.ref = p.id
        WHERE p.id IS NULL OR coalesce(t.ore, 0) <> CASE p.state WHEN 'paid' THEN p.amount_ore ELSE 0 END
        ORDER BY coalesce(p.id, t.ref)
        """,
    ),
    Rule(
        "card_costs_booked",
        "what a line of the card provider's costs is in the books: its fee, or all of what is about nothing of ours",
        """
        SELECT format('line %s (%s of %s øre, fee %s): a cost of %s øre in the books', coalesce(l.id, t.ref),
                      coalesce(l.type, 'none'), coalesce(l.amount_ore, 0), coalesce(l.fee_ore, 0), coalesce(t.ore, 0))
        FROM card_transactions AS l
        FULL JOIN (
            SELECT ref, sum(CASE code WHEN 'card_cost' THEN amount_ore ELSE -amount_ore END) AS ore
            FROM transfers WHERE code IN ('card_cost', 'card_cost_back') GROUP BY 1
        ) AS t ON t.ref = l.id
        WHERE l.id IS NULL OR coalesce(t.ore, 0) <> CASE
              WHEN l.type IN ('payment', 'refund', 'dispute', 'payout', 'topup', 'reserve') THEN l.fee_ore
              ELSE -l.net_ore END
        ORDER BY coalesce(l.id, t.ref)
        """,
    ),
    Rule(
        "card_moved_booked",
        "a line by which money of ours went to the card provider, or is kept there, is in the books with its sum",
        """
        SELECT format('line %s (%s of %s øre): %s øre in the books', coalesce(l.id, t.ref), coalesce(l.type, 'none'),
                      coalesce(l.amount_ore, 0), coalesce(t.ore, 0))
        FROM (SELECT id, type, amount_ore FROM card_transactions WHERE type IN ('topup', 'reserve')) AS l
        FULL JOIN (
            SELECT ref, CASE WHEN code LIKE 'card_topup%' THEN 'topup' ELSE 'reserve' END AS type, sum(amount_ore *
                   CASE WHEN code IN ('card_topup', 'card_reserve_back') THEN 1 ELSE -1 END) AS ore
            FROM transfers WHERE code IN ('card_topup', 'card_topup_back', 'card_reserve', 'card_reserve_back')
            GROUP BY 1, 2
        ) AS t ON t.ref = l.id AND t.type = l.type
        WHERE coalesce(l.amount_ore, 0) <> coalesce(t.ore, 0)
        ORDER BY coalesce(l.id, t.ref)
        """,
    ),
    Rule(
        "card_payouts_whole",
        "the lines of a payout of which all are read add up to it",
        """
        SELECT format('payout %s of %s øre: its lines are %s øre', p.id, p.amount_ore, coalesce(t.ore, 0))
        FROM card_payouts AS p
        LEFT JOIN (SELECT payout_id, sum(net_ore) AS ore FROM card_transactions GROUP BY 1) AS t ON t.payout_id = p.id
        WHERE p.whole AND coalesce(t.ore, 0) <> p.amount_ore ORDER BY p.id
        """,
    ),
)
