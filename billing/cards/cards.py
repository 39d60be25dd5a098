"""An agreement's cards: which one is the default, removing one, and its segment.

Whatever changes which card is tried next has an open charge tried at once. Verbs lock the agreement's balance.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import update
from sqlalchemy.orm import Session

from accounts.agreements.method import set_payment_method
from accounts.agreements.models import Agreement
from billing.cards import due, left, outcome
from billing.cards.card_rules import after_removal
from billing.cards.default import take_over
from billing.cards.models import Attempt, Card
from billing.cards.outcome import Seller
from billing.cards.queries import cards_of, open_charge
from billing.passages.balances import lock
from config.problems import Conflict, NotFound

SEGMENTS = ("consumer", "commercial", "unknown")


def make_default(session: Session, agreement_id: int, card_id: int, *, now: dt.datetime) -> Card:
    """Let one of an agreement's cards be the one that is charged; an open charge is tried on it at once.

    Raises NotFound, and Conflict ``card-refused`` for a card that must not be tried again. The same again changes
    nothing.
    """
    lock(session, [agreement_id])
    cards = cards_of(session, agreement_id)
    card = _named(cards, card_id)
    if card.is_default:
        return card
    if card.refused_code is not None:
        raise Conflict("This card was declined for good. Register it anew, or another one.", slug="card-refused")
    take_over(session, cards, card)
    charge = open_charge(session, agreement_id, lock=True)
    if charge is not None:
        charge.card_id = None  # what the holder says now counts, not what an agent chose before
        session.flush()
        outcome.try_now(session, agreement_id, now=now)
    due.decide(session, [agreement_id], now=now)
    return card


def remove(
    session: Session,
    agreement_id: int,
    card_id: int | None,
    *,
    seller: Seller,
    now: dt.datetime,
    instead: bool = False,
) -> Card:
    """Stop using a card (``card_id`` None: the default); another usable one is the default from then on.

    Without another the agreement pays by invoice, and what is not billed yet is invoiced now. An attempt on the card
    whose outcome nobody knows is only looked up from then on. Returns the card, so that the caller has the provider
    forget it after the commit, or ``forgotten`` does when that attempt has ended. Raises NotFound; Conflict
    ``only-way-to-pay`` while a charge is being tried that no other card can pay, unless ``instead`` chooses an invoice
    for it; ``charge-unknown`` then, while nobody knows whether the card has paid.
    """
    lock(session, [agreement_id])
    cards = cards_of(session, agreement_id)
    card = _named(cards, card_id)
    others = [one for one in cards if one is not card and one.refused_code is None]
    charge = open_charge(session, agreement_id, lock=True)
    then = after_removal(
        usable=card.refused_code is None,
        is_default=card.is_default,
        others_usable=bool(others),
        charge=charge.state if charge is not None else None,
        instead=instead,
    )
    if then == "refused":
        raise Conflict(
            "A charge is open and this card is the only way to pay it. Register another card first, or choose an "
            "invoice instead.",
            slug="only-way-to-pay",
        )
    was_default = card.is_default
    card.removed_at, card.is_default = now, False
    _send_no_more(session, card)
    if charge is not None and charge.card_id == card.id:
        charge.card_id = None
    session.flush()
    if then == "another":
        if was_default:
            others[0].is_default = True
            session.flush()
            outcome.try_now(session, agreement_id, now=now)
    elif then != "nothing":
        _by_invoice(session, agreement_id, seller=seller, now=now, charge_too=then == "instead")
    return card


def _send_no_more(session: Session, card: Card) -> None:
    """Let an attempt on a card that nobody knows the outcome of be looked up only: sent again it would be charged."""
    session.execute(
        update(Attempt)
        .where(Attempt.card_id == card.id, Attempt.state == "unknown", Attempt.kind == "off_session")
        .values(lookup=True)
    )


def _by_invoice(session: Session, agreement_id: int, *, seller: Seller, now: dt.datetime, charge_too: bool) -> None:
    """Let invoices be the way to pay, no card being left: what is not billed yet comes on one now.

    A charge that is being tried is invoiced too where that was chosen; else its card was useless already, and it ends
    on an invoice at its time.
    """
    if session.get_one(Agreement, agreement_id, populate_existing=True).standing != "closed":
        set_payment_method(session, agreement_id, "invoice")
    charge = open_charge(session, agreement_id, lock=True)
    if charge is not None and (charge_too or charge.state == "due"):
        left.invoice_charge(session, charge, seller=seller, now=now)
    left.invoice_it(session, agreement_id, seller=seller, now=now)


def set_segment(session: Session, agreement_id: int, card_id: int, segment: str) -> tuple[Card, bool]:
    """Let an agent say what kind of card it is, which decides the fee; return the card and whether it was so already.

    From then on neither the provider nor the holder overrules it. The caller writes why in the trail. Raises NotFound.
    """
    lock(session, [agreement_id])
    card = _named(cards_of(session, agreement_id), card_id)
    if segment not in SEGMENTS:
        raise ValueError(f"a segment is one of {', '.join(SEGMENTS)}, not {segment!r}")
    already = (card.segment, card.segment_source) == (segment, "support")
    card.segment, card.segment_source = segment, "support"
    session.flush()
    return card, already


def _named(cards: Sequence[Card], card_id: int | None) -> Card:
    """Return a card by id, or the default. Raises NotFound; a removed card and another agreement's do not exist."""
    for card in cards:
        if card.id == card_id or (card_id is None and card.is_default):
            return card
    raise NotFound("There is no such card on this agreement." if card_id else "There is no card on this agreement.")
