"""Money that cards gave and that went back: fees in proportion, refunds, disputes."""

from __future__ import annotations

from billing.audit.ledger import each_transfer
from billing.audit.rules import FEES_BACK, Rule, same_person, took_credit
from config.jobs import BEGINNING
from config.rates import figures

# What we bear of money that went although its refund had ended: what it did not take of the credit. Of those alone.
_BORNE = """(
    CASE requested_by WHEN 'card gateway' THEN coalesce((SELECT sum(x.amount_ore) FROM transfers AS x
        WHERE x.code = 'card_refund_written_off' AND x.ref = card_refunds.id), 0)::bigint ELSE 0 END
)"""
_TOOK = """(
    CASE requested_by WHEN 'card gateway' THEN coalesce((SELECT -sum(x.amount_ore) FROM credit_entries AS x
        WHERE x.code = 'card_refund' AND x.ref = r.id), 0)::bigint ELSE amount_ore END
)"""

_REFUNDS = f"""
    SELECT k.code, r.id, k.ore, k.debit_owner, k.credit_owner, k.at FROM card_refunds AS r CROSS JOIN LATERAL (
        VALUES ('card_refund', {_TOOK}, agreement_id, 0::bigint, requested_at),
               ('card_refund_written_off', amount_ore - {_TOOK}, 0, 0, requested_at)) AS k (code, ore, debit_owner,
        credit_owner, at) WHERE ore <> 0
    UNION ALL
    SELECT k.code, r.id, k.ore, k.debit_owner, k.credit_owner, k.at FROM card_refunds AS r CROSS JOIN LATERAL (
        VALUES ('card_refund_back', {_TOOK}, 0, agreement_id, ended_at),
               ('card_refund_written_back', amount_ore - {_TOOK}, 0, 0, ended_at)) AS k (code, ore, debit_owner,
        credit_owner, at) WHERE ore <> 0 AND state IN ('failed', 'cancelled')
"""  # noqa: S608 - no input in it


def _limit(figure: str, at: str) -> str:
    """Return what a dated figure was at a time, as SQL."""
    steps = " ".join(
        f"WHEN {at} >= TIMESTAMP '{one.since}' AT TIME ZONE 'Europe/Oslo' THEN {int(one.value)}"
        for one in sorted(figures()[figure], key=lambda one: one.since, reverse=True)
    )
    return f"(CASE {steps} END)"


# What left of a holder's credit because one person said so, both ways, and with it what had left before within the
# window. What went although it had ended nobody asked for. Of one instant only those of the same way have an order.
_BEFORE = "RANGE BETWEEN make_interval(hours => 24 * :window) PRECEDING AND CURRENT ROW EXCLUDE GROUP"
_AT_ONCE = "requested_at ORDER BY id ROWS UNBOUNDED PRECEDING"
_ALONE = f"""
    SELECT x.*, coalesce(sum(amount_ore) OVER (PARTITION BY customer_id ORDER BY requested_at {_BEFORE}), 0)
                + sum(amount_ore) OVER (PARTITION BY customer_id, way, {_AT_ONCE}) AS holder_ore,
           coalesce(sum(amount_ore) FILTER (WHERE way <> 'payout')
               OVER (PARTITION BY customer_id ORDER BY requested_at {_BEFORE}), 0)
               + coalesce(sum(amount_ore) FILTER (WHERE way = 'payout')
                   OVER (PARTITION BY agreement_id ORDER BY requested_at {_BEFORE}), 0)
               + sum(amount_ore) OVER (PARTITION BY agreement_id, way, {_AT_ONCE}) AS agreement_ore,
           coalesce(sum(amount_ore) OVER (PARTITION BY account ORDER BY requested_at {_BEFORE}), 0)
               + sum(amount_ore) OVER (PARTITION BY account, {_AT_ONCE}) AS account_ore
    FROM (
        SELECT 'refund' AS way, r.id, a.customer_id, r.agreement_id, NULL AS account, r.amount_ore, r.requested_at,
               r.requested_by
        FROM card_refunds AS r JOIN agreements AS a ON a.id = r.agreement_id
        WHERE r.approved_by IS NULL AND r.state IN ('approved', 'unknown', 'succeeded')
          AND r.requested_by <> 'card gateway'
        UNION ALL
        SELECT 'vipps', v.id, a.customer_id, v.agreement_id, NULL, v.amount_ore, v.requested_at, v.requested_by
        FROM vipps_refunds AS v JOIN agreements AS a ON a.id = v.agreement_id
        WHERE v.approved_by IS NULL AND v.state IN ('approved', 'unknown', 'succeeded') AND v.requested_by <> 'vipps'
        UNION ALL
        SELECT 'payout', p.id, a.customer_id, p.agreement_id, p.account, p.amount_ore, p.requested_at, p.requested_by
        FROM payouts AS p JOIN agreements AS a ON a.id = p.agreement_id
        WHERE p.approved_by IS NULL AND p.state IN ('approved', 'ordered', 'paid')
    ) AS x
"""  # noqa: S608 - no input in it


