"""Passages that were taken back: moved to who has the vehicle, or credited by support."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from accounts.chargers.models import Station
from billing.passages.models import Passage, Reversal


@dataclass(frozen=True)
class TakenBack:
    """A passage that was taken back: when and where it happened, its sum in øre (as it was, positive), when it was
    taken back, why (moved, credited), by whom, and whether it had been billed."""

    passage_id: int
    passed_at: dt.datetime
    station: str
    country: str | None
    plate: str | None
    amount_ore: int
    cause: str
    reason: str | None
    actor: str
    at: dt.datetime
    claim_id: int | None


def taken_back(session: Session, agreement_id: int, limit: int) -> list[TakenBack]:
    """Return the passages of an agreement that were taken back last, newest first."""
    counter = aliased(Passage)
    rows = session.execute(
        select(
            Reversal.passage_id,
            counter.passed_at,
            func.coalesce(Station.name, counter.station),
            counter.country,
            counter.plate,
            -counter.amount_ore,
            Reversal.cause,
            Reversal.reason,
            Reversal.actor,
            Reversal.at,
            counter.claim_id,
        )
        .join(Reversal, and_(Reversal.passage_id == counter.reverses_id, Reversal.counter_id == counter.id))
        .outerjoin(Station, and_(Station.charger_id == counter.charger_id, Station.code == counter.station))
        .where(counter.agreement_id == agreement_id, counter.reverses_id.is_not(None))
        .order_by(Reversal.at.desc(), Reversal.passage_id.desc())
        .limit(limit)
    )
    return [TakenBack(*row) for row in rows]
