"""Open an agreement."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import insert
from sqlalchemy.orm import Session

from accounts.agreements import rules
from accounts.agreements.models import Agreement, StandingChange
from accounts.chargers.publish import Notice, publish


def open_agreement(
    session: Session,
    customer_id: int,
    *,
    now: dt.datetime,
    actor: str,
    operator: str | None = None,
    parent_id: int | None = None,
) -> Agreement:
    """Open a tag agreement, or with ``operator`` a ferry agreement additional to ``parent_id``; paid by invoice.

    Its number comes from a sequence, its opening is the first row of its history, and every charger is told.
    """
    row = session.scalars(
        insert(Agreement).returning(Agreement),
        [
            {
                "customer_id": customer_id,
                "kind": "ferry" if operator else "tag",
                "operator": operator,
                "parent_id": parent_id,
                "opened_at": now,
            }
        ],
    ).one()
    session.execute(
        insert(StandingChange),
        [{"agreement_id": row.id, "standing": rules.OPEN, "at": now, "reason": "opened", "actor": actor}],
    )
    publish(session, [Notice(row.id, "valid", "opened")], now)
    return row
