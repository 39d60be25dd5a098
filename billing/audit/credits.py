"""Claims below zero and presented anew, credit notes, payouts."""

from __future__ import annotations

from billing.audit.rules import Rule, same_person, took_credit

RULES = (
    Rule(
        "claims_joined",
        "what joined a claim with a version that it has had is its passages, and its sum what they changed in it",
        """
        SELECT format('claim %s, version %s: %s øre joined it; noted are %s øre up to version %s, of which %s are not '
                      'its passages', c.id, c.version, c.joined_ore, coalesce(j.ore, 0), j.version, j.strange)
        FROM claims AS c LEFT JOIN (
            SELECT x.claim_id, sum(x.amount_ore) AS ore, max(x.version) AS version,
                   count(*) FILTER (WHERE (p.claim_id, p.amount_ore) IS DISTINCT FROM (x.claim_id, x.amount_ore))
                       AS strange
            FROM joined AS x LEFT JOIN passages AS p ON p.id = x.passage_id GROUP BY 1
        ) AS j ON j.claim_id = c.id
        WHERE c.joined_ore <> coalesce(j.ore, 0) OR j.version > c.version OR j.strange > 0
        ORDER BY c.id
        """,
    ),
    Rule(
        "claims_below_zero",
        "what a claim is below zero is credit of its agreement, once",
        """
        SELECT format('claim %s of agreement %s is %s øre; its credit is %s øre of agreement %s', coalesce(c.id, e.ref),
                      coalesce(c.agreement_id::text, 'none'), coalesce(c.amount_ore, 0), coalesce(e.amount_ore, 0),
                      coalesce(e.agreement_id::text, 'none'))
        FROM (SELECT * FROM claims WHERE amount_ore < 0) AS c
        FULL JOIN (SELECT * FROM credit_entries WHERE code = 'credit_note') AS e ON e.ref = c.id
        WHERE (c.agreement_id, -c.amount_ore) IS DISTINCT FROM (e.agreement_id, e.amount_ore)
        ORDER BY coalesce(c.id, e.ref)
        """,
    ),
    Rule(
        "allocations_released",
        "what a claim released with a version that it has had is credit again, of the same value date",
        """
        SELECT format('allocation %s released %s øre of %s with version %s; credit %s øre of %s', coalesce(a.id, e.ref),
                      coalesce(-a.amount_ore, 0), a.value_date, a.source_id, coalesce(e.amount_ore, 0), e.value_date)
        FROM (SELECT x.*, c.version FROM allocations AS x JOIN claims AS c ON c.id = x.claim_id
              WHERE x.source = 'released') AS a
        FULL JOIN (SELECT * FROM credit_entries WHERE code = 'released') AS e ON e.ref = a.id
        WHERE (a.agreement_id, -a.amount_ore, a.value_date)
              IS DISTINCT FROM (e.agreement_id, e.amount_ore, e.value_date)
           OR a.amount_ore > 0 OR a.source_id NOT BETWEEN 2 AND a.version
        ORDER BY coalesce(a.id, e.ref)
        """,
    ),
    # What a version brought: less or more of what is owed, never below nothing (the rest is `credit_claim`).
    Rule(
        "transfers_anew",
        "what joined a claim is booked with its version, as less or more that is owed",
        """
        SELECT CASE WHEN d.ref IS NULL THEN format('transfer %s (%s %s %s, %s øre) is about nothing', t.id, t.code,
                                                   t.ref, t.part, t.amount_ore)
            ELSE format('claim %s, version %s: %s of %s øre, in the books are %s of %s øre', d.ref, d.part, d.code,
                        d.ore, coalesce(t.code, 'nothing'), coalesce(t.amount_ore, 0)) END
        FROM (SELECT * FROM transfers WHERE code IN ('claim_reduced', 'claim_raised')) AS t
        FULL JOIN (
            SELECT CASE WHEN less > 0 THEN 'claim_reduced' ELSE 'claim_raised' END AS code, ref, part,
                   abs(less) AS ore, agreement_id, at
            FROM (
                SELECT x.claim_id AS ref, x.version::text AS part, c.agreement_id, x.at,
                       greatest(c.passages_ore - c.joined_ore + sum(x.ore) OVER w - x.ore, 0)
                       - greatest(c.passages_ore - c.joined_ore + sum(x.ore) OVER w, 0) AS less
                FROM (SELECT claim_id, version, sum(amount_ore) AS ore, max(at) AS at FROM joined GROUP BY 1, 2) AS x
                JOIN claims AS c ON c.id = x.claim_id
                WINDOW w AS (PARTITION BY x.claim_id ORDER BY x.version)
            ) AS y WHERE less <> 0
        ) AS d USING (code, ref, part)
        WHERE (t.amount_ore, t.debit_owner + t.credit_owner, t.created_at)
              IS DISTINCT FROM (d.ore, d.agreement_id, d.at)
        ORDER BY t.id, d.ref
        """,
    ),
    Rule(
        "documents_credited",
        "a document is credited whole when its claim has a later version, by the same lines the other way round; the "
        "credits of an invoice never pass it",
        """
        SELECT format('document %s (version %s of %s) of %s øre: credited by %s of %s øre, with %s lines that differ',
                      d.number, d.version, c.version, d.total_ore, coalesce(n.numbers, 'nothing'), coalesce(n.ore, 0),
                      coalesce(n.strange, 0))
        FROM documents AS d
        JOIN claims AS c ON c.id = d.claim_id
        LEFT JOIN (
            SELECT x.credits_id, string_agg(x.number::text, ', ' ORDER BY x.number) AS numbers,
                   sum(x.total_ore) AS ore, sum(l.strange) AS strange,
                   bool_or((x.claim_id, x.version, x.agreement_id, x.buyer, -x.fee_ore)
                           IS DISTINCT FROM (o.claim_id, o.version, o.agreement_id, o.buyer, o.fee_ore)) AS other
            FROM documents AS x
            JOIN documents AS o ON o.id = x.credits_id
            CROSS JOIN LATERAL (
                SELECT count(*) AS strange
                FROM (SELECT * FROM document_lines WHERE document_id = x.id) AS a
                FULL JOIN (SELECT * FROM document_lines WHERE document_id = o.id) AS b USING (line)
                WHERE (a.kind, a.country, a.plate, a.vat_bp, a.count, -a.gross_ore, -a.net_ore, -a.vat_ore)
                      IS DISTINCT FROM
                      (b.kind, b.country, b.plate, b.vat_bp, b.count, b.gross_ore, b.net_ore, b.vat_ore)
            ) AS l
            GROUP BY 1
        ) AS n ON n.credits_id = d.id
        WHERE d.credits_id IS NULL AND (
              (d.version < c.version) <> (n.credits_id IS NOT NULL)
              OR (n.credits_id IS NOT NULL
                  AND (d.kind <> 'invoice' OR -n.ore <> d.total_ore OR n.strange > 0 OR n.other))
              OR -n.ore > d.total_ore)
        ORDER BY d.number
        """,
    ),
    Rule(
        "documents_anew",
        "a credit note of an invoice, and what comes in its place, are issued on the Oslo date of their making by no "
        "run, with no more paid than there was; who asked for a credit note says why",
        """
        SELECT format('document %s (%s, version %s), made %s, is issued on %s by run %s, %s øre paid and %s øre credit '
                      'used of %s øre', d.number, d.kind, d.version, d.made_at, d.issued_on,
                      coalesce(d.run_id::text, 'none'), d.paid_ore, d.credit_used_ore, d.total_ore)
        FROM documents AS d
        LEFT JOIN (SELECT claim_id, sum(amount_ore) AS ore FROM allocations WHERE amount_ore > 0 GROUP BY 1) AS a
             ON a.claim_id = d.claim_id
        WHERE ((d.credits_id IS NOT NULL OR d.version > 1) AND (
                  d.run_id IS NOT NULL OR d.issued_on <> (d.made_at AT TIME ZONE 'Europe/Oslo')::date
                  OR d.paid_ore < 0 OR d.paid_ore + d.credit_used_ore > greatest(least(d.total_ore, a.ore), 0)))
           OR (d.version = 1 AND d.credits_id IS NULL AND d.paid_ore <> 0)
           OR (d.credits_id IS NOT NULL AND (coalesce(d.reason, '') = '' OR coalesce(d.actor, '') = ''))
        ORDER BY d.number
        """,
    ),
    took_credit(
        "payouts_credit",
        "a payout took its sum of its agreement's credit, which came back when it did not come about",
        "payouts",
        "payout",
        "'rejected', 'cancelled'",
    ),
    Rule(
        "payouts_approved",
        "a payout was approved before it was ordered, by somebody else than who asked for it where a person did",
        f"""
        SELECT format('payout %s (%s): asked for by %s, approved by %s at %s', id, state, requested_by,
                      coalesce(approved_by, 'rule'), coalesce(approved_at::text, 'no time'))
        FROM payouts
        WHERE (approved_at IS NULL AND state NOT IN ('requested', 'cancelled'))
           OR (approved_at IS NOT NULL AND state = 'requested')
           OR {same_person("approved_by", "requested_by")}
        ORDER BY id
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "payout_orders",
        "an order to the bank has its payouts, in number and in sum, and the bytes that it was known by",
        """
        SELECT format('order %s of %s: %s transfers of %s øre, payouts %s of %s øre', o.id, o.for_date, o.transfers,
                      o.sum_ore, coalesce(p.n, 0), coalesce(p.ore, 0))
        FROM payout_orders AS o
        LEFT JOIN (SELECT order_id, count(*) AS n, sum(amount_ore) AS ore FROM payouts GROUP BY 1) AS p
             ON p.order_id = o.id
        WHERE (o.transfers, o.sum_ore) <> (coalesce(p.n, 0), coalesce(p.ore, 0)) OR o.sha256 <> sha256(o.content)
        ORDER BY o.id
        """,
    ),
)
