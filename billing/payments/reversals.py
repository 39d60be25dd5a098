"""The bank takes a payment back: what it settled is open again.

A reversal names the payment by its archive reference or its KID, and has its sum. What the payment settled is taken
from the claims and from the agreement's credit; a reversal that fits no payment, or whose credit has been spent,
waits in suspense as a negative sum. There are a few of them a day, so they are judged one by one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.settle import Settlement, allocate
from billing.passages.balances import lock
from billing.payments.match import Waiting


@dataclass(frozen=True)
class Undoing:
    """A reversal and the payment it takes back (ids), with the agreement that had the money, if one had.

    ``value_date`` is the payment's.
    """

    reversal: Waiting
    payment_id: int
    state: str
    agreement_id: int | None
    value_date: dt.date


# The archive reference names a transaction; a KID names an invoice, of which the last such payment is meant.
_ORIGINAL = """
    SELECT p.id, p.state, p.agreement_id, p.value_date FROM payments AS r
    JOIN payments AS p ON p.account = r.account AND p.amount_ore = -r.amount_ore AND p.reverses_id IS NULL
         AND (p.archive_ref = r.archive_ref OR p.kid = r.kid)
    WHERE r.id = :reversal AND p.state IN ('settled', 'suspense')
      AND NOT EXISTS (SELECT FROM payments AS x WHERE x.reverses_id = p.id)
    ORDER BY (p.archive_ref = r.archive_ref AND p.kid IS NOT DISTINCT FROM r.kid) DESC NULLS LAST,
             (p.kid = r.kid) DESC NULLS LAST, p.value_date DESC, p.id DESC
    LIMIT 1
"""


def find(session: Session, rows: Sequence[Waiting]) -> list[Undoing]:
    """Find which payments the new negative rows take back, and note it on the rows (once for each payment)."""
    found = []
    for row in rows:
        if row.amount_ore > 0 or row.why != "reversal_unmatched":
            continue
        original = session.execute(text(_ORIGINAL), {"reversal": row.id}).one_or_none()
        if original is None:
            continue
        session.execute(
            text("UPDATE payments SET reverses_id = :original, agreement_id = :agreement WHERE id = :id"),
            {"original": original.id, "agreement": original.agreement_id, "id": row.id},
        )
        found.append(Undoing(row, original.id, original.state, original.agreement_id, original.value_date))
    return found


def undo(session: Session, undoings: Sequence[Undoing], today: dt.date, now: dt.datetime) -> set[int]:
    """Take the payments back and return the agreements touched; the caller recomputes their standing.

    The agreements' balances are locked (again: the caller holds them, all at once and in order).
    """
    lock(session, sorted({u.agreement_id for u in undoings if u.agreement_id is not None}))
    for undoing in undoings:
        if undoing.state == "suspense":
            _cancel(session, undoing)
        else:
            _undo(session, undoing, today, now)
    return {u.agreement_id for u in undoings if u.agreement_id is not None}


def _cancel(session: Session, undoing: Undoing) -> None:
    """It was nobody's: the two sums in suspense cancel each other."""
    session.execute(
        text("UPDATE payments SET state = 'reversed', why = NULL WHERE id IN (:payment, :reversal)"),
        {"payment": undoing.payment_id, "reversal": undoing.reversal.id},
    )


def _undo(session: Session, undoing: Undoing, today: dt.date, now: dt.datetime) -> None:
    """Take a settled payment back from its claims and from credit."""
    reversal = undoing.reversal
    rows = session.execute(
        text("SELECT claim_id, amount_ore FROM allocations WHERE source = 'payment' AND source_id = :id ORDER BY id"),
        {"id": undoing.payment_id},
    ).all()
    settlements = [
        Settlement(row.claim_id, "reversal", reversal.id, -row.amount_ore, reversal.value_date) for row in rows
    ]
    left = -reversal.amount_ore - sum(row.amount_ore for row in rows)
    done = allocate(session, settlements, today, now)
    left -= sum(leftover.amount_ore for leftover in done.leftovers)
    if left and undoing.agreement_id is not None:
        gain = credit.Gain(undoing.agreement_id, undoing.payment_id, left, undoing.value_date)
        left -= credit.take_back(session, gain, reversal.id, today, now)
    session.execute(
        text("UPDATE payments SET state = :state, why = :why, claim_id = :claim WHERE id = :id"),
        {
            "id": reversal.id,
            "state": "suspense" if left else "settled",
            "why": "credit_spent" if left else None,
            "claim": rows[0].claim_id if rows else None,
        },
    )
