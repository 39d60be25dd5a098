"""What support does with a charge: try it now, call it off, take it by another card, put it on an invoice.

Each locks the agreement's balance and its charge, and is refused for a charge that has ended. The callers write the
reason in the trail.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards import due, left, outcome
from billing.cards.models import Card, Charge
from billing.cards.outcome import Seller
from billing.cards.queries import cards_of, open_charge, unanswered_of
from billing.passages.balances import lock
from config.problems import Conflict, NotFound

LONGEST_REASON = 300


def retry(session: Session, charge_id: int, *, now: dt.datetime) -> Charge:
    """Try an open charge now, on the card that is chosen for it or the default, else on another that works.

    Raises NotFound; Conflict ``charge-ended``, ``charge-unknown`` while an attempt has no answer, ``no-card``.
    """
    charge = _open(session, charge_id)
    _answered(session, charge)
    if not any(card.refused_code is None for card in cards_of(session, charge.agreement_id)):
        raise Conflict("There is no card that may be tried. Another one must be registered.", slug="no-card")
    outcome.try_now(session, charge.agreement_id, now=now)
    return charge


def cancel(session: Session, charge_id: int, *, now: dt.datetime) -> Charge:
    """Call off a charge that has not been tried; what it was for is not billed, as before. Again changes nothing.

    From tomorrow on it becomes due anew by the ordinary rules. Raises NotFound; Conflict ``charge-claimed`` where the
    sum is fixed (it can be put on an invoice), ``charge-ended``.
    """
    charge = _locked(session, charge_id)
    if charge.state == "cancelled":
        return charge
    if charge.state == "claimed":
        raise Conflict("Its sum is fixed and it is being tried; it can be put on an invoice.", slug="charge-claimed")
    if charge.state != "due":
        raise _ended(charge)
    due.call_off(session, charge, now=now)
    return charge


def by_card(session: Session, charge_id: int, card_id: int, *, now: dt.datetime) -> Charge:
    """Try an open charge now on another of the agreement's cards; which one is the default stays.

    Raises NotFound; Conflict ``charge-ended``, ``charge-unknown``, ``card-refused``.
    """
    charge = _open(session, charge_id)
    card = _named(cards_of(session, charge.agreement_id), card_id)
    _usable(card)
    _answered(session, charge)
    charge.card_id = card.id
    session.flush()
    outcome.try_now(session, charge.agreement_id, now=now)
    return charge


def to_invoice(session: Session, charge_id: int, *, seller: Seller, now: dt.datetime) -> Charge:
    """Put an open charge on an invoice now; an untried one is called off, and all that is not billed is invoiced.

    One that has become an invoice is a result. Raises NotFound; Conflict ``charge-ended``, ``charge-unknown``.
    """
    charge = _locked(session, charge_id)
    if charge.state == "invoiced":
        return charge
    if charge.state not in ("due", "claimed"):
        raise _ended(charge)
    untried = charge.state == "due"
    left.invoice_charge(session, charge, seller=seller, now=now)
    if untried:
        left.invoice_it(session, charge.agreement_id, seller=seller, now=now)
    return charge


def charge_now(session: Session, agreement_id: int, *, card_id: int | None, now: dt.datetime) -> Charge:
    """Have what an agreement has not been billed for charged now, without waiting for sum or week.

    ``card_id``: by that card, else by the default, else another that works. An untried charge is the one. Raises
    NotFound; Conflict ``no-card`` without one that may be tried, ``card-refused``, ``charge-open`` while one is being
    tried, ``nothing-left`` where nothing is to be charged.
    """
    lock(session, [agreement_id])
    cards = cards_of(session, agreement_id)
    if not any(card.refused_code is None for card in cards):
        raise Conflict("There is no card that may be tried. Another one must be registered.", slug="no-card")
    if card_id is not None:
        _usable(_named(cards, card_id))
    charge = open_charge(session, agreement_id, lock=True)
    if charge is not None and charge.state == "claimed":
        raise Conflict("A charge is being tried already; another one waits for its end.", slug="charge-open")
    if not due.open_now(session, agreement_id, cause="agent", now=now):
        raise Conflict("There is nothing to charge.", slug="nothing-left")
    charge = open_charge(session, agreement_id, lock=True)
    assert charge is not None, "open_now has just opened it"
    if card_id is not None:
        charge.card_id = card_id
        session.flush()
    return charge


def _named(cards: Sequence[Card], card_id: int) -> Card:
    for card in cards:
        if card.id == card_id:
            return card
    raise NotFound("There is no such card on this agreement.")


def _locked(session: Session, charge_id: int) -> Charge:
    agreement_id = session.scalar(select(Charge.agreement_id).where(Charge.id == charge_id))
    if agreement_id is None:
        raise NotFound("There is no such charge.")
    lock(session, [agreement_id])
    return session.get_one(Charge, charge_id, populate_existing=True, with_for_update=True)


def _open(session: Session, charge_id: int) -> Charge:
    charge = _locked(session, charge_id)
    if charge.state not in ("due", "claimed"):
        raise _ended(charge)
    return charge


def _ended(charge: Charge) -> Conflict:
    return Conflict(f"This charge has ended: it is {charge.state}.", slug="charge-ended", extra={"state": charge.state})


def _answered(session: Session, charge: Charge) -> None:
    if unanswered_of(session, charge.id) is not None:
        raise Conflict(
            "The bank has not answered the last attempt yet. It is asked again by itself; nothing new is tried before.",
            slug="charge-unknown",
        )


def _usable(card: Card) -> None:
    if card.refused_code is not None:
        raise Conflict("This card was declined for good and must not be tried again.", slug="card-refused")
