"""What the books say of each transfer: its code, its accounts, its day, and the passages behind it.

`ledger` holds accounts and transfers against sums; here is what a sum cannot tell.
"""

from __future__ import annotations

from billing.audit.rules import Rule

# docs/architecture.md, "The ledger's codes".
_CODES = """
    VALUES ('passages', 'unbilled', 'payable'), ('reversed', 'payable', 'unbilled'),
           ('credited', 'write_off', 'unbilled'), ('uncredited', 'unbilled', 'write_off'),
           ('mass_reversed', 'payable', 'unbilled'), ('mass_undone', 'unbilled', 'payable'),
           ('mass_credited', 'write_off', 'unbilled'), ('mass_uncredited', 'unbilled', 'write_off'),
           ('claim', 'receivable', 'unbilled'),
           ('card_fee', 'receivable', 'card_fees'), ('card_fee_back', 'card_fees', 'receivable'),
           ('card_payment', 'card_clearing', 'receivable'),
           ('card_refund', 'credit', 'refunds'), ('card_refund_back', 'refunds', 'credit'),
           ('card_refund_written_off', 'write_off', 'refunds'),
           ('card_refund_written_back', 'refunds', 'write_off'),
           ('card_refund_paid', 'refunds', 'card_clearing'), ('card_refund_returned', 'card_clearing', 'refunds'),
           ('card_dispute', 'disputes', 'card_clearing'), ('card_dispute_won', 'card_clearing', 'disputes'),
           ('card_dispute_claim', 'receivable', 'disputes'), ('card_dispute_credit', 'credit', 'disputes'),
           ('card_dispute_written_off', 'write_off', 'disputes'),
           ('card_dispute_credit_back', 'disputes', 'credit'),
           ('card_dispute_written_back', 'disputes', 'write_off'),
           ('card_payout', 'bank', 'card_clearing'), ('card_payout_back', 'card_clearing', 'bank'),
           ('card_cost', 'card_costs', 'card_clearing'), ('card_cost_back', 'card_clearing', 'card_costs'),
           ('card_topup', 'card_clearing', 'bank'), ('card_topup_back', 'bank', 'card_clearing'),
           ('card_reserve', 'card_reserves', 'card_clearing'), ('card_reserve_back', 'card_clearing', 'card_reserves'),
           ('payment', 'bank', 'suspense'), ('allocation', 'suspense', 'receivable'),
           ('overpaid', 'suspense', 'credit'), ('card_extra', 'card_clearing', 'credit'),
           ('vipps_payment', 'vipps_clearing', 'receivable'), ('vipps_extra', 'vipps_clearing', 'credit'),
           ('vipps_refund', 'credit', 'refunds'), ('vipps_refund_back', 'refunds', 'credit'),
           ('vipps_refund_paid', 'refunds', 'vipps_clearing'), ('vipps_refund_written_off', 'write_off', 'refunds'),
           ('taken_back', 'suspense', 'bank'), ('unallocated', 'receivable', 'suspense'),
           ('credit_back', 'credit', 'suspense'), ('credit_used', 'credit', 'receivable'),
           ('write_off', 'write_off', 'receivable'), ('written_back', 'receivable', 'write_off'),
           ('claim_reduced', 'unbilled', 'receivable'), ('claim_raised', 'receivable', 'unbilled'),
           ('credit_claim', 'unbilled', 'credit'), ('released', 'receivable', 'credit'),
           ('payout', 'credit', 'refunds'), ('payout_back', 'refunds', 'credit'), ('payout_paid', 'refunds', 'bank'),
           ('remuneration', 'payable', 'remuneration'), ('remuneration_back', 'remuneration', 'payable'),
           ('remuneration_vat', 'payable', 'vat'), ('remuneration_vat_back', 'vat', 'payable'),
           ('charger_payment', 'payable', 'bank')
"""

