"""How claims of an agreement were settled, as the support desk tells it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.claims.models import CreditEntry


@dataclass(frozen=True)
class Settled:
    """So many øre of a claim settled (negative: taken back), by what, and the number of the claim's last invoice."""

    source: str
    source_id: int
    claim_id: int
    number: int | None
    amount_ore: int
    value_date: dt.date
    at: dt.datetime


# `documents` is read by its table: the room of invoices lies above this one.
_SETTLED = """
    SELECT a.source, a.source_id, a.claim_id, d.number, a.amount_ore, a.value_date, a.at
    FROM allocations AS a JOIN claims AS c ON c.id = a.claim_id
    LEFT JOIN LATERAL (
        SELECT number FROM documents WHERE claim_id = c.id AND kind = 'invoice' ORDER BY version DESC LIMIT 1
    ) AS d ON true
"""


def settled(session: Session, agreement_id: int, limit: int) -> list[Settled]:
    """Return what settled an agreement's claims last, newest first."""
    rows = session.execute(
        text(_SETTLED + "WHERE c.agreement_id = :id ORDER BY a.id DESC LIMIT :limit"),
        {"id": agreement_id, "limit": limit},
    )
    return [Settled(*row) for row in rows]


def settled_by(session: Session, source: str, source_id: int) -> list[Settled]:
    """Return what one payment (or other source) settled, in order."""
    rows = session.execute(
        text(_SETTLED + "WHERE a.source = :source AND a.source_id = :id ORDER BY a.id"),
        {"source": source, "id": source_id},
    )
    return [Settled(*row) for row in rows]


def credit_entries(session: Session, agreement_id: int, limit: int) -> Sequence[CreditEntry]:
    """Return the last changes of what we owe an agreement's holder, newest first."""
    return session.scalars(
        select(CreditEntry).where(CreditEntry.agreement_id == agreement_id).order_by(CreditEntry.id.desc()).limit(limit)
    ).all()
