"""Extend a due date: a row of its own, and the claim follows. A due date never comes nearer."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.standing import recompute_locked
from billing.passages.balances import lock
from config.clock import business_date

_DOCUMENT = """
    SELECT d.agreement_id, d.claim_id, c.due_on, d.version = c.version AND NOT EXISTS (
               SELECT FROM documents AS n WHERE n.credits_id = d.id) AS current
    FROM documents AS d JOIN claims AS c ON c.id = d.claim_id
    WHERE d.id = :id AND d.due_on IS NOT NULL
"""


def extend(
    session: Session, document_id: int, due_on: dt.date, *, reason: str, actor: str, now: dt.datetime
) -> dt.date | None:
    """Let a document be paid until ``due_on`` (an Oslo date) where that is later than it is to be paid now.

    Returns the due date that holds after it; None for what has none (a receipt, a credit note) or is not presented any
    more. The agreement is judged anew. Locks the balance, then the claim. Raises LookupError for no such document.
    """
    owner = session.scalar(text("SELECT agreement_id FROM documents WHERE id = :id"), {"id": document_id})
    if owner is None:
        raise LookupError(f"no document {document_id}")
    lock(session, [owner])
    row = session.execute(text(_DOCUMENT + " FOR NO KEY UPDATE OF c"), {"id": document_id}).one_or_none()
    if row is None or not row.current or row.due_on is None:
        return None
    held: dt.date = row.due_on
    if due_on <= held:
        return held
    values = {"document": document_id, "due": due_on, "reason": reason, "actor": actor, "now": now}
    session.execute(
        text(
            "INSERT INTO due_extensions (document_id, due_on, reason, actor, at) "
            "VALUES (:document, :due, :reason, :actor, :now) ON CONFLICT (document_id, due_on) DO NOTHING"
        ),
        values,
    )
    session.execute(text("UPDATE claims SET due_on = :due WHERE id = :claim"), {"due": due_on, "claim": row.claim_id})
    recompute_locked(session, [owner], business_date(now), now, actor, why="reissued")
    return due_on
