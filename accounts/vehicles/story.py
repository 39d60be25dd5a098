"""What was taken off an agreement, as the support desk tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.vehicles.models import Registration, Removal


@dataclass(frozen=True)
class Taken:
    """A removal and the registration it ended."""

    removal: Removal
    registration: Registration


def removals(session: Session, agreement_ids: Sequence[int], limit: int) -> list[Taken]:
    """Return the last removals on agreements, newest first."""
    rows = session.execute(
        select(Removal, Registration)
        .join(Registration, Registration.id == Removal.registration_id)
        .where(Removal.agreement_id.in_(list(agreement_ids)), Removal.operator == "")
        .order_by(Removal.id.desc())
        .limit(limit)
    )
    return [Taken(row[0], row[1]) for row in rows]
