"""Payments by Vipps: what was captured, where it went, and what was given back."""

from __future__ import annotations

from billing.audit.ledger import each_transfer, total
from billing.audit.rules import Rule, same_person, took_credit

# What we bear of money that Vipps gave back beside us: what it did not take of the credit.
_BORNE = """(
    CASE requested_by WHEN 'vipps' THEN coalesce((SELECT sum(x.amount_ore) FROM transfers AS x
        WHERE x.code = 'vipps_refund_written_off' AND x.ref = vipps_refunds.id), 0)::bigint ELSE 0 END
)"""
_TOOK = """(
    CASE requested_by WHEN 'vipps' THEN coalesce((SELECT -sum(x.amount_ore) FROM credit_entries AS x
        WHERE x.code = 'vipps_refund' AND x.ref = r.id), 0)::bigint ELSE amount_ore END
)"""

RULES = (
    total(
        "ledger_vipps_clearing",
        "Vipps clearing is the sum of what Vipps captured less what it gave back; its payouts are not booked yet",
        "vipps_clearing",
        debit=True,
        detail="SELECT amount_ore FROM vipps_captures UNION ALL "
        "SELECT -amount_ore FROM vipps_refunds WHERE state = 'succeeded'",
    ),
    Rule(
        "vipps_captures",
        "a payment's captures add up to what Vipps told, step by step, never beyond what the customer approved; it "
        "counts as paid on the day that they began",
        """
        SELECT format('payment %s (%s) of %s øre: captured %s øre, captures up to %s (%s) of %s of %s', p.id, p.state,
                      p.amount_ore, p.captured_ore, v.upto_ore, v.id, v.amount_ore, v.value_date)
        FROM vipps_payments AS p
        LEFT JOIN (
            SELECT *, sum(amount_ore) OVER (PARTITION BY payment_id ORDER BY id) AS running,
                   row_number() OVER (PARTITION BY payment_id ORDER BY id DESC) AS back
            FROM vipps_captures
        ) AS v ON v.payment_id = p.id
        WHERE (v.id IS NULL AND p.captured_ore <> 0) OR v.running <> v.upto_ore
           OR (v.back = 1 AND v.upto_ore <> p.captured_ore) OR p.captured_ore > p.amount_ore
           OR v.value_date > (p.started_at AT TIME ZONE 'Europe/Oslo')::date
        ORDER BY p.id, v.id
        """,
    ),
    Rule(
        "vipps_placed",
        "what was captured settled its payment's claim, and what did not fit it is its agreement's credit",
        """
        SELECT format('capture %s of %s øre, claim %s of agreement %s: %s øre settled, %s øre in credit', v.id,
                      v.amount_ore, p.claim_id, p.agreement_id, coalesce(a.ore, 0), coalesce(e.ore, 0))
        FROM vipps_captures AS v JOIN vipps_payments AS p ON p.id = v.payment_id
        LEFT JOIN (
            SELECT source_id, sum(amount_ore) AS ore, min(claim_id) AS first, max(claim_id) AS last,
                   max(agreement_id) AS owner, max(value_date) AS day
            FROM allocations WHERE source = 'vipps' GROUP BY 1
        ) AS a ON a.source_id = v.id
        LEFT JOIN (
            SELECT ref, sum(amount_ore) AS ore, max(agreement_id) AS owner, max(value_date) AS day
            FROM credit_entries WHERE code = 'vipps_extra' GROUP BY 1
        ) AS e ON e.ref = v.id
        WHERE coalesce(a.ore, 0) + coalesce(e.ore, 0) <> v.amount_ore OR a.first <> p.claim_id OR a.last <> p.claim_id
           OR a.owner <> p.agreement_id OR e.owner <> p.agreement_id OR a.day <> v.value_date OR e.day <> v.value_date
        ORDER BY v.id
        """,
    ),
    Rule(
        "vipps_credit",
        "credit of Vipps is of a capture that is there",
        """
        SELECT format('credit entry %s of %s øre: no capture %s', e.id, e.amount_ore, e.ref)
        FROM credit_entries AS e LEFT JOIN vipps_captures AS v ON v.id = e.ref
        WHERE e.code = 'vipps_extra' AND v.id IS NULL ORDER BY e.id
        """,
    ),
    Rule(
        "vipps_states",
        "a payment ended as captured exactly where something was; it is of its claim's agreement, and no more was "
        "asked for than was open when it began",
        """
        SELECT format('payment %s (%s) of %s øre, agreement %s, claim %s of agreement %s: %s øre captured, %s øre '
                      'asked for', p.id, p.state, p.amount_ore, p.agreement_id, p.claim_id, c.agreement_id,
                      p.captured_ore, p.capture_ore)
        FROM vipps_payments AS p LEFT JOIN claims AS c ON c.id = p.claim_id
        WHERE (p.state = 'captured' AND p.captured_ore = 0)
           OR (p.state IN ('unknown', 'created', 'cancelled', 'aborted', 'expired', 'nothing') AND p.captured_ore > 0)
           OR (p.captured_at IS NULL) <> (p.captured_ore = 0) OR c.agreement_id IS DISTINCT FROM p.agreement_id
           OR p.capture_ore > p.amount_ore OR p.ended_at < p.started_at
        ORDER BY p.id
        """,
    ),
    Rule(
        "vipps_refunds_payments",
        "a refund is of a payment of its agreement; refunds that we asked for never pass what was captured, and those "
        "that went are what Vipps told",
        """
        SELECT format('payment %s of agreement %s: %s øre captured, refunds of %s øre asked for (agreements %s to %s), '
                      '%s øre went, Vipps told of %s', p.id, p.agreement_id, p.captured_ore, r.asked, r.first, r.last,
                      r.went, p.refunded_ore)
        FROM vipps_payments AS p LEFT JOIN (
            SELECT payment_id, min(agreement_id) AS first, max(agreement_id) AS last,
                   coalesce(sum(amount_ore) FILTER (WHERE state NOT IN ('failed', 'cancelled')
                                                    AND requested_by <> 'vipps'), 0) AS asked,
                   coalesce(sum(amount_ore) FILTER (WHERE state = 'succeeded'), 0) AS went
            FROM vipps_refunds GROUP BY 1
        ) AS r ON r.payment_id = p.id
        WHERE coalesce(r.went, 0) <> p.refunded_ore OR r.asked > p.captured_ore
           OR r.first <> p.agreement_id OR r.last <> p.agreement_id
        ORDER BY p.id
        """,
    ),
    Rule(
        "vipps_refunds_states",
        "a refund was approved before it was called for, by somebody else than who asked for it where a person did; it "
        "has a key from then on, and says who ended it",
        f"""
        SELECT format('refund %s (%s): asked for by %s, approved by %s at %s, key %s, ended by %s', id, state,
                      requested_by, coalesce(approved_by, 'rule'), coalesce(approved_at::text, 'no time'),
                      coalesce(idempotency_key, 'none'), coalesce(ended_by, 'nobody'))
        FROM vipps_refunds
        WHERE (approved_at IS NULL AND state NOT IN ('requested', 'cancelled'))
           OR (approved_at IS NOT NULL AND state = 'requested')
           OR {same_person("approved_by", "requested_by")}
           OR (state = 'unknown' AND idempotency_key IS NULL) OR (ended_at IS NULL) <> (ended_by IS NULL)
           OR reason = ''
        ORDER BY id
        """,  # noqa: S608 - no input in it
    ),
    took_credit(
        "vipps_refunds_credit",
        "a refund took its sum of its agreement's credit, which came back when it did not come about",
        "vipps_refunds",
        "vipps_refund",
        "'failed', 'cancelled'",
        borne=_BORNE,
    ),
    each_transfer(
        "transfers_vipps_refunds",
        "a refund is booked when it was asked for, and when it was made or did not come about; and what we bear of one "
        "that Vipps made beside us",
        "'vipps_refund', 'vipps_refund_back', 'vipps_refund_written_off', 'vipps_refund_paid'",
        f"""
        SELECT k.code, r.id, k.ore, k.debit_owner, k.credit_owner, k.at FROM vipps_refunds AS r CROSS JOIN LATERAL (
            VALUES ('vipps_refund', {_TOOK}, agreement_id, 0::bigint, requested_at),
                   ('vipps_refund_written_off', amount_ore - {_TOOK}, 0, 0, requested_at),
                   ('vipps_refund_back', CASE WHEN state IN ('failed', 'cancelled') THEN amount_ore ELSE 0 END, 0,
                    agreement_id, ended_at),
                   ('vipps_refund_paid', CASE state WHEN 'succeeded' THEN amount_ore ELSE 0 END, 0, 0, ended_at)
        ) AS k (code, ore, debit_owner, credit_owner, at) WHERE ore <> 0
        """,  # noqa: S608 - no input in it
    ),
)
