"""Charges, their attempts, and what hangs on them."""

from __future__ import annotations

from billing.audit.rules import FEES_BACK, Rule

RULES = (
    Rule(
        "charges_claims",
        "a charge has its own card claim from when its sum is fixed, and an end when it has ended",
        """
        SELECT CASE WHEN h.id IS NULL THEN format('claim %s (%s) is of a card, and of no charge', c.id, c.run)
            ELSE format('charge %s (%s) of agreement %s, ended %s: %s øre; claim %s (%s %s) of agreement %s', h.id,
                        h.state, h.agreement_id, coalesce(h.ended_at::text, 'never'),
                        coalesce(h.amount_ore::text, 'no'), coalesce(c.id::text, 'none'), c.kind,
                        c.run, c.agreement_id) END
        FROM charges AS h FULL JOIN (
            SELECT * FROM claims WHERE kind = 'card' OR run LIKE 'charge:%'
        ) AS c ON c.id = h.claim_id
        WHERE h.id IS NULL
           OR (h.state IN ('claimed', 'succeeded', 'invoiced')) <> (h.claim_id IS NOT NULL)
           OR (h.claim_id IS NULL) <> (h.amount_ore IS NULL)
           OR (h.state IN ('due', 'claimed')) <> (h.ended_at IS NULL)
           OR (h.claim_id IS NOT NULL AND (c.agreement_id, c.kind, c.run)
                                          IS DISTINCT FROM (h.agreement_id, 'card', 'charge:' || h.id))
        ORDER BY h.id, c.id
        """,
    ),
    Rule(
        "balances_open_charges",
        "a balance names the charge that is open, and waits at most for a week, for a backlog's next slice, or for the "
        "day after one was called off",
        """
        SELECT format('agreement %s: its balance names charge %s, open is %s; not before %s', agreement_id,
                      coalesce(b.open_charge_id::text, 'none'), coalesce(h.id::text, 'none'),
                      coalesce(b.charge_not_before::text, 'any day'))
        FROM balances AS b
        FULL JOIN (SELECT id, agreement_id FROM charges WHERE state IN ('due', 'claimed')) AS h USING (agreement_id)
        WHERE b.open_charge_id IS DISTINCT FROM h.id
           OR b.charge_not_before > greatest(:today, b.last_charged_on + CAST(:week AS int), (
               SELECT max(k.last_on) + CAST(:week AS int) FROM backlogs AS k WHERE k.agreement_id = b.agreement_id), (
               SELECT (max(x.ended_at) AT TIME ZONE 'Europe/Oslo')::date + 1 FROM charges AS x
               WHERE x.agreement_id = b.agreement_id AND x.state = 'cancelled'))
        ORDER BY agreement_id
        """,
    ),
    Rule(
        "balances_due",
        "what a card shall pay is charged: a balance that has reached the sum has its charge open, or a day for it",
        """
        SELECT format('agreement %s: %s øre are not billed (%s of them disputed), no charge is open and none has a day',
                      a.id, b.unbilled_ore, coalesce(d.ore, 0))
        FROM balances AS b JOIN agreements AS a ON a.id = b.agreement_id
        LEFT JOIN (
            SELECT h.agreement_id, sum(h.amount_ore) AS ore FROM held_passages AS h
            WHERE NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = h.passage_id) GROUP BY 1
        ) AS d ON d.agreement_id = a.id
        WHERE a.payment_method = 'card' AND a.standing <> 'closed' AND (a.closed_at IS NULL OR a.closed_at > :now)
          AND b.unbilled_ore >= :threshold AND b.unbilled_ore - coalesce(d.ore, 0) >= :threshold
          AND b.open_charge_id IS NULL AND b.charge_not_before IS NULL
        ORDER BY a.id
        """,
    ),
    Rule(
        "attempts_charges",
        "an attempt is on a card of its charge's agreement, for its charge's sum and its fee",
        """
        SELECT format('attempt %s: %s øre (fee %s) by card %s of agreement %s; charge %s: %s øre of agreement %s', t.id,
                      t.amount_ore, t.fee_ore, t.card_id, k.agreement_id, h.id, h.amount_ore, h.agreement_id)
        FROM attempts AS t JOIN charges AS h ON h.id = t.charge_id JOIN cards AS k ON k.id = t.card_id
        WHERE k.agreement_id <> h.agreement_id OR t.fee_ore < 0
           OR t.amount_ore - t.fee_ore IS DISTINCT FROM h.amount_ore
        ORDER BY t.id
        """,
    ),
    Rule(
        "attempts_states",
        "an attempt has ended unless nobody knows, and one that succeeded has the provider's word for it",
        """
        SELECT format('attempt %s (%s): ended %s, provider''s reference %s', id, state,
                      coalesce(ended_at::text, 'never'), coalesce(provider_ref, 'none'))
        FROM attempts
        WHERE (state = 'unknown') <> (ended_at IS NULL) OR (state = 'succeeded' AND provider_ref IS NULL)
           OR (credited AND state <> 'succeeded')
        ORDER BY id
        """,
    ),
    Rule(
        "attempts_pages",
        "an attempt that a customer makes themselves has its page, no other has; it is never declined, only not paid",
        """
        SELECT format('attempt %s (%s, %s): page %s', t.id, t.kind, t.state, coalesce(g.attempt_id::text, 'none'))
        FROM attempts AS t LEFT JOIN card_sessions AS g ON g.attempt_id = t.id
        WHERE (t.kind = 'on_session') <> (g.attempt_id IS NOT NULL) OR (t.kind = 'on_session' AND t.state = 'declined')
        ORDER BY t.id
        """,
    ),
    # A decline that is told of after its charge has ended is no try; one that was paid after all was.
    Rule(
        "charges_tries",
        "a charge's tries are the attempts that were declined while it was open",
        """
        SELECT format('charge %s (%s): %s tries, of its attempts %s were declined', h.id, h.state, h.tries, t.declined)
        FROM charges AS h LEFT JOIN (
            SELECT a.charge_id, count(*) FILTER (WHERE a.state = 'declined') AS declined,
                   count(*) FILTER (WHERE a.state = 'succeeded') AS succeeded,
                   count(*) FILTER (WHERE a.state = 'declined' AND (c.ended_at IS NULL OR a.ended_at < c.ended_at))
                       AS meanwhile
            FROM attempts AS a JOIN charges AS c ON c.id = a.charge_id GROUP BY 1
        ) AS t ON t.charge_id = h.id
        WHERE h.tries NOT BETWEEN coalesce(t.meanwhile, 0) AND coalesce(t.declined + t.succeeded, 0) ORDER BY h.id
        """,
    ),
    Rule(
        "card_allocations",
        "what a card settled is what its claim's attempt took, on the day that it was told of; the claim has its fee, "
        "less what of it went back",
        f"""
        SELECT format('claim %s (fee %s øre, %s went back): allocation %s of %s øre on %s by attempt %s; it took %s '
                      'øre (fee %s) for claim %s', c.id, c.fee_ore, coalesce(f.ore, 0), coalesce(a.id::text, 'none'),
                      a.amount_ore, a.value_date, coalesce(t.id::text, 'none'), t.amount_ore, t.fee_ore, h.claim_id)
        FROM claims AS c
        LEFT JOIN allocations AS a ON a.claim_id = c.id AND a.source = 'card'
        LEFT JOIN attempts AS t ON t.id = a.source_id
        LEFT JOIN charges AS h ON h.id = t.charge_id
        LEFT JOIN (SELECT claim_id, sum(ore) AS ore FROM {FEES_BACK} AS x GROUP BY 1) AS f ON f.claim_id = c.id
        WHERE (a.id IS NULL AND (c.fee_ore <> 0 OR f.ore <> 0)) OR (a.id IS NOT NULL AND (
                  h.claim_id IS DISTINCT FROM c.id OR t.fee_ore <> c.fee_ore + coalesce(f.ore, 0)
                  OR t.amount_ore <> a.amount_ore
                  OR a.value_date IS DISTINCT FROM (t.ended_at AT TIME ZONE 'Europe/Oslo')::date))
        ORDER BY c.id
        """,  # noqa: S608 - no input in it
    ),
)
