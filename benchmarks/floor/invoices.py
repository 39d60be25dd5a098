"""The floor of the invoice run: the same rows by plain SQL, a statement a table, in chunks of the product's size.

Claims with their due date, the claim's id on the passages, balances, ledger, lines, messages, numbers, documents. It
knows no locks, credit, closed agreements, check digits or faults, and VAT is split without the running remainder.
"""

from __future__ import annotations

import datetime as dt

from psycopg import Connection

_STEPS = (
    """
    INSERT INTO claims (agreement_id, kind, run, cutoff_at, passages_ore, passages_count, due_on, made_at)
    SELECT agreement_id, 'invoice', 'floor', %(now)s, unbilled_ore, unbilled_count, %(due)s, %(now)s
    FROM balances WHERE agreement_id > %(after)s AND agreement_id <= %(upto)s AND unbilled_ore >= 5000
    """,
    """
    UPDATE passages AS p SET claim_id = c.id FROM claims AS c
    WHERE c.run = 'floor' AND c.agreement_id > %(after)s AND c.agreement_id <= %(upto)s
      AND p.agreement_id = c.agreement_id AND p.claim_id IS NULL AND p.booked_at <= %(now)s
    """,
    """
    UPDATE balances AS b SET unbilled_ore = 0, unbilled_count = 0, open_since = NULL FROM claims AS c
    WHERE c.run = 'floor' AND c.agreement_id > %(after)s AND c.agreement_id <= %(upto)s
      AND b.agreement_id = c.agreement_id
    """,
    """
    INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, voucher, booked_on,
        created_at)
    SELECT 'receivable', agreement_id, 'unbilled', 0, passages_ore, 'claim', id, nextval('vouchers'), %(on)s, %(now)s
    FROM claims WHERE run = 'floor' AND agreement_id > %(after)s AND agreement_id <= %(upto)s
    """,
    """
    INSERT INTO documents (number, claim_id, agreement_id, run_id, language, issued_on, due_on, period_from, period_to,
        booked_from, booked_to, kid, total_ore, seller, buyer, template, made_at)
    SELECT n.first + row_number() OVER (ORDER BY c.id) - 1, c.id, a.id, %(run)s, k.language, %(on)s, %(due)s, %(on)s,
        %(on)s, %(now)s, %(now)s,
        a.number::text || lpad((n.first + row_number() OVER (ORDER BY c.id) - 1)::text, 9, '0') || '0', c.amount_ore,
        %(seller)s, jsonb_build_object('number', k.number, 'kind', k.kind, 'name', k.name, 'org_no', k.org_no,
            'street', k.street, 'postal_code', k.postal_code, 'city', k.city, 'country', k.country), 1, %(now)s
    FROM claims AS c JOIN agreements AS a ON a.id = c.agreement_id JOIN customers AS k ON k.id = a.customer_id
    CROSS JOIN (SELECT next_number AS first FROM number_series WHERE series = 'invoice') AS n
    WHERE c.run = 'floor' AND c.agreement_id > %(after)s AND c.agreement_id <= %(upto)s
    """,
    """
    UPDATE number_series SET next_number = (SELECT max(number) + 1 FROM documents) WHERE series = 'invoice'
    """,
    """
    INSERT INTO document_lines (document_id, line, kind, country, plate, vat_bp, count, gross_ore, net_ore, vat_ore)
    SELECT q.id, row_number() OVER (PARTITION BY q.id ORDER BY q.plate, q.service, q.vat_bp), q.service, q.country,
        q.plate, q.vat_bp, q.count, q.ore, q.net, q.ore - q.net
    FROM (
        SELECT d.id, p.service, p.country, p.plate, p.vat_bp, count(*) AS count, sum(p.amount_ore) AS ore,
            round(sum(p.amount_ore) * 10000 / (10000 + p.vat_bp)) AS net
        FROM documents AS d JOIN passages AS p ON p.agreement_id = d.agreement_id AND p.claim_id = d.claim_id
        WHERE d.agreement_id > %(after)s AND d.agreement_id <= %(upto)s
        GROUP BY d.id, p.service, p.country, p.plate, p.vat_bp
    ) AS q
    """,
    """
    INSERT INTO messages (agreement_id, template, subject, document_id, made_at)
    SELECT agreement_id, 'invoice', 'document:' || id, id, %(now)s
    FROM documents WHERE agreement_id > %(after)s AND agreement_id <= %(upto)s
    """,
)


def invoice(
    connection: Connection[tuple[object, ...]], *, agreements: int, chunk: int, seller: str, now: dt.datetime
) -> None:
    """Invoice agreements 1 to ``agreements``, a transaction a chunk; ``seller`` is JSON."""
    issued_on = now.date()
    connection.execute(
        "INSERT INTO runs (kind, for_date, cutoff_at, actor, started_at) VALUES ('invoices', %s, %s, 'floor', %s)",
        (issued_on, now, now),
    )
    connection.execute("INSERT INTO number_series VALUES ('invoice', 100000001) ON CONFLICT DO NOTHING")
    values = {"now": now, "on": issued_on, "due": issued_on + dt.timedelta(days=14), "run": 1, "seller": seller}
    for after in range(0, agreements, chunk):
        for step in _STEPS:
            connection.execute(step, values | {"after": after, "upto": after + chunk}, prepare=False)
        connection.execute("UPDATE runs SET last_agreement_id = %s, created = created + %s", (after + chunk, chunk))
        connection.commit()
