"""Documents: numbers, sums, lines, VAT, KID."""

from __future__ import annotations

from billing.audit.rules import FEES_BACK, Rule

# The digits of a KID as the check digit weighs them: the last as it is, every second from there doubled and its
# digits added.
_LUHN = " + ".join(
    f"translate(substr(d.kid, {at}, 1), '123456789', '{'246813579' if at % 2 else '123456789'}')::int"
    for at in range(1, 19)
)

RULES = (
    Rule(
        "documents_numbers",
        "the numbers of documents have no gap, and the series goes on after the last",
        """
        SELECT format('%s documents are numbered %s to %s, the next number is %s', count(*), min(d.number),
                      max(d.number), (SELECT next_number FROM number_series WHERE series = 'invoice'))
        FROM documents AS d
        HAVING count(*) <> coalesce(max(d.number) - min(d.number) + 1, 0)
            OR (SELECT next_number - 1 FROM number_series WHERE series = 'invoice') IS DISTINCT FROM max(d.number)
        UNION ALL
        SELECT format('no document has number %s', number + 1) FROM (
            SELECT number, lead(number) OVER (ORDER BY number) AS after FROM documents
        ) AS x WHERE after <> number + 1
        """,
    ),
    Rule(
        "documents_claims",
        "a document has the sum and fee of its claim's version, its agreement; the last invoice its due date, or what "
        "that was extended to",
        f"""
        SELECT format('document %s, version %s: %s øre (fee %s), due %s; claim %s: %s øre (fee %s), due %s', d.number,
                      d.version, d.total_ore, d.fee_ore, coalesce(d.due_on::text, 'paid'), c.id,
                      c.amount_ore - coalesce(j.ore, 0) + coalesce(f.ore, 0), c.fee_ore + coalesce(f.ore, 0),
                      coalesce(c.due_on::text, 'paid'))
        FROM documents AS d JOIN claims AS c ON c.id = d.claim_id
        LEFT JOIN LATERAL (
            SELECT sum(amount_ore) AS ore FROM joined WHERE c.version > 1 AND claim_id = c.id AND version > d.version
        ) AS j ON true
        LEFT JOIN LATERAL (
            SELECT sum(ore) AS ore FROM {FEES_BACK} AS x WHERE c.version > 1 AND claim_id = c.id AND version > d.version
        ) AS f ON true
        LEFT JOIN LATERAL (SELECT max(due_on) AS due_on FROM due_extensions WHERE document_id = d.id) AS e ON true
        WHERE d.credits_id IS NULL AND (d.total_ore <> c.amount_ore - coalesce(j.ore, 0) + coalesce(f.ore, 0)
              OR d.fee_ore <> c.fee_ore + coalesce(f.ore, 0)
              OR d.agreement_id <> c.agreement_id OR (d.kind = 'invoice') <> (d.total_ore > 0)
              OR (d.version = c.version AND d.kind = 'invoice'
                  AND greatest(d.due_on, e.due_on) IS DISTINCT FROM c.due_on))
        ORDER BY d.number
        """,  # noqa: S608 - no input in it
    ),
    Rule(
        "claims_documents",
        "a claim has a document, but while a card is being charged for it, when it came to nothing, or was nothing: "
        "every counter-row in it takes back a passage in it",
        """
        SELECT format('claim %s (%s, %s øre, version %s) has no document', c.id, c.kind, c.amount_ore, c.version)
        FROM claims AS c
        LEFT JOIN documents AS d ON d.claim_id = c.id AND d.version = c.version AND d.credits_id IS NULL
        LEFT JOIN charges AS h ON h.claim_id = c.id
        WHERE d.id IS NULL AND (c.kind <> 'card' OR c.due_on IS NOT NULL OR h.state IN ('succeeded', 'invoiced'))
          AND (c.version = 1 OR c.amount_ore <> 0)
          AND NOT (c.kind = 'credit' AND c.amount_ore = 0 AND (
              SELECT count(*) = 2 * count(o.id) FROM passages AS p
              LEFT JOIN passages AS o ON o.id = p.reverses_id AND o.claim_id = p.claim_id
              WHERE p.agreement_id = c.agreement_id AND p.claim_id = c.id))
        ORDER BY c.id
        """,
    ),
    Rule(
        "documents_lines",
        "a document's lines add up to its total, each line's net and VAT to its gross",
        """
        SELECT format('document %s: total %s øre, lines %s øre, net and VAT %s øre', d.number, d.total_ore,
                      coalesce(sum(l.gross_ore), 0), coalesce(sum(l.net_ore + l.vat_ore), 0))
        FROM documents AS d LEFT JOIN document_lines AS l ON l.document_id = d.id
        GROUP BY d.id
        HAVING d.total_ore <> coalesce(sum(l.gross_ore), 0) OR bool_or(l.gross_ore <> l.net_ore + l.vat_ore)
        ORDER BY d.number
        """,
    ),
    Rule(
        "documents_vat",
        "per rate the net is the gross · 100 ÷ (100 + rate), rounded half away from zero",
        """
        SELECT format('document %s, VAT %s bp: net %s øre of gross %s øre', document_id, vat_bp, net, gross)
        FROM (SELECT document_id, vat_bp, sum(net_ore) AS net, sum(gross_ore) AS gross
              FROM document_lines GROUP BY document_id, vat_bp) AS x
        WHERE net <> round(gross * 10000 / (10000 + vat_bp)::numeric) ORDER BY document_id, vat_bp
        """,
    ),
    Rule(
        "documents_kid",
        "what is to be paid has a KID: its agreement, its document and the check digit; what is paid has none",
        f"""
        SELECT format('document %s has KID %s', d.number, coalesce(d.kid, 'none')) FROM documents AS d
        JOIN agreements AS a ON a.id = d.agreement_id
        WHERE (d.kid IS NULL) <> (d.due_on IS NULL)
           OR CASE WHEN d.kid ~ '^[0-9]{{18}}$' THEN left(d.kid, 17) <> a.number::text || lpad(d.number::text, 9, '0')
                   OR (({_LUHN}) % 10 <> 0) ELSE d.kid IS NOT NULL END
        ORDER BY d.number
        """,  # noqa: S608 - no input in it
    ),
)
