"""What documents present, against what they were made of: passages, runs, cards, the day."""

from __future__ import annotations

from billing.audit.rules import FEES_BACK, Rule

RULES = (
    Rule(
        "documents_versions",
        "a claim's documents present its versions 1, 2, …, the first an invoice unless the claim was below zero",
        """
        SELECT format('document %s is version %s (%s) of claim %s, should be %s', d.number, d.version, d.kind,
                      d.claim_id, d.n)
        FROM (SELECT number, version, kind, claim_id, row_number() OVER (PARTITION BY claim_id ORDER BY version) AS n
              FROM documents WHERE credits_id IS NULL) AS d
        JOIN claims AS c ON c.id = d.claim_id
        WHERE d.version <> d.n OR (d.n = 1 AND (d.kind = 'invoice') <> (c.kind <> 'credit')) ORDER BY d.number
        """,
    ),
    Rule(
        "documents_passages",
        "a document's lines are its claim's passages by service, vehicle and rate, and the fee",
        f"""
        SELECT format('document %s, %s %s at %s bp: %s øre in %s, the claim has %s øre in %s', number, kind, plate,
                      vat_bp, coalesce(l.ore, 0), coalesce(l.n, 0), coalesce(p.ore, 0), coalesce(p.n, 0))
        FROM (
            SELECT d.number, x.kind, coalesce(x.country, '') AS country, coalesce(x.plate, '') AS plate, x.vat_bp,
                   sum(x.gross_ore) AS ore, sum(x.count) AS n
            FROM documents AS d JOIN document_lines AS x ON x.document_id = d.id
            WHERE d.credits_id IS NULL GROUP BY 1, 2, 3, 4, 5
        ) AS l
        FULL JOIN (
            SELECT d.number, p.service AS kind, coalesce(p.country, '') AS country, coalesce(p.plate, '') AS plate,
                   p.vat_bp, sum(p.amount_ore) AS ore, count(*) AS n
            FROM passages AS p JOIN documents AS d ON d.claim_id = p.claim_id AND d.credits_id IS NULL
            LEFT JOIN joined AS j ON j.passage_id = p.id
            WHERE coalesce(j.version, 1) <= d.version GROUP BY 1, 2, 3, 4, 5
            UNION ALL
            SELECT d.number, 'card_fee', '', '', 0, c.fee_ore + coalesce(f.ore, 0), 1
            FROM claims AS c JOIN documents AS d ON d.claim_id = c.id AND d.credits_id IS NULL
            LEFT JOIN LATERAL (
                SELECT sum(ore) AS ore FROM {FEES_BACK} AS x
                WHERE c.version > 1 AND claim_id = c.id AND version > d.version
            ) AS f ON true
            WHERE c.kind = 'card' AND c.fee_ore + coalesce(f.ore, 0) <> 0
        ) AS p USING (number, kind, country, plate, vat_bp)
        WHERE coalesce(l.ore, 0) <> coalesce(p.ore, 0) OR coalesce(l.n, 0) <> coalesce(p.n, 0)
        ORDER BY number
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "documents_periods",
        "a document's period and arrivals are its passages', all of which its claim's cut-off had seen, or joined it",
        """
        SELECT format('document %s: %s to %s, arrived %s to %s; claim %s up to %s: %s to %s, arrived %s to %s',
                      d.number, d.period_from, d.period_to, d.booked_from, d.booked_to, c.id, c.cutoff_at,
                      p.period_from, p.period_to, p.booked_from, p.booked_to)
        FROM documents AS d JOIN claims AS c ON c.id = d.claim_id
        JOIN (
            SELECT p.claim_id, v.version, (min(p.passed_at) AT TIME ZONE 'Europe/Oslo')::date AS period_from,
                   (max(p.passed_at) AT TIME ZONE 'Europe/Oslo')::date AS period_to, min(p.booked_at) AS booked_from,
                   max(p.booked_at) AS booked_to, max(p.booked_at) FILTER (WHERE j.version IS NULL) AS first_to
            FROM passages AS p JOIN claims AS k ON k.id = p.claim_id
            CROSS JOIN LATERAL generate_series(1, k.version) AS v (version)
            LEFT JOIN joined AS j ON j.passage_id = p.id
            WHERE coalesce(j.version, 1) <= v.version GROUP BY 1, 2
        ) AS p ON (p.claim_id, p.version) = (c.id, d.version)
        WHERE (d.period_from, d.period_to, d.booked_from, d.booked_to)
                  <> (p.period_from, p.period_to, p.booked_from, p.booked_to) OR p.first_to > c.cutoff_at
        ORDER BY d.number
        """,
    ),
    # A card may pay after all in the very instant that its sum went on an invoice: that credit is the claim's, and not
    # the document's.
    Rule(
        "documents_issued",
        "a document is issued on the Oslo date of its making, or its run's if that is later, with the credit used then",
        """
        SELECT format('document %s, made %s, is issued on %s with credit %s øre; used by then were %s øre; run %s of '
                      'claim %s', d.number, d.made_at, d.issued_on, d.credit_used_ore, coalesce(a.ore, 0),
                      coalesce(d.run_id::text, 'none'), c.run)
        FROM documents AS d
        JOIN claims AS c ON c.id = d.claim_id
        LEFT JOIN runs AS r ON c.run = r.kind || ':' || r.for_date
        LEFT JOIN (
            SELECT x.claim_id, sum(x.amount_ore) AS ore FROM allocations AS x
            JOIN documents AS y ON y.claim_id = x.claim_id AND y.version = 1 AND y.credits_id IS NULL
            WHERE x.source = 'credit' AND x.at <= y.made_at GROUP BY 1
        ) AS a ON a.claim_id = d.claim_id
        WHERE d.version = 1 AND d.credits_id IS NULL AND (d.credit_used_ore > coalesce(a.ore, 0)
              OR d.credit_used_ore < CASE c.kind WHEN 'card' THEN 0 ELSE coalesce(a.ore, 0) END
              OR d.run_id IS DISTINCT FROM r.id OR c.cutoff_at <> coalesce(r.cutoff_at, c.cutoff_at)
              OR c.made_at > d.made_at
              OR d.issued_on <> greatest(r.for_date, (d.made_at AT TIME ZONE 'Europe/Oslo')::date))
        ORDER BY d.number
        """,
    ),
    Rule(
        "documents_paid",
        "a document is marked paid by the very card that paid its charge, on that day; all others are due, and so is a "
        "receipt issued anew of which something is open",
        """
        SELECT format('document %s, due %s, paid by %s; its charge: %s', d.number, coalesce(d.due_on::text, 'never'),
                      coalesce(d.paid_by::text, 'nothing'), coalesce(h.state, 'none'))
        FROM documents AS d
        LEFT JOIN charges AS h ON h.claim_id = d.claim_id
        LEFT JOIN attempts AS t ON t.charge_id = h.id AND t.state = 'succeeded' AND NOT t.credited
        LEFT JOIN cards AS k ON k.id = t.card_id
        LEFT JOIN card_sessions AS g ON g.attempt_id = t.id
        WHERE d.kind = 'invoice' AND CASE
              WHEN h.state = 'succeeded' AND d.version > 1 AND d.paid_by IS NULL
                  THEN d.paid_ore + d.credit_used_ore >= d.total_ore AND NOT EXISTS (
                      SELECT FROM allocations AS x WHERE x.claim_id = d.claim_id AND x.source = 'dispute')
              -- A card that its bank has given another number since has another one on its row.
              WHEN h.state = 'succeeded' THEN d.paid_by IS NULL
                  OR d.paid_by->>'on' IS DISTINCT FROM (t.ended_at AT TIME ZONE 'Europe/Oslo')::date::text
                  OR (coalesce(k.updated_at <= t.ended_at, true) AND (d.paid_by->>'brand', d.paid_by->>'last4')
                      IS DISTINCT FROM (coalesce(g.brand, k.brand), coalesce(g.last4, k.last4)))
              ELSE d.paid_by IS NOT NULL OR h.state IN ('due', 'claimed') END
        ORDER BY d.number
        """,
    ),
    Rule(
        "documents_buyers",
        "a document's buyer is its agreement's customer, by number; it names who sells",
        """
        SELECT format('document %s: buyer %s, the agreement is customer %s''s', d.number,
                      coalesce(d.buyer->>'number', 'without number'), k.number)
        FROM documents AS d JOIN agreements AS a ON a.id = d.agreement_id JOIN customers AS k ON k.id = a.customer_id
        WHERE d.buyer->>'number' IS DISTINCT FROM k.number::text OR coalesce(d.buyer->>'name', '') = ''
           OR coalesce(d.seller->>'org_no', '') = '' OR coalesce(d.seller->>'name', '') = ''
        ORDER BY d.number
        """,
    ),
    Rule(
        "renderings_digests",
        "a page that was kept is the bytes that it was known by",
        "SELECT format('the page of document %s (template %s) has another digest', document_id, template) "
        "FROM renderings WHERE sha256 <> sha256(pdf) ORDER BY document_id",
    ),
    Rule(
        "runs_sums",
        "a run's numbers and sums are its documents' of each kind; its cut-off is when it began, or its date's end",
        """
        SELECT format('run of %s (%s): %s made of %s øre, documents %s of %s øre; %s credited of %s øre, credit notes '
                      '%s of %s øre; cut off %s, begun %s, finished %s', r.for_date, r.state, r.created, r.sum_ore,
                      coalesce(d.n, 0), coalesce(d.ore, 0), r.credited, r.credited_ore, coalesce(d.notes, 0),
                      coalesce(d.noted, 0), r.cutoff_at, r.started_at, coalesce(r.finished_at::text, 'never'))
        FROM runs AS r
        LEFT JOIN (
            SELECT run_id, count(*) FILTER (WHERE kind = 'invoice') AS n,
                   sum(total_ore) FILTER (WHERE kind = 'invoice') AS ore,
                   count(*) FILTER (WHERE kind <> 'invoice') AS notes,
                   sum(total_ore) FILTER (WHERE kind <> 'invoice') AS noted
            FROM documents GROUP BY 1
        ) AS d ON d.run_id = r.id
        WHERE (r.created, r.sum_ore, r.credited, r.credited_ore)
              <> (coalesce(d.n, 0), coalesce(d.ore, 0), coalesce(d.notes, 0), coalesce(d.noted, 0))
           OR (r.state = 'done') <> (r.finished_at IS NOT NULL)
           OR r.cutoff_at <> least(r.started_at, (r.for_date + 1)::timestamp AT TIME ZONE 'Europe/Oslo')
        ORDER BY r.id
        """,
    ),
)
