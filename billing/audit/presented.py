"""What documents present, against what they were made of: passages, runs, cards, the day."""

from __future__ import annotations

from billing.audit.rules import Rule

RULES = (
    Rule(
        "documents_versions",
        "a claim's documents are versions 1, 2, …, the first an invoice",
        """
        SELECT format('document %s is version %s (%s) of claim %s, should be %s', number, version, kind, claim_id, n)
        FROM (SELECT number, version, kind, claim_id, row_number() OVER (PARTITION BY claim_id ORDER BY version) AS n
              FROM documents) AS d
        WHERE version <> n OR (n = 1 AND kind <> 'invoice') ORDER BY number
        """,
    ),
    Rule(
        "documents_passages",
        "a document's lines are its claim's passages by service, vehicle and rate, and the fee",
        """
        SELECT format('document %s, %s %s at %s bp: %s øre in %s, the claim has %s øre in %s',
                      coalesce(l.number::text, 'of claim ' || claim_id), kind, plate, vat_bp, coalesce(l.ore, 0),
                      coalesce(l.n, 0), coalesce(p.ore, 0), coalesce(p.n, 0))
        FROM (
            SELECT d.claim_id, x.kind, coalesce(x.country, '') AS country, coalesce(x.plate, '') AS plate, x.vat_bp,
                   min(d.number) AS number, sum(x.gross_ore) AS ore, sum(x.count) AS n
            FROM documents AS d JOIN document_lines AS x ON x.document_id = d.id
            WHERE d.version = 1 GROUP BY 1, 2, 3, 4, 5
        ) AS l
        FULL JOIN (
            SELECT p.claim_id, p.service AS kind, coalesce(p.country, '') AS country, coalesce(p.plate, '') AS plate,
                   p.vat_bp, sum(p.amount_ore) AS ore, count(*) AS n
            FROM passages AS p WHERE p.claim_id IN (SELECT claim_id FROM documents) GROUP BY 1, 2, 3, 4, 5
            UNION ALL
            SELECT c.id, 'card_fee', '', '', 0, c.fee_ore, 1
            FROM claims AS c JOIN documents AS d ON d.claim_id = c.id AND d.version = 1 WHERE c.fee_ore <> 0
        ) AS p USING (claim_id, kind, country, plate, vat_bp)
        WHERE coalesce(l.ore, 0) <> coalesce(p.ore, 0) OR coalesce(l.n, 0) <> coalesce(p.n, 0)
        ORDER BY claim_id
        """,
    ),
    Rule(
        "documents_periods",
        "a document's period and arrivals are its passages', all of which its claim's cut-off had seen",
        """
        SELECT format('document %s: %s to %s, arrived %s to %s; claim %s up to %s: %s to %s, arrived %s to %s',
                      d.number, d.period_from, d.period_to, d.booked_from, d.booked_to, c.id, c.cutoff_at,
                      p.period_from, p.period_to, p.booked_from, p.booked_to)
        FROM documents AS d JOIN claims AS c ON c.id = d.claim_id
        JOIN (
            SELECT claim_id, (min(passed_at) AT TIME ZONE 'Europe/Oslo')::date AS period_from,
                   (max(passed_at) AT TIME ZONE 'Europe/Oslo')::date AS period_to,
                   min(booked_at) AS booked_from, max(booked_at) AS booked_to
            FROM passages WHERE claim_id IS NOT NULL GROUP BY claim_id
        ) AS p ON p.claim_id = c.id
        WHERE d.version = 1 AND ((d.period_from, d.period_to, d.booked_from, d.booked_to)
                  <> (p.period_from, p.period_to, p.booked_from, p.booked_to) OR p.booked_to > c.cutoff_at)
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
        LEFT JOIN runs AS r ON c.run = 'invoices:' || r.for_date
        LEFT JOIN (
            SELECT x.claim_id, sum(x.amount_ore) AS ore FROM allocations AS x
            JOIN documents AS y ON y.claim_id = x.claim_id AND y.version = 1
            WHERE x.source = 'credit' AND x.at <= y.made_at GROUP BY 1
        ) AS a ON a.claim_id = d.claim_id
        WHERE d.version = 1 AND (d.credit_used_ore > coalesce(a.ore, 0)
              OR d.credit_used_ore < CASE c.kind WHEN 'card' THEN 0 ELSE coalesce(a.ore, 0) END
              OR d.run_id IS DISTINCT FROM r.id OR c.cutoff_at <> coalesce(r.cutoff_at, c.cutoff_at)
              OR c.made_at > d.made_at
              OR d.issued_on <> greatest(r.for_date, (d.made_at AT TIME ZONE 'Europe/Oslo')::date))
        ORDER BY d.number
        """,
    ),
    Rule(
        "documents_paid",
        "a document is marked paid by the very card that paid its charge, on that day; all others are due",
        """
        SELECT format('document %s, due %s, paid by %s; its charge: %s', d.number, coalesce(d.due_on::text, 'never'),
                      coalesce(d.paid_by::text, 'nothing'), coalesce(h.state, 'none'))
        FROM documents AS d
        LEFT JOIN charges AS h ON h.claim_id = d.claim_id
        LEFT JOIN attempts AS t ON t.charge_id = h.id AND t.state = 'succeeded' AND NOT t.credited
        LEFT JOIN cards AS k ON k.id = t.card_id
        WHERE d.version = 1 AND CASE WHEN h.state = 'succeeded' THEN (d.paid_by->>'brand', d.paid_by->>'last4',
                  d.paid_by->>'on')
                  IS DISTINCT FROM (k.brand, k.last4, (t.ended_at AT TIME ZONE 'Europe/Oslo')::date::text)
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
        "a run's number and sum are its documents'; its cut-off is when it began, at the latest its date's end",
        """
        SELECT format('run of %s (%s): %s made of %s øre, documents %s of %s øre; cut off %s, begun %s, finished %s',
                      r.for_date, r.state, r.created, r.sum_ore, coalesce(d.n, 0), coalesce(d.ore, 0), r.cutoff_at,
                      r.started_at, coalesce(r.finished_at::text, 'never'))
        FROM runs AS r
        LEFT JOIN (SELECT run_id, count(*) AS n, sum(total_ore) AS ore FROM documents WHERE version = 1 GROUP BY 1) AS d
             ON d.run_id = r.id
        WHERE r.created <> coalesce(d.n, 0) OR r.sum_ore <> coalesce(d.ore, 0)
           OR (r.state = 'done') <> (r.finished_at IS NOT NULL)
           OR r.cutoff_at <> least(r.started_at, (r.for_date + 1)::timestamp AT TIME ZONE 'Europe/Oslo')
        ORDER BY r.id
        """,
    ),
)