def _first_look(job: str) -> str:
    """Return when a job that came with a release was first due here, as SQL: null before. The mark that its schedule
    begins is of before the release did."""
    return (
        f"(SELECT min(scheduled_for) FROM job_occurrences WHERE job = '{job}' "  # noqa: S608 - no input in it
        f"AND (result->>'note') IS DISTINCT FROM '{BEGINNING}')"
    )


# The first releases kept the whole fee when a receipt was issued anew. What they wrote stays as it is; the next version
# that is made of such a claim gives back all that is due. When a release that does so began here is told by the first
# fee that went back, and by the first look of a job that came with it.
_FEES_GO_BACK_SINCE = f"""
    coalesce(least((SELECT min(created_at) FROM transfers WHERE code = 'card_fee_back'),
                   {_first_look("card_disputes")}), 'infinity')
"""  # noqa: S608 - no input in it
# The first releases counted payouts by agreement.
_BY_HOLDER_SINCE = f"coalesce({_first_look('cards_forgotten')}, 'infinity')"

RULES = (
    Rule(
        "card_fees_back",
        "a claim keeps of its card's fee what its passages are of what it was made with, and never more than before; "
        "none when a dispute took it",
        f"""
        SELECT format('claim %s, version %s: %s øre of a fee of %s are kept (%s before), of passages %s of %s øre',
                      x.claim_id, x.version, x.kept, x.first_fee, x.before, x.left_ore, x.first_ore)
        FROM (
            SELECT w.*, w.first_fee - w.back AS kept,
                   w.first_fee - lag(w.back) OVER (PARTITION BY w.claim_id ORDER BY w.version) AS before,
                   round(w.first_fee * least(greatest(w.left_ore, 0), w.first_ore) / w.first_ore::numeric) AS due
            FROM (
                SELECT c.id AS claim_id, v.version, t.fee_ore AS first_fee, c.passages_ore - c.joined_ore AS first_ore,
                       c.passages_ore - c.joined_ore + coalesce((SELECT sum(j.amount_ore) FROM joined AS j
                           WHERE j.claim_id = c.id AND j.version <= v.version), 0) AS left_ore,
                       coalesce((SELECT sum(f.ore) FROM {FEES_BACK} AS f
                           WHERE f.claim_id = c.id AND f.version <= v.version), 0) AS back
                FROM claims AS c
                JOIN allocations AS a ON a.claim_id = c.id AND a.source = 'card'
                JOIN attempts AS t ON t.id = a.source_id
                CROSS JOIN LATERAL generate_series(1, c.version) AS v (version)
                WHERE c.version > 1 AND t.fee_ore > 0
            ) AS w
        ) AS x
        LEFT JOIN documents AS n ON n.claim_id = x.claim_id AND n.version = x.version - 1 AND n.kind = 'credit_note'
             AND n.credits_id IS NOT NULL
        WHERE x.version > 1 AND x.kept <> least(x.before, x.due)
          AND NOT (x.kept = x.before AND n.made_at < {_FEES_GO_BACK_SINCE})
          AND NOT (x.kept = 0 AND EXISTS (
            SELECT FROM allocations AS a WHERE a.claim_id = x.claim_id AND a.source = 'dispute'))
        ORDER BY x.claim_id, x.version
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "refunds_payments",
        "a refund is of a payment that succeeded, of its agreement; refunds never pass what was paid, nor what "
        "disputes have left of it, and none is asked for while one is open",
        """
        SELECT format('refund %s (%s) of %s øre, agreement %s: attempt %s (%s) of charge %s, agreement %s, took %s '
                      'øre; refunds up to it %s øre, disputes %s øre', r.id, r.state, r.amount_ore, r.agreement_id,
                      t.id, t.state, t.charge_id, h.agreement_id, t.amount_ore, r.upto, coalesce(d.lost, 0))
        FROM (
            SELECT *, sum(CASE WHEN state IN ('failed', 'cancelled') THEN 0 ELSE amount_ore END)
                      OVER (PARTITION BY attempt_id ORDER BY id) AS upto
            FROM card_refunds
        ) AS r
        LEFT JOIN attempts AS t ON t.id = r.attempt_id
        LEFT JOIN charges AS h ON h.id = t.charge_id
        LEFT JOIN LATERAL (
            SELECT sum(x.withdrawn_ore) FILTER (WHERE x.state = 'lost' AND x.ended_at < r.requested_at) AS lost,
                   bool_or(x.opened_at < r.requested_at AND (x.ended_at IS NULL OR x.ended_at > r.requested_at))
                       AS open
            FROM card_disputes AS x WHERE x.attempt_id = r.attempt_id AND r.requested_by <> 'card gateway'
        ) AS d ON true
        WHERE t.id IS NULL OR t.state <> 'succeeded' OR (t.charge_id, h.agreement_id) <> (r.charge_id, r.agreement_id)
           OR (r.state NOT IN ('failed', 'cancelled') AND r.upto + coalesce(d.lost, 0) > t.amount_ore)
           OR (r.state NOT IN ('failed', 'cancelled') AND d.open)
        ORDER BY r.id
        """,
    ),
    Rule(
        "refunds_states",
        "a refund was approved before it was called for, by somebody else than who asked for it where a person did; it "
        "has a key from then on, the provider's word when it succeeded, and says who ended it",
        f"""
        SELECT format('refund %s (%s): asked for by %s, approved by %s at %s, key %s, reference %s, ended by %s', id,
                      state, requested_by, coalesce(approved_by, 'rule'), coalesce(approved_at::text, 'no time'),
                      coalesce(idempotency_key, 'none'), coalesce(provider_ref, 'none'), coalesce(ended_by, 'nobody'))
        FROM card_refunds
        WHERE (approved_at IS NULL AND state NOT IN ('requested', 'cancelled'))
           OR (approved_at IS NOT NULL AND state = 'requested')
           OR {same_person("approved_by", "requested_by")}
           OR (state = 'unknown' AND idempotency_key IS NULL) OR (state = 'requested' AND idempotency_key IS NOT NULL)
           OR (state = 'succeeded' AND provider_ref IS NULL) OR (ended_at IS NULL) <> (ended_by IS NULL)
           OR reason = ''
        ORDER BY id
        """,  # noqa: S608 - no input in it
    ),
    took_credit(
        "refunds_credit",
        "a refund took its sum of its agreement's credit, which came back when it did not come about",
        "card_refunds",
        "card_refund",
        "'failed', 'cancelled'",
        borne=_BORNE,
    ),
    Rule(
        "refunds_alone",
        "what left a holder's credit over cards, Vipps and to bank accounts, and no second person approved, never "
        "passes the figure within a window",
        f"""
        SELECT format('%s %s of %s øre, asked for by %s at %s: with what one person had let leave before are %s øre',
                      l.way, l.id, l.amount_ore, l.requested_by, l.requested_at, l.ore)
        FROM (
            SELECT *, CASE WHEN way IN ('refund', 'vipps') THEN holder_ore
                           WHEN requested_at >= {_BY_HOLDER_SINCE} THEN greatest(holder_ore, account_ore)
                           ELSE greatest(agreement_ore, account_ore) END AS ore
            FROM ({_ALONE}) AS x
        ) AS l
        WHERE l.ore > CASE WHEN l.way <> 'payout'
                           THEN {_limit("card_refund_second_approver_ore", "l.requested_at")}
                           ELSE {_limit("payout_second_approver_ore", "l.requested_at")} END
        ORDER BY l.way, l.id
        """,  # noqa: S608 - no input in it
    ),
    each_transfer(
        "transfers_refunds",
        "a refund is booked when it was asked for, and when it did not come about; and what we bear of one that went "
        "although it had ended",
        "'card_refund', 'card_refund_back', 'card_refund_written_off', 'card_refund_written_back'",
        _REFUNDS,
    ),
    Rule(
        "transfers_refunds_paid",
        "a refund that succeeded is booked as paid when the provider told so; one that failed after that as returned",
        """
        SELECT format('refund %s (%s) of %s øre, ended %s: booked as paid %s øre, as returned %s øre',
                      coalesce(r.id, t.ref), coalesce(r.state, 'none'), r.amount_ore, r.ended_at, coalesce(t.paid, 0),
                      coalesce(t.returned, 0))
        FROM card_refunds AS r
        FULL JOIN (
            SELECT ref, sum(amount_ore) FILTER (WHERE code = 'card_refund_paid') AS paid,
                   sum(amount_ore) FILTER (WHERE code = 'card_refund_returned') AS returned,
                   max(created_at) AS last
            FROM transfers WHERE code IN ('card_refund_paid', 'card_refund_returned') GROUP BY 1
        ) AS t ON t.ref = r.id
        WHERE r.id IS NULL
           OR (r.state = 'succeeded' AND (t.paid, t.returned, t.last) IS DISTINCT FROM
                                         (r.amount_ore, NULL, r.ended_at))
           OR (r.state = 'failed' AND t.ref IS NOT NULL AND (t.paid, t.returned, t.last) IS DISTINCT FROM
                                      (r.amount_ore, r.amount_ore, r.ended_at))
           OR (r.state NOT IN ('succeeded', 'failed') AND t.ref IS NOT NULL)
        ORDER BY coalesce(r.id, t.ref)
        """,
    ),
    Rule(
        "disputes_payments",
        "a dispute is of a payment that succeeded, of its charge and agreement; what customers owe again or had in "
        "credit of what banks took never passes what it took: what is more is ours to bear",
        """
        SELECT format('dispute %s (%s) of %s øre, agreement %s: attempt %s (%s), agreement %s, took %s øre; disputes '
                      'took %s øre of the customer', d.id, d.state, d.withdrawn_ore, d.agreement_id, t.id, t.state,
                      h.agreement_id, t.amount_ore, d.taken)
        FROM (
            SELECT *, sum(claim_ore + credit_ore) OVER (PARTITION BY attempt_id) AS taken
            FROM card_disputes
        ) AS d
        LEFT JOIN attempts AS t ON t.id = d.attempt_id LEFT JOIN charges AS h ON h.id = t.charge_id
        WHERE t.id IS NULL OR t.state <> 'succeeded' OR (t.charge_id, h.agreement_id) <> (d.charge_id, d.agreement_id)
           OR d.taken > t.amount_ore
        ORDER BY d.id
        """,
    ),
    Rule(
        "disputes_cards",
        "a card is marked as disputed by a dispute that was not won; one whose payment is disputed now is not charged",
        """
        SELECT format('card %s is %s; disputes of it that were not won: %s, open: %s', k.id,
                      coalesce(k.refused_code, 'charged'), d.n, d.open)
        FROM cards AS k CROSS JOIN LATERAL (
            SELECT count(*) AS n, count(*) FILTER (WHERE d.state = 'opened') AS open
            FROM card_disputes AS d JOIN attempts AS t ON t.id = d.attempt_id
            WHERE t.card_id = k.id AND d.state <> 'won'
        ) AS d
        WHERE (k.refused_code = 'disputed' AND d.n = 0) OR (k.refused_code IS NULL AND d.open > 0)
        ORDER BY k.id
        """,
    ),
    Rule(
        "disputes_lost",
        "what of a lost dispute is owed again was taken off its charge's claim, and what was credit off the credit; "
        "all of it is credit again where its money came back after that",
        """
        SELECT format('dispute %s (%s): %s øre owed again, %s øre of credit; taken off claim %s %s øre, off credit %s '
                      'øre, given back %s øre', coalesce(d.id, x.dispute), coalesce(d.state, 'none'), d.claim_ore,
                      d.credit_ore, coalesce(x.claim_id::text, 'none'), coalesce(x.ore, 0), coalesce(x.credit, 0),
                      coalesce(x.back, 0))
        FROM (SELECT s.*, h.claim_id FROM card_disputes AS s JOIN charges AS h ON h.id = s.charge_id) AS d
        FULL JOIN (
            SELECT dispute, max(claim_id) AS claim_id, sum(ore) AS ore, sum(credit) AS credit, sum(back) AS back,
                   min(agreement_id) AS first, max(agreement_id) AS last
            FROM (
                SELECT source_id AS dispute, claim_id, -amount_ore AS ore, 0 AS credit, 0 AS back, agreement_id
                FROM allocations WHERE source = 'dispute' UNION ALL
                SELECT ref, NULL, 0, CASE code WHEN 'dispute' THEN -amount_ore ELSE 0 END,
                       CASE code WHEN 'dispute' THEN 0 ELSE amount_ore END, agreement_id
                FROM credit_entries WHERE code IN ('dispute', 'dispute_back') UNION ALL
                SELECT t.ref, NULL, 0, t.amount_ore, 0, e.agreement_id
                FROM transfers AS t LEFT JOIN credit_entries AS e
                     ON e.code IN ('dispute_payout', 'dispute_card_refund', 'dispute_vipps_refund',
                         'dispute_card_dispute')
                     AND t.part = replace(e.code, 'dispute_', '') || ' ' || e.ref
                WHERE t.code = 'card_dispute_credit' AND t.part <> ''
            ) AS moved GROUP BY 1
        ) AS x ON x.dispute = d.id
        WHERE d.id IS NULL OR x.first <> d.agreement_id OR x.last <> d.agreement_id OR x.claim_id <> d.claim_id
           OR x.first IS NULL AND x.credit > 0
           OR CASE d.state WHEN 'won' THEN x.ore + x.credit <> x.back ELSE (d.claim_ore, d.credit_ore, 0)
                <> (coalesce(x.ore, 0), coalesce(x.credit, 0), coalesce(x.back, 0)) END
        ORDER BY coalesce(d.id, x.dispute)
        """,
    ),
    Rule(
        "disputes_refunds",
        "what a refund, a payout or another dispute gave back of what we bore of a dispute came off the credit, once",
        """
        SELECT format('%s of agreement %s: %s øre came off the credit, %s øre are booked', coalesce(e.part, t.part),
                      e.agreement_id, -coalesce(e.amount_ore, 0), coalesce(t.ore, 0))
        FROM (
            SELECT *, replace(code, 'dispute_', '') || ' ' || ref AS part
            FROM credit_entries WHERE code IN ('dispute_payout', 'dispute_card_refund', 'dispute_vipps_refund',
                         'dispute_card_dispute')
        ) AS e
        FULL JOIN (
            SELECT part, sum(amount_ore) AS ore, max(debit_owner) AS owner FROM transfers
            WHERE code = 'card_dispute_credit' AND part <> '' GROUP BY 1
        ) AS t ON t.part = e.part
        LEFT JOIN (
            SELECT 'card_refund ' || id AS part, agreement_id FROM card_refunds WHERE state IN ('failed', 'cancelled')
            UNION ALL
            SELECT 'payout ' || id, agreement_id FROM payouts WHERE state IN ('rejected', 'cancelled')
            UNION ALL
            SELECT 'vipps_refund ' || id, agreement_id FROM vipps_refunds WHERE state IN ('failed', 'cancelled')
            UNION ALL
            SELECT 'card_dispute ' || id, agreement_id FROM card_disputes WHERE state = 'won'
        ) AS r ON r.part = e.part
        WHERE (-e.amount_ore, e.agreement_id, e.agreement_id) IS DISTINCT FROM (t.ore, t.owner, r.agreement_id)
        ORDER BY 1
        """,
    ),
    Rule(
        "disputes_claims",
        "what is lost is owed again as far as the card still paid its claim, also with what came back of it before: "
        "only when it pays nothing of it any more is the credit taken, or the rest borne by us",
        """
        SELECT format('dispute %s: %s øre of credit and %s øre written off, though its card still paid %s øre of claim '
                      '%s, of which %s øre were settled', d.id, d.credit_ore, d.written_off_ore, p.ore, h.claim_id,
                      s.ore)
        FROM card_disputes AS d JOIN attempts AS t ON t.id = d.attempt_id AND NOT t.credited
        JOIN charges AS h ON h.id = d.charge_id
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(e.amount_ore), 0) AS ore
            FROM credit_entries AS e JOIN card_disputes AS o ON o.id = e.ref
            WHERE e.code = 'dispute_back' AND o.charge_id = d.charge_id AND e.at < d.ended_at
        ) AS b
        CROSS JOIN LATERAL (
            SELECT coalesce(sum(a.amount_ore) FILTER (WHERE a.source <> 'credit'), 0)
                   + least(coalesce(sum(a.amount_ore) FILTER (WHERE a.source = 'credit'), 0), b.ore) AS ore
            FROM allocations AS a
            LEFT JOIN card_disputes AS o ON a.source = 'dispute' AND o.id = a.source_id
            LEFT JOIN attempts AS ot ON ot.id = o.attempt_id
            WHERE a.claim_id = h.claim_id AND a.at <= d.ended_at
              AND (a.source = 'card' OR (a.source = 'dispute' AND NOT ot.credited)
                   OR (a.source = 'credit' AND a.at < d.ended_at))
        ) AS p
        CROSS JOIN LATERAL (
            SELECT coalesce(min(x.upto), 0) AS ore FROM (
                SELECT a.at, sum(a.amount_ore) OVER (ORDER BY a.id) AS upto,
                       lead(a.at) OVER (ORDER BY a.id) AS until
                FROM allocations AS a WHERE a.claim_id = h.claim_id AND a.at <= d.ended_at
            ) AS x WHERE x.until IS NULL OR x.until >= d.ended_at
        ) AS s
        WHERE d.state = 'lost' AND d.credit_ore + d.written_off_ore > 0 AND least(p.ore, s.ore) > 0
        ORDER BY d.id
        """,
    ),
    Rule(
        "transfers_disputes",
        "what a dispute took, what came back, and where the rest went when it was lost, is in the books; and that it "
        "came from there again when the money came back after that",
        """
        SELECT format('dispute %s (%s) of %s øre (%s claim, %s credit, %s written off): booked are %s øre taken, %s '
                      'back, %s on the claim, %s of the credit, %s written off', coalesce(d.id, t.ref),
                      coalesce(d.state, 'none'), d.withdrawn_ore, d.claim_ore, d.credit_ore, d.written_off_ore,
                      t.taken, t.back, t.claim, t.credit, t.written_off)
        FROM card_disputes AS d
        FULL JOIN (
            SELECT ref, coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute'), 0) AS taken,
                   coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute_won'), 0) AS back,
                   coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute_claim'), 0) AS claim,
                   coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute_credit'), 0) AS credit,
                   coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute_written_off'), 0) AS written_off,
                   coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute_credit_back'), 0) AS credit_back,
                   coalesce(sum(amount_ore) FILTER (WHERE code = 'card_dispute_written_back'), 0) AS written_back,
                   max(created_at) FILTER (WHERE code NOT LIKE '%\\_back' AND part <> 'after all'
                                           AND part NOT LIKE 'card\\_refund %' AND part NOT LIKE 'payout %'
                                           AND part NOT LIKE 'card\\_dispute %'
                                           AND part NOT LIKE 'vipps\\_refund %') AS last,
                   max(debit_owner + credit_owner) AS owner,
                   min(debit_owner + credit_owner) FILTER (WHERE debit_owner + credit_owner <> 0) AS first_owner
            FROM transfers WHERE code LIKE 'card\\_dispute%' GROUP BY 1
        ) AS t ON t.ref = d.id
        WHERE d.id IS NULL
           OR coalesce(t.taken - t.back, 0) <> CASE d.state WHEN 'won' THEN 0 ELSE d.withdrawn_ore END
           OR (d.state = 'won' AND coalesce(t.taken, 0) <> d.withdrawn_ore)
           OR CASE d.state
              WHEN 'won' THEN t.claim + t.credit <> t.credit_back OR t.written_off <> t.written_back
              ELSE (coalesce(t.claim, 0), coalesce(t.credit, 0), coalesce(t.written_off, 0),
                    coalesce(t.credit_back, 0))
                   <> (d.claim_ore, d.credit_ore, d.written_off_ore + coalesce(t.written_back, 0), 0) END
           OR t.owner NOT IN (0, d.agreement_id) OR t.first_owner <> d.agreement_id OR t.last > d.ended_at
        ORDER BY coalesce(d.id, t.ref)
        """,
    ),
)
