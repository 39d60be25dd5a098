"""Reads of cards and charges for screens and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards.models import Attempt, Card, Charge
from config.http import Page, paged


def card_of(session: Session, agreement_id: int) -> Card | None:
    """Return the card an agreement pays by, or None."""
    return session.scalars(
        select(Card).where(Card.agreement_id == agreement_id, Card.is_default, Card.removed_at.is_(None))
    ).one_or_none()


@dataclass(frozen=True)
class ChargeStory:
    """A charge with all its attempts, oldest first."""

    charge: Charge
    attempts: Sequence[Attempt]


def charges_of(session: Session, agreement_id: int, *, after: str | None, limit: int) -> Page:
    """Return an agreement's charges, newest first, each with its attempts."""
    page = paged(
        session,
        select(Charge).where(Charge.agreement_id == agreement_id),
        [Charge.id],
        after=after,
        limit=limit,
        descending=True,
    )
    attempts = session.scalars(
        select(Attempt).where(Attempt.charge_id.in_([charge.id for charge in page.items])).order_by(Attempt.id)
    ).all()
    return Page(
        [ChargeStory(charge, [one for one in attempts if one.charge_id == charge.id]) for charge in page.items],
        page.next,
    )
