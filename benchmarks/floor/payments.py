"""The floor of reading a bank file: payments ready for COPY, one matched INSERT, allocations, transfers.

It writes the rows the product writes for payments that are matched or wait; it parses nothing, checks nothing, makes no
credit, takes no locks and looks at no standing.
"""

from __future__ import annotations

from collections.abc import Iterable

from psycopg import Connection

from simulator.bank import BankPayment

_STEPS = (
    """
    INSERT INTO bank_files (sha256, name, content, received_at, state) VALUES ('', 'floor', '', now(), 'booked')
    """,
    """
    INSERT INTO payments (bank_file_id, line, key, account, kind, amount_ore, kid, value_date, archive_ref, state,
        agreement_id, claim_id, received_at)
    SELECT 1, f.line, f.key, f.account, '10', f.amount_ore, f.kid, f.value_date, f.archive_ref,
        CASE WHEN d.claim_id IS NULL THEN 'suspense' ELSE 'settled' END, d.agreement_id, d.claim_id, now()
    FROM f LEFT JOIN documents AS d ON d.kid = f.kid
    ON CONFLICT (key) DO NOTHING
    """,
    """
    INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, voucher, booked_on,
        created_at)
    SELECT 'bank', 0, 'suspense', 0, amount_ore, 'payment', id, nextval('vouchers'), current_date, now() FROM payments
    """,
    """
    INSERT INTO allocations (claim_id, agreement_id, source, source_id, amount_ore, value_date, at)
    SELECT p.claim_id, p.agreement_id, 'payment', p.id, least(p.amount_ore, c.amount_ore), p.value_date, now()
    FROM payments AS p JOIN claims AS c ON c.id = p.claim_id
    """,
    """
    UPDATE claims AS c SET settled_ore = a.amount_ore FROM allocations AS a WHERE a.claim_id = c.id
    """,
    """
    INSERT INTO transfers (debit, debit_owner, credit, credit_owner, amount_ore, code, ref, voucher, booked_on,
        created_at)
    SELECT 'suspense', 0, 'receivable', agreement_id, amount_ore, 'allocation', id, nextval('vouchers'), current_date,
        now()
    FROM allocations
    """,
)


def lines(payments: Iterable[BankPayment], account: str) -> bytes:
    """Return the payments as COPY takes them."""
    return "".join(
        f"{n}\t{account}/1/1/{p.date}/{n}\t{account}\t{p.amount_ore}\t{p.kid}\t{p.date}\t{n:09}\n"
        for n, p in enumerate(payments, start=1)
    ).encode()


def book(connection: Connection[tuple[object, ...]], block: bytes) -> int:
    """Book them in one transaction; return how many were matched."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE f (line int, key text, account text, amount_ore bigint, kid text, value_date date, "
            "archive_ref text) ON COMMIT DROP"
        )
        with cursor.copy("COPY f FROM STDIN") as copy:
            copy.write(block)
        for step in _STEPS:
            cursor.execute(step)
        cursor.execute("SELECT count(*) FROM allocations")
        row = cursor.fetchone()
        connection.commit()
    assert row is not None
    return int(str(row[0]))
