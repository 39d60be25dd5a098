"""A card that its bank has renewed, or that was taken away: read again from the provider when it tells of one.

The provider's account updater follows cards from one number or expiry to the next, where the bank tells it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from billing.cards import due, outcome
from billing.cards.card_rules import Looks, segment_after, works_again
from billing.cards.dispute import DISPUTED, held_against
from billing.cards.gateway import CardDetails, GatewayUnavailable
from billing.cards.models import Card
from billing.cards.queries import open_charge
from billing.passages.balances import lock

GONE = "detached"
"""Why a card that the provider has let go of is refused: nothing can be charged on it any more."""


class ReadAgain(GatewayUnavailable):
    """Another read of the card was kept while this one was under way, and may be the newer one."""


@dataclass(frozen=True)
class Seen:
    """A card as it stood here before it was read: of which agreement, and what of it a read may change."""

    agreement_id: int
    stood: tuple[object, ...]


def seen(session: Session, payment_method: str) -> Seen | None:
    """Return how a registered card stands, by the provider's id of it; None for one that is not in use here."""
    card = session.scalars(_in_use(payment_method)).one_or_none()
    return None if card is None else Seen(card.agreement_id, _stands(card))


def refresh(
    session: Session, payment_method: str, read: CardDetails | None, *, now: dt.datetime, before: Seen | None = None
) -> str:
    """Keep what the provider says of a card now (None: it is gone there); returns ignored, updated or gone.

    A new number or expiry makes a refused card usable again, and an open charge is tried on it at once. The same again
    changes nothing. What support has said of the card stays.

    ``before``: how it stood when the read began. Of two reads at once the second stands back: raises ReadAgain.
    """
    there = seen(session, payment_method)
    if there is None:
        return "ignored"
    lock(session, [there.agreement_id])
    card = session.scalars(_in_use(payment_method)).one_or_none()
    if card is None:
        return "ignored"
    if before is not None and _stands(card) != before.stood:
        raise ReadAgain("the card was read by somebody else meanwhile")
    if read is None:
        return _gone(session, card)
    looked, after = _looks(card), Looks(read.brand, read.last4, read.exp_month, read.exp_year)
    card.last4, card.exp_month, card.exp_year = after.last4, after.exp_month, after.exp_year
    card.brand, card.funding, card.country = read.brand, read.funding, read.country
    card.product = read.product or card.product
    card.segment, card.segment_source = segment_after(read.segment, segment=card.segment, source=card.segment_source)
    if looked != after:
        card.updated_at = now
        if works_again(card.refused_code, looked, after):
            card.refused_code = DISPUTED if held_against(session, card.id) else None
        session.flush()
        _try(session, card, now=now)
    session.flush()
    return "updated"


def _gone(session: Session, card: Card) -> str:
    if card.refused_code is None:
        card.refused_code = GONE
    session.flush()
    return "gone"


def _try(session: Session, card: Card, *, now: dt.datetime) -> None:
    """Have an open charge tried at once where this is the card that pays it."""
    charge = open_charge(session, card.agreement_id, lock=True)
    if (
        card.refused_code is None
        and charge is not None
        and (charge.card_id == card.id or (charge.card_id is None and card.is_default))
    ):
        outcome.try_now(session, card.agreement_id, now=now)
    due.decide(session, [card.agreement_id], now=now)


def _in_use(payment_method: str) -> Select[Card]:
    query = select(Card).where(Card.payment_method == payment_method, Card.removed_at.is_(None))
    return query.execution_options(populate_existing=True)


def _stands(card: Card) -> tuple[object, ...]:
    return (_looks(card), card.funding, card.country, card.product, card.segment, card.refused_code)


def _looks(card: Card) -> Looks:
    return Looks(card.brand, card.last4, card.exp_month, card.exp_year)
