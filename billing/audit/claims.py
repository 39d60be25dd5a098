"""Claims, what settled them, credit, payments, cards."""

from __future__ import annotations

from billing.audit.rules import Rule

RULES = (
    Rule(
        "claims_passages",
        "a claim's sum and count are those of its passages, which are its agreement's",
        """
        SELECT CASE WHEN c.id IS NULL THEN format('claim %s is not there, and %s passages point to it', p.claim_id, p.n)
            ELSE format('claim %s: %s øre in %s passages, they have %s øre in %s', c.id, c.passages_ore,
                        c.passages_count, coalesce(p.ore, 0), coalesce(p.n, 0)) END
        FROM claims AS c FULL JOIN (
            SELECT claim_id, sum(amount_ore) AS ore, count(*) AS n,
                   min(agreement_id) AS first, max(agreement_id) AS last
            FROM passages WHERE claim_id IS NOT NULL GROUP BY claim_id
        ) AS p ON p.claim_id = c.id
        WHERE c.id IS NULL OR c.passages_ore <> coalesce(p.ore, 0) OR c.passages_count <> coalesce(p.n, 0)
           OR p.first <> c.agreement_id OR p.last <> c.agreement_id
        ORDER BY coalesce(c.id, p.claim_id)
        """,
    ),
    Rule(
        "claims_settled",
        "what of a claim is settled is the sum of its allocations, which are its agreement's",
        """
        SELECT format('claim %s: settled %s øre, allocations %s øre', c.id, c.settled_ore, coalesce(a.ore, 0))
        FROM claims AS c LEFT JOIN (
            SELECT claim_id, sum(amount_ore) AS ore, min(agreement_id) AS first, max(agreement_id) AS last
            FROM allocations GROUP BY claim_id
        ) AS a ON a.claim_id = c.id
        WHERE c.settled_ore <> coalesce(a.ore, 0) OR a.first <> c.agreement_id OR a.last <> c.agreement_id
        ORDER BY c.id
        """,
    ),
    Rule(
        "allocations_sources",
        "an allocation is of a payment, a reversal, a successful attempt, a capture or a dispute that is there",
        """
        SELECT format('allocation %s: no %s %s', a.id, a.source, a.source_id)
        FROM allocations AS a
        LEFT JOIN payments AS p ON a.source IN ('payment', 'reversal') AND p.id = a.source_id
             AND (p.amount_ore > 0) = (a.source = 'payment')
        LEFT JOIN attempts AS t ON a.source = 'card' AND t.id = a.source_id AND t.state = 'succeeded'
             AND NOT t.credited
        LEFT JOIN card_disputes AS s ON a.source = 'dispute' AND s.id = a.source_id
             AND (s.claim_ore = -a.amount_ore OR s.state = 'won')
        WHERE (a.source IN ('payment', 'reversal') AND p.id IS NULL) OR (a.source = 'card' AND t.id IS NULL)
           OR (a.source = 'dispute' AND s.id IS NULL)
           OR (a.source = 'vipps' AND NOT EXISTS (SELECT FROM vipps_captures AS v WHERE v.id = a.source_id))
        ORDER BY a.id
        """,
    ),
    Rule(
        "credit_not_negative",
        "nobody's credit is below zero",
        "SELECT format('agreement %s: credit %s øre', agreement_id, sum(amount_ore)) FROM credit_entries "
        "GROUP BY agreement_id HAVING sum(amount_ore) < 0 ORDER BY agreement_id",
    ),
    Rule(
        "credit_used",
        "credit used is what was allocated from credit, of the same value date",
        """
        SELECT format('allocation %s of credit %s øre, entry %s øre', coalesce(a.id, e.ref), coalesce(a.amount_ore, 0),
                      coalesce(e.amount_ore, 0))
        FROM (SELECT * FROM allocations WHERE source = 'credit') AS a
        FULL JOIN (SELECT * FROM credit_entries WHERE code = 'used') AS e ON e.ref = a.id
        WHERE (a.agreement_id, a.amount_ore, a.value_date)
              IS DISTINCT FROM (e.agreement_id, -e.amount_ore, e.value_date)
        ORDER BY coalesce(a.id, e.ref)
        """,
    ),
    Rule(
        "payments_placed",
        "a settled payment went to claims and credit wholly; one in suspense did not; reversed ones cancel each other",
        """
        SELECT format('payment %s (%s): %s øre, of which %s øre are nobody''s', id, state, amount_ore, rest)
        FROM (
            SELECT p.id, p.state, p.amount_ore, o.id AS other,
                   p.amount_ore - coalesce(a.ore, 0) - coalesce(e.ore, 0) AS rest
            FROM payments AS p
            LEFT JOIN (SELECT source_id, sum(amount_ore) AS ore FROM allocations
                       WHERE source IN ('payment', 'reversal') GROUP BY 1) AS a ON a.source_id = p.id
            LEFT JOIN (SELECT ref, sum(amount_ore) AS ore FROM credit_entries
                       WHERE code IN ('overpaid', 'assigned', 'reversed') GROUP BY 1) AS e ON e.ref = p.id
            LEFT JOIN payments AS o ON (o.reverses_id = p.id OR o.id = p.reverses_id) AND o.state = 'reversed'
                 AND o.amount_ore = -p.amount_ore
        ) AS x
        WHERE CASE state WHEN 'settled' THEN rest <> 0 WHEN 'suspense' THEN rest = 0
              ELSE rest <> amount_ore OR other IS NULL END
        ORDER BY id
        """,
    ),
    Rule(
        "payments_owners",
        "what a payment settled or became is its agreement's, its claim's and of its value date",
        """
        SELECT format('payment %s of %s is agreement %s''s for claim %s; %s %s of %s is agreement %s''s%s', p.id,
                      p.value_date, coalesce(p.agreement_id::text, 'nobody'), coalesce(p.claim_id::text, 'none'),
                      x.what, x.id, x.value_date, x.agreement_id, ' for claim ' || x.claim_id)
        FROM payments AS p
        JOIN (
            SELECT 'allocation' AS what, id, source_id, agreement_id, claim_id, value_date
            FROM allocations WHERE source IN ('payment', 'reversal')
            UNION ALL
            SELECT 'credit entry', id, ref, agreement_id, NULL, value_date
            FROM credit_entries WHERE code IN ('overpaid', 'assigned', 'reversed')
            UNION ALL
            SELECT 'claim', c.id, q.id, c.agreement_id, c.id, q.value_date
            FROM payments AS q JOIN claims AS c ON c.id = q.claim_id
        ) AS x ON x.source_id = p.id
        LEFT JOIN payments AS o ON o.id = p.reverses_id
        WHERE x.agreement_id IS DISTINCT FROM p.agreement_id
           OR (x.what = 'allocation' AND x.claim_id IS DISTINCT FROM p.claim_id)
           OR x.value_date <> CASE x.what WHEN 'credit entry' THEN coalesce(o.value_date, p.value_date)
                              ELSE p.value_date END
        ORDER BY p.id
        """,
    ),
    Rule(
        "card_successes",
        "a charge is paid by one success at most, which settled its claim with the sum and the fee it took",
        """
        SELECT format('charge %s (%s): %s successes of %s øre, the claim has %s øre from cards', h.id, h.state,
                      count(t.id), coalesce(sum(t.amount_ore), 0), coalesce(max(a.ore), 0))
        FROM charges AS h
        LEFT JOIN attempts AS t ON t.charge_id = h.id AND t.state = 'succeeded' AND NOT t.credited
        LEFT JOIN (SELECT claim_id, sum(amount_ore) AS ore FROM allocations WHERE source = 'card' GROUP BY 1) AS a
             ON a.claim_id = h.claim_id
        LEFT JOIN claims AS c ON c.id = h.claim_id
        GROUP BY h.id
        HAVING count(t.id) <> CASE h.state WHEN 'succeeded' THEN 1 ELSE 0 END
            OR coalesce(sum(t.amount_ore), 0) <> coalesce(max(a.ore), 0)
            OR (count(t.id) = 1 AND sum(t.amount_ore - t.fee_ore) <> max(c.passages_ore - c.joined_ore))
            OR (h.amount_ore IS NOT NULL AND h.amount_ore <> max(c.passages_ore - c.joined_ore))
        ORDER BY h.id
        """,
    ),
    Rule(
        "card_extra",
        "an attempt that succeeded after its charge had ended is its agreement's credit, with all of its sum",
        """
        SELECT format('attempt %s (%s): %s øre of agreement %s beside its charge, credit %s øre of agreement %s',
                      coalesce(t.id, e.ref), coalesce(t.state, 'not credited'), coalesce(t.amount_ore, 0),
                      coalesce(t.agreement_id::text, 'none'), coalesce(e.amount_ore, 0),
                      coalesce(e.agreement_id::text, 'none'))
        FROM (SELECT t.id, t.state, t.amount_ore, h.agreement_id FROM attempts AS t
              JOIN charges AS h ON h.id = t.charge_id WHERE t.credited) AS t
        FULL JOIN (SELECT * FROM credit_entries WHERE code = 'card_extra') AS e ON e.ref = t.id
        WHERE (t.state, t.agreement_id, t.amount_ore) IS DISTINCT FROM ('succeeded', e.agreement_id, e.amount_ore)
        ORDER BY coalesce(t.id, e.ref)
        """,
    ),
    # A reversal (18, 20) is added in the bank's sums, but where its sign says otherwise: it may count either way.
    Rule(
        "bank_files",
        "a booked file's transactions are its payments and those known before; its sum is its assignments' and theirs",
        """
        SELECT format('bank file %s (%s): %s transactions (%s known before) of %s øre; it has %s payments of %s øre '
                      'and %s øre taken back, assignments of %s øre', f.id, f.state, f.transactions, f.repeated,
                      f.sum_ore, coalesce(p.n, 0), coalesce(p.ore, 0), coalesce(p.back, 0), coalesce(a.ore, 0))
        FROM bank_files AS f
        LEFT JOIN (
            SELECT bank_file_id, count(*) AS n,
                   coalesce(sum(amount_ore) FILTER (WHERE kind NOT IN ('18', '20')), 0) AS ore,
                   coalesce(sum(-amount_ore) FILTER (WHERE kind IN ('18', '20')), 0) AS back
            FROM payments GROUP BY 1
        ) AS p ON p.bank_file_id = f.id
        LEFT JOIN (SELECT bank_file_id, sum(sum_ore) AS ore FROM bank_assignments GROUP BY 1) AS a
             ON a.bank_file_id = f.id
        WHERE f.transactions <> coalesce(p.n, 0) + f.repeated OR f.sum_ore <> coalesce(a.ore, 0)
           OR (f.repeated = 0 AND abs(f.sum_ore - coalesce(p.ore, 0)) > coalesce(p.back, 0))
           OR (f.state <> 'booked' AND f.transactions <> 0)
        ORDER BY f.id
        """,
    ),
)
