"""Which of an agreement's cards is charged, and that another one takes over when its bank has refused it for good.

The callers hold the lock on the agreement's balance.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import structlog
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.cards.models import Card
from billing.cards.queries import cards_of

log = structlog.get_logger()


def take_over(session: Session, cards: Sequence[Card], card: Card) -> None:
    """Make a card the default of an agreement's cards."""
    for one in cards:
        if one is not card and one.is_default:
            one.is_default = False
    session.flush()  # the database takes one default at a time
    card.is_default = True
    session.flush()


def pass_on(session: Session, agreement_id: int, *, now: dt.datetime) -> Card | None:
    """Return the card that is charged: the default, or the newest that works where the default must not be tried.

    Then that one is the default from now on, and the customer is told. None where no card works.
    """
    cards = cards_of(session, agreement_id)
    works = next((card for card in cards if card.refused_code is None), None)
    if works is None or works.is_default:
        return works
    before = next((card for card in cards if card.is_default), None)
    take_over(session, cards, works)
    log.info("card_takes_over", agreement=agreement_id, card=works.id, instead_of=before.id if before else None)
    told = NewMessage(agreement_id, "card_next", f"card:{works.id}:{now.isoformat()}")
    tell(session, [told], now=now)
    return works
