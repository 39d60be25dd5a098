"""One delivery in full, as the desk shows it: what happened when, in which file, with what proof, at what cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.delivery.models import Delivery, DeliveryFile


@dataclass(frozen=True)
class InFile:
    """The file a delivery went in: how that stands with the partner, and the delivery's place in it."""

    name: str
    state: str
    line: int | None
    answer: str | None


@dataclass(frozen=True)
class Carried:
    """``steps``: what happened when, in order: (word, instant) of business time; queued, sent, delivered, opened,
    ended. ``proof`` is what partners told, by name."""

    presents: bool
    cost_ore: int
    partner_ref: str | None
    proof: Mapping[str, Any]
    steps: Sequence[tuple[str, dt.datetime]]
    file: InFile | None


def carried(session: Session, delivery_id: int) -> Carried:
    """Return what is known of a delivery that exists."""
    query = (
        select(Delivery, DeliveryFile.name, DeliveryFile.state, DeliveryFile.answer)
        .outerjoin(DeliveryFile, DeliveryFile.id == Delivery.file_id)
        .where(Delivery.id == delivery_id)
    )
    row, name, state, answer = session.execute(query).one()
    happened = (
        ("queued", row.queued_at),
        ("sent", row.sent_at),
        ("delivered", row.delivered_at),
        ("opened", row.opened_at),
        ("ended", row.ended_at),
    )
    steps = sorted(((word, at) for word, at in happened if at is not None), key=lambda step: step[1])
    return Carried(
        row.presents,
        row.cost_ore,
        row.partner_ref,
        dict(row.proof),
        steps,
        InFile(name, state, row.file_line, answer) if row.file_id is not None else None,
    )
