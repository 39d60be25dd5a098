"""Card attempts whose outcome nobody knows yet, as the support desk lists them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.cards.models import Attempt, Charge
from config.http import Page, paged


@dataclass(frozen=True)
class Unanswered:
    """An attempt without an answer and the agreement it is for."""

    attempt: Attempt
    agreement_id: int


def count_unanswered(session: Session) -> int:
    """Count the attempts whose outcome is unknown."""
    return session.execute(select(func.count()).where(Attempt.state == "unknown")).scalar_one()


def unanswered(session: Session, *, after: str | None, limit: int) -> Page:
    """Return the attempts whose outcome is unknown, the oldest first, a keyset page of ``Unanswered``."""
    query = (
        select(Attempt, Charge.agreement_id, Attempt.id.label("id"))
        .join(Charge, Charge.id == Attempt.charge_id)
        .where(Attempt.state == "unknown")
    )
    page = paged(session, query, [Attempt.id], after=after, limit=limit)
    return Page([Unanswered(row[0], row[1]) for row in page.items], page.next)