RULES = (
    Rule(
        "transfers_codes",
        "every transfer has a code that there is, and moves between that code's accounts",
        f"""
        SELECT format('transfer %s: %s from %s to %s', t.id, t.code, t.credit, t.debit)
        FROM transfers AS t LEFT JOIN ({_CODES}) AS k (code, debit, credit) USING (code)
        WHERE (t.debit, t.credit) IS DISTINCT FROM (k.debit, k.credit) ORDER BY t.id
        """,  # noqa: S608 - no input in it
    ),
    # Credit that an invoice uses is booked on the invoice's day, which a run may set ahead.
    Rule(
        "transfers_dates",
        "a transfer is booked on the Oslo date of its instant, credit used by an invoice on the invoice's",
        """
        SELECT format('transfer %s (%s %s) of %s is booked on %s', t.id, t.code, t.ref, t.created_at, t.booked_on)
        FROM transfers AS t
        WHERE t.booked_on <> (t.created_at AT TIME ZONE 'Europe/Oslo')::date
          AND (t.code <> 'credit_used' OR NOT EXISTS (
              SELECT FROM allocations AS a JOIN documents AS d ON d.claim_id = a.claim_id
              WHERE a.id = t.ref AND d.issued_on = t.booked_on))
        ORDER BY t.id
        """,
    ),
    Rule(
        "transfers_vouchers",
        "a voucher is of one event: its transfers were booked at one instant, and it was given out",
        """
        SELECT format('voucher %s has %s transfers, of %s to %s', voucher, count(*), min(created_at), max(created_at))
        FROM transfers GROUP BY voucher
        HAVING min(created_at) <> max(created_at) OR voucher NOT BETWEEN 1 AND (SELECT last_value FROM vouchers)
        ORDER BY voucher
        """,
    ),
    Rule(
        "transfers_batches",
        "what a batch's transfers say it brought for a project, and when, is what its passages are worth",
        """
        SELECT format('batch %s, charger %s, project %s, booked %s: transfers %s øre, passages %s øre', ref, charger,
                      project, at, coalesce(t.ore, 0), coalesce(p.ore, 0))
        FROM (
            SELECT ref, credit_owner AS charger, created_at AS at, sum(amount_ore) AS ore,
                   CASE WHEN split_part(part, '/', 1) ~ '^a?[0-9]+$' AND split_part(part, '/', 2) = credit_owner::text
                        THEN substr(part, length(split_part(part, '/', 1)) + length(split_part(part, '/', 2)) + 3) END
                       AS project
            FROM transfers WHERE code = 'passages' AND part <> 'moved' GROUP BY 1, 2, 3, 5
        ) AS t
        FULL JOIN (
            SELECT p.batch_id AS ref, p.charger_id::bigint AS charger, p.booked_at AS at, p.project,
                   sum(p.amount_ore) AS ore
            FROM passages AS p LEFT JOIN reversals AS v ON v.replaced_by = p.id
            WHERE p.reverses_id IS NULL AND v.passage_id IS NULL AND NOT p.external GROUP BY 1, 2, 3, 4
        ) AS p USING (ref, charger, at, project)
        WHERE coalesce(t.ore, 0) <> coalesce(p.ore, 0) ORDER BY ref, charger, project
        """,
    ),
    Rule(
        "transfers_reversals",
        "a move is booked for the counter-row and for what replaces it, a crediting or correction for the counter-row",
        """
        SELECT CASE WHEN t.ref IS NULL THEN format('%s %s (%s) of %s øre is not in the books', d.code, d.ref, d.part,
                                                   d.ore)
            ELSE format('transfer %s (%s %s %s, %s øre of %s) should be %s øre of %s', t.id, t.code, t.ref, t.part,
                        t.amount_ore, t.created_at, coalesce(d.ore, 0), coalesce(d.at::text, 'nothing')) END
        FROM (SELECT * FROM transfers
              WHERE code IN ('reversed', 'credited', 'uncredited') OR (code = 'passages' AND part = 'moved')) AS t
        FULL JOIN (
            SELECT CASE WHEN v.cause IN ('credited', 'uncredited') THEN v.cause WHEN p.amount_ore < 0 THEN 'reversed'
                        ELSE 'passages' END AS code, p.id AS ref,
                   CASE WHEN v.cause IN ('credited', 'uncredited') THEN '' ELSE v.cause END AS part,
                   abs(p.amount_ore) AS ore, p.booked_at AS at,
                   CASE WHEN v.cause IN ('credited', 'uncredited') THEN 0 ELSE p.charger_id END AS charger
            FROM reversals AS v
            CROSS JOIN LATERAL (VALUES (v.counter_id), (v.replaced_by)) AS n (id)
            JOIN passages AS p ON p.id = n.id
            WHERE NOT p.external AND p.amount_ore <> 0 AND v.cause NOT IN ('mass', 'mass_credited')
        ) AS d ON (d.code, d.ref, d.part) = (t.code, t.ref, t.part)
        WHERE (t.amount_ore, t.created_at, t.debit_owner + t.credit_owner) IS DISTINCT FROM (d.ore, d.at, d.charger)
        ORDER BY t.id, d.ref
        """,
    ),
)
