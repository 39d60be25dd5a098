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


def cards_of(session: Session, agreement_id: int) -> list[Card]:
    """Return an agreement's cards that are not removed: the default first, then the newest."""
    return list(
        session.scalars(
            select(Card)
            .where(Card.agreement_id == agreement_id, Card.removed_at.is_(None))
            .order_by(Card.is_default.desc(), Card.id.desc())
            .execution_options(populate_existing=True)
        )
    )


def open_charge(session: Session, agreement_id: int, *, lock: bool = False) -> Charge | None:
    """Return the charge of an agreement that is not settled yet, or None; ``lock``: for a verb that will change it."""
    query = select(Charge).where(Charge.agreement_id == agreement_id, Charge.state.in_(("due", "claimed")))
    if lock:
        query = query.with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def unanswered_of(session: Session, charge_id: int) -> int | None:
    """Return the id of a charge's attempt whose outcome nobody knows yet, or None."""
    return session.scalar(select(Attempt.id).where(Attempt.charge_id == charge_id, Attempt.state == "unknown"))


def unanswered(session: Session, agreement_id: int) -> bool:
    """Say whether there is an attempt of an agreement whose outcome nobody knows yet."""
    one = select(Attempt.id).join(Charge, Charge.id == Attempt.charge_id).where(Attempt.state == "unknown")
    return session.scalars(one.where(Charge.agreement_id == agreement_id).limit(1)).first() is not None


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


def story_of_charge(session: Session, charge: Charge) -> ChargeStory:
    """Return a charge with its attempts."""
    attempts = session.scalars(select(Attempt).where(Attempt.charge_id == charge.id).order_by(Attempt.id)).all()
    return ChargeStory(charge, attempts)


def open_story(session: Session, agreement_id: int) -> ChargeStory | None:
    """Return an agreement's open charge with its attempts, or None."""
    charge = open_charge(session, agreement_id)
    return story_of_charge(session, charge) if charge is not None else None


def named(session: Session, agreement_id: int) -> dict[int, Card]:
    """Return all cards an agreement has had, by id."""
    return {card.id: card for card in session.scalars(select(Card).where(Card.agreement_id == agreement_id))}


def agreement_of(session: Session, charge_id: int) -> int | None:
    """Return the id of a charge's agreement, or None."""
    return session.scalar(select(Charge.agreement_id).where(Charge.id == charge_id))


def forgettable(session: Session, cards: Sequence[Card]) -> list[str]:
    """Return the provider's ids of those removed cards that it may forget now.

    Not one with an attempt that nobody knows the outcome of: the request may have to be sent again, and would be
    declined for want of the card.
    """
    asked = session.scalars(
        select(Attempt.card_id).where(Attempt.card_id.in_([card.id for card in cards]), Attempt.state == "unknown")
    ).all()
    return [card.payment_method for card in cards if card.id not in asked]
