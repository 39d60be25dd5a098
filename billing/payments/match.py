"""Payments into the database, matched by their KID, set-based.

COPY to a temporary table, one INSERT that looks every KID up among the documents; what was claimed by AvtaleGiro under
another KID of its document's is found by that one. A KID that fails its check is
looked up like any other: the check only tells what to say when nothing was found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.kid import check
from billing.ledger.book import book_query
from billing.payments.incoming import Incoming
from config.database import raw

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
    """A transaction that we know with another sum or KID, or that is in the file twice: bank or file is wrong.

    ``line`` names it.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


@dataclass(frozen=True)
class Waiting:
    """A new payment that settles nothing by itself: in suspense, or taking money back (amount below zero, in øre)."""

    id: int
    amount_ore: int
    value_date: dt.date
    kid: str | None
    why: str


@dataclass(frozen=True)
class Inserted:
    """The new payments of a file: how many, how many of them were matched to a claim and their sum, and the rest."""

    count: int
    matched: int
    matched_ore: int
    waiting: list[Waiting]


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

# The same again in this file (`again`): the clearing house never does that, and we would count one of them only. Or
# found before (`p`), and not the same.
_CONTRADICTIONS = """
    SELECT i.line, i.again, p.amount_ore, i.amount_ore AS now_ore
    FROM (
        SELECT line, key, amount_ore, kid, row_number() OVER (PARTITION BY key ORDER BY line) > 1 AS again
        FROM incoming_payments
    ) AS i
    LEFT JOIN payments AS p ON p.key = i.key
    WHERE i.again OR (p.id IS NOT NULL AND (i.amount_ore, i.kid) IS DISTINCT FROM (p.amount_ore, coalesce(p.kid, '')))
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
"""

# A claim on an older AvtaleGiro mandate went out under a KID of that mandate's structure, which no document has.
_CLAIMED = """
    UPDATE payments AS p SET state = 'settled', why = NULL, agreement_id = d.agreement_id, claim_id = d.claim_id
    FROM (SELECT DISTINCT ltrim(partner_ref, '0') AS kid, document_id FROM deliveries
          WHERE channel = 'avtalegiro' AND ltrim(partner_ref, '0') = ANY(ARRAY(
              SELECT ltrim(kid, '0') FROM payments
              WHERE bank_file_id = :file AND state = 'suspense' AND why = 'unknown_kid'))) AS o
    JOIN documents AS d ON d.id = o.document_id
    WHERE p.bank_file_id = :file AND p.state = 'suspense' AND p.why = 'unknown_kid' AND ltrim(p.kid, '0') = o.kid
"""

# All of it into suspense first; what is matched leaves it in the same transaction.
_BOOK = """
    SELECT CASE WHEN amount_ore > 0 THEN 'bank' ELSE 'suspense' END AS debit, 0 AS debit_owner,
           CASE WHEN amount_ore > 0 THEN 'suspense' ELSE 'bank' END AS credit, 0 AS credit_owner,
           abs(amount_ore) AS amount_ore,
           CASE WHEN amount_ore > 0 THEN 'payment' ELSE 'taken_back' END AS code, id AS ref, '' AS part
    FROM payments WHERE bank_file_id = :file
"""


def take_turn(session: Session) -> None:
    """Let one at a time place payments, until the transaction ends.

    Two files' locks must not cross, and what support places must not be taken back by a file in the same moment.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('brikke payments', 0))"))


def stage(session: Session, rows: Iterable[Incoming]) -> int:
    """COPY payments to a temporary table of this transaction; return how many. Raises Contradiction."""
    session.execute(text("DROP TABLE IF EXISTS incoming_payments"))
    session.execute(text(_TEMPORARY))
    count = 0
    with raw(session).cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    session.execute(text("ANALYZE incoming_payments"))
    wrong = session.execute(text(_CONTRADICTIONS)).one_or_none()
    if wrong is not None:
        raise Contradiction(
            wrong.line,
            "this transaction is in the file twice: the same assignment, settlement date and number as further up"
            if wrong.again
            else f"this transaction is known with {wrong.amount_ore} øre, here it has {wrong.now_ore} or another KID",
        )
    return count


def insert(session: Session, file_id: int, today: dt.date, now: dt.datetime) -> Inserted:
    """Insert what was staged and is new, matched by KID, and book it into suspense."""
    session.execute(text(_INSERT), {"file": file_id, "now": now})
    session.execute(text(_CLAIMED), {"file": file_id})
    book_query(session, _BOOK, {"file": file_id}, booked_on=today, now=now)
    sums = session.execute(
        text(
            "SELECT count(*) AS n, count(*) FILTER (WHERE state = 'settled') AS matched, "
            "coalesce(sum(amount_ore) FILTER (WHERE state = 'settled'), 0)::bigint AS ore "
            "FROM payments WHERE bank_file_id = :file"
        ),
        {"file": file_id},
    ).one()
    rows = session.execute(
        text(
            "SELECT id, amount_ore, value_date, kid, why FROM payments "
            "WHERE bank_file_id = :file AND state = 'suspense' ORDER BY line"
        ),
        {"file": file_id},
    )
    waiting = [Waiting(*row) for row in rows]
    _say_why(session, waiting)
    return Inserted(sums.n, sums.matched, sums.ore, waiting)


def _say_why(session: Session, rows: Iterable[Waiting]) -> None:
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
