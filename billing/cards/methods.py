"""How an agreement pays, and that what is left is charged or invoiced when that changes, whatever the sum."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from accounts.agreements.method import set_payment_method
from accounts.agreements.models import Agreement
from billing.cards import due, left
from billing.cards.default import take_over
from billing.cards.outcome import Seller
from billing.cards.queries import cards_of, open_charge
from billing.passages.balances import lock
from config.problems import Conflict, PreconditionFailed


def choose_method(
    session: Session,
    agreement_id: int,
    method: str,
    *,
    version: int | None,
    seller: Seller,
    now: dt.datetime,
    instead: bool = False,
) -> Agreement:
    """Let an agreement pay by invoice or by its registered card from now on; what is left is settled at once.

    To invoice: what is not billed yet is charged on the card while one works, else invoiced now; with ``instead`` all
    of it is invoiced now, with a charge that is being tried. To card: what is not billed yet is charged now. Raises
    Conflict: ``no-card`` without a usable one, ``charge-open`` while a charge is being tried (unless ``instead``),
    ``charge-unknown`` while nobody knows whether the card has paid it; for a closed agreement. PreconditionFailed when
    it is not ``version`` any more.
    """
    lock(session, [agreement_id])
    agreement = session.get_one(Agreement, agreement_id, populate_existing=True)
    if version is not None and agreement.version != version:
        raise PreconditionFailed("The agreement has changed since you read it; read it again.")
    if method == "card":
        return _to_card(session, agreement, now=now)
    if method == "invoice":
        return _to_invoice(session, agreement, seller=seller, now=now, instead=instead)
    return set_payment_method(session, agreement_id, method)[0]  # which says what there is


def _to_card(session: Session, agreement: Agreement, *, now: dt.datetime) -> Agreement:
    cards = cards_of(session, agreement.id)
    usable = next((card for card in cards if card.refused_code is None), None)
    if usable is None:
        raise Conflict("Register a card first; then it becomes the way to pay.", slug="no-card")
    take_over(session, cards, usable)
    return pay_by_card(session, agreement.id, now=now)


def pay_by_card(session: Session, agreement_id: int, *, now: dt.datetime) -> Agreement:
    """Let a usable card be the way to pay. What is not billed yet is charged now, where invoices were the way before.

    The caller holds the balance's lock.
    """
    changed, already = set_payment_method(session, agreement_id, "card")
    if not already:
        due.open_now(session, agreement_id, cause="method", now=now)
    due.decide(session, [agreement_id], now=now)
    return changed


def _to_invoice(
    session: Session, agreement: Agreement, *, seller: Seller, now: dt.datetime, instead: bool
) -> Agreement:
    charge = open_charge(session, agreement.id, lock=True)
    if agreement.payment_method == "invoice" and not (instead and charge is not None):
        return agreement
    if charge is not None and charge.state == "claimed" and not instead:
        raise Conflict(
            "A charge on the card is not settled yet. Wait for it, or have it invoiced instead.", slug="charge-open"
        )
    charged = not instead and due.open_now(session, agreement.id, cause="method", now=now)
    changed = agreement
    if agreement.payment_method != "invoice":
        changed, _ = set_payment_method(session, agreement.id, "invoice")
    if not charged:
        if charge is not None:
            left.invoice_charge(session, charge, seller=seller, now=now)
        left.invoice_it(session, agreement.id, seller=seller, now=now)
    return changed
