"""Payments into the database, matched by their KID, set-based.

COPY to a temporary table, one INSERT that looks every KID up among the documents. A KID that fails its check is
looked up like any other: the check only tells what to say when nothing was found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.kid import check
from billing.ledger.book import book_query
from billing.payments.incoming import Incoming

WHYS = {
    "no_kid": "No KID.",
    "bad_kid": "The KID fails its check; most likely it was mistyped.",
    "unknown_kid": "No invoice has this KID.",
    "unreadable": "A field of the payment could not be read.",
    "foreign_account": "Paid to an account that is not in our settings.",
    "reversal_unmatched": "The bank takes money back, and no payment of that sum and KID or reference is known.",
    "credit_spent": "The bank took a payment back whose surplus had been used on another invoice.",
}
"""Why a payment waits in suspense, as the support desk says it."""


class Contradiction(Exception):
    """A transaction that we know, with another sum or KID: bank or file is wrong. ``line`` names it."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Matched:
    """A new payment row: with its claim where the KID named one. Amount in øre, negative when it takes back."""

    id: int
    line: int
    amount_ore: int
    value_date: dt.date
    kid: str | None
    state: str
    why: str | None
    claim_id: int | None
    agreement_id: int | None


_TEMPORARY = """
    CREATE TEMPORARY TABLE incoming_payments (
        line int, key text, account text, kind text, amount_ore bigint, kid text, look_up text, value_date date,
        archive_ref text, debit_account text, text text, why text
    ) ON COMMIT DROP
"""
_COPY = (
    "COPY incoming_payments (line, key, account, kind, amount_ore, kid, look_up, value_date, archive_ref, "
    "debit_account, text, why) FROM STDIN"
)

# Found before (`p`), or twice in this file (`o`, the first of them), and not the same.
_CONTRADICTIONS = """
    SELECT i.line, coalesce(p.amount_ore, o.amount_ore) AS amount_ore, i.amount_ore AS now_ore
    FROM incoming_payments AS i
    JOIN (SELECT DISTINCT ON (key) * FROM incoming_payments ORDER BY key, line) AS o ON o.key = i.key
    LEFT JOIN payments AS p ON p.key = i.key
    WHERE (i.amount_ore, i.kid) IS DISTINCT FROM (coalesce(p.amount_ore, o.amount_ore),
                                                  CASE WHEN p.id IS NULL THEN o.kid ELSE coalesce(p.kid, '') END)
    ORDER BY i.line LIMIT 1
"""

_INSERT = """
    INSERT INTO payments (bank_file_id, line, key, account, kind, amount_ore, kid, value_date, archive_ref,
                          debit_account, text, state, why, agreement_id, claim_id, received_at)
    SELECT :file, i.line, i.key, i.account, i.kind, i.amount_ore, nullif(i.kid, ''), i.value_date, i.archive_ref,
           i.debit_account, i.text,
           CASE WHEN i.why IS NULL AND i.amount_ore > 0 AND d.claim_id IS NOT NULL THEN 'settled' ELSE 'suspense' END,
           coalesce(i.why, CASE WHEN i.amount_ore < 0 THEN 'reversal_unmatched'
                                WHEN d.claim_id IS NULL THEN 'unknown_kid' END),
           CASE WHEN i.why IS NULL AND i.amount_ore > 0 THEN d.agreement_id END,
           CASE WHEN i.why IS NULL AND i.amount_ore > 0 THEN d.claim_id END,
           :now
    FROM incoming_payments AS i LEFT JOIN documents AS d ON d.kid = i.look_up
    ORDER BY i.line
    ON CONFLICT (key) DO NOTHING
    RETURNING id, line, amount_ore, value_date, kid, state, why, claim_id, agreement_id
"""

# All of it into suspense first; what is matched leaves it in the same transaction.
_BOOK = """
    SELECT CASE WHEN amount_ore > 0 THEN 'bank' ELSE 'suspense' END AS debit, 0 AS debit_owner,
           CASE WHEN amount_ore > 0 THEN 'suspense' ELSE 'bank' END AS credit, 0 AS credit_owner,
           abs(amount_ore) AS amount_ore,
           CASE WHEN amount_ore > 0 THEN 'payment' ELSE 'taken_back' END AS code, id AS ref, '' AS part
    FROM payments WHERE id = ANY(:ids)
"""


def stage(session: Session, rows: Iterable[Incoming]) -> int:
    """COPY payments to a temporary table of this transaction; return how many. Raises Contradiction."""
    session.execute(text("DROP TABLE IF EXISTS incoming_payments"))
    session.execute(text(_TEMPORARY))
    connection = session.connection().connection.driver_connection
    assert connection is not None
    count = 0
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(astuple(row))
            count += 1
    session.execute(text("ANALYZE incoming_payments"))
    wrong = session.execute(text(_CONTRADICTIONS)).one_or_none()
    if wrong is not None:
        raise Contradiction(
            wrong.line,
            f"this transaction is known with {wrong.amount_ore} øre, here it has {wrong.now_ore} øre or another KID",
        )
    return count


def insert(session: Session, file_id: int, today: dt.date, now: dt.datetime) -> list[Matched]:
    """Insert what was staged and is new, matched by KID, book it into suspense; return it in the file's order."""
    rows = [Matched(*row) for row in session.execute(text(_INSERT), {"file": file_id, "now": now})]
    book_query(session, _BOOK, {"ids": [row.id for row in rows]}, booked_on=today, now=now)
    _say_why(session, rows)
    return sorted(rows, key=lambda row: row.line)


def _say_why(session: Session, rows: Iterable[Matched]) -> None:
    """Tell a missing and a mistyped KID from an unknown one."""
    said: dict[str, list[int]] = {"no_kid": [], "bad_kid": []}
    for row in rows:
        if row.why == "unknown_kid":
            if not (row.kid or "").strip("0"):
                said["no_kid"].append(row.id)
            elif check(row.kid or "") == "bad_check":
                said["bad_kid"].append(row.id)
    for why, ids in said.items():
        if ids:
            session.execute(text("UPDATE payments SET why = :why WHERE id = ANY(:ids)"), {"why": why, "ids": ids})
