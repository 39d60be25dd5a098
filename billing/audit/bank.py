"""The bank's files, what they cover, and the payments in them."""

from __future__ import annotations

from billing.audit.rules import Rule

RULES = (
    Rule(
        "bank_files_content",
        "a file is the bytes that it was known by; one was refused for a reason, or booked",
        """
        SELECT format('bank file %s (%s, %s): its content has another digest, or its error is not its state''s', id,
                      name, state)
        FROM bank_files WHERE sha256 <> sha256(content) OR (state = 'refused') <> (error IS NOT NULL) ORDER BY id
        """,
    ),
    # The date is the bank's, which may lie after the last payment's; never the day that the file was read.
    Rule(
        "bank_assignments",
        "an assignment's account stands in its file; it covers the payments' dates, and no day that was not over",
        """
        SELECT format('assignment %s of bank file %s: account %s through %s, read on %s, paid through %s', a.id, f.id,
                      a.account, a.last_date, f.read_on, coalesce(p.last::text, 'never'))
        FROM bank_assignments AS a
        JOIN (SELECT id, state, content, (received_at AT TIME ZONE 'Europe/Oslo')::date AS read_on FROM bank_files)
             AS f ON f.id = a.bank_file_id
        LEFT JOIN (
            SELECT bank_file_id, split_part(key, '/', 1) AS account, split_part(key, '/', 2) AS ref,
                   split_part(key, '/', 3) AS number, max(CASE WHEN split_part(key, '/', 4) ~ '^[0-9-]{10}$'
                       THEN split_part(key, '/', 4)::date END) AS last
            FROM payments GROUP BY 1, 2, 3, 4
        ) AS p ON (p.bank_file_id, p.account, p.ref, p.number) = (f.id, a.account, a.agreement_ref, a.number)
        WHERE f.state <> 'booked' OR length(a.account) <> 11
           OR position(convert_to(a.account, 'UTF8') IN f.content) = 0
           OR a.last_date >= f.read_on OR (a.last_date < p.last AND a.last_date < f.read_on - 1)
        ORDER BY a.id
        """,
    ),
    Rule(
        "payments_keys",
        "a payment's key is its account, assignment, settlement date and number, in an assignment of its file",
        """
        SELECT format('payment %s on account %s has key %s', p.id, p.account, p.key)
        FROM payments AS p
        LEFT JOIN (SELECT DISTINCT bank_file_id, account, agreement_ref, number FROM bank_assignments) AS a
             ON (a.bank_file_id, a.account, a.agreement_ref, a.number)
              = (p.bank_file_id, p.account, split_part(p.key, '/', 2), split_part(p.key, '/', 3))
        WHERE p.key !~ '^[^/]*/[^/]*/[0-9]+/(undated|[0-9]{4}-[0-9]{2}-[0-9]{2})/[0-9]+$'
           OR split_part(p.key, '/', 1) <> p.account
           OR split_part(p.key, '/', 4) NOT IN ('undated', p.value_date::text)
           OR (a.account IS NULL AND p.key NOT LIKE '%/undated/%' AND coalesce(p.text, '') NOT LIKE 'line %')
        ORDER BY p.id
        """,
    ),
    Rule(
        "payments_states",
        "a payment that waits says why and is nobody's; one that was matched has the KID of its claim's document, or "
        "one that document was claimed by",
        """
        SELECT format('payment %s (%s, %s) of agreement %s for claim %s has KID %s', p.id, p.state,
                      coalesce(p.why, 'matched'), coalesce(p.agreement_id::text, 'none'),
                      coalesce(p.claim_id::text, 'none'), coalesce(p.kid, 'none'))
        FROM payments AS p
        LEFT JOIN documents AS d ON d.kid = ltrim(btrim(p.kid), '0') AND d.claim_id = p.claim_id
        WHERE (p.state = 'suspense' AND (p.why IS NULL OR (p.amount_ore > 0
                                         AND (p.agreement_id IS NOT NULL OR p.claim_id IS NOT NULL))))
           OR (p.state = 'settled' AND p.amount_ore > 0 AND p.why IS NULL AND d.id IS NULL
               AND NOT EXISTS (SELECT FROM deliveries AS o JOIN documents AS c ON c.id = o.document_id
                               WHERE o.channel = 'avtalegiro' AND c.claim_id = p.claim_id
                                 AND ltrim(o.partner_ref, '0') = ltrim(btrim(p.kid), '0')))
        ORDER BY p.id
        """,
    ),
    Rule(
        "payments_reversals",
        "a payment taken back has its reversal's account, the opposite sum, and its reference or its KID",
        """
        SELECT format('payment %s of %s øre takes back payment %s of %s øre', r.id, r.amount_ore, p.id, p.amount_ore)
        FROM payments AS r JOIN payments AS p ON p.id = r.reverses_id
        WHERE r.amount_ore >= 0 OR p.amount_ore <> -r.amount_ore OR p.account <> r.account
           OR NOT coalesce(p.archive_ref = r.archive_ref, false) AND NOT coalesce(p.kid = r.kid, false)
        ORDER BY r.id
        """,
    ),
)
