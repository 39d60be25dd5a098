"""Refunds that the provider has made although they had ended here, or twice: money that went is in the books.

It may be that a request arrives long after it was looked up in vain and its refund was cancelled, or that two tries of
one refund were both made. Such money is a refund of its own in the books, made by the provider. It takes what credit
there is, which may be spent; the rest we bear. What still waits to go of that payment is stopped as far as the payment
does not hold it any more.
"""

from __future__ import annotations

import datetime as dt

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards import refund
from billing.cards.models import Refund
from billing.claims import credit
from billing.ledger.book import Account, Entry, book
from config.clock import business_date, now_utc

log = structlog.get_logger()


def of_reference(session: Session, row: Refund, ref: str | None) -> Refund:
    """Return the refund that the provider's reference is of: ``row``, or one that was kept for it. Both are locked."""
    if ref is None or row.provider_ref == ref:
        return row
    other = session.scalars(
        select(Refund.id).where(
            Refund.provider_ref == ref, Refund.attempt_id == row.attempt_id, Refund.requested_by == refund.GATEWAY
        )
    ).one_or_none()
    return row if other is None else refund.locked(session, other)


def keep(session: Session, row: Refund, ref: str, ore: int, now: dt.datetime) -> Refund:
    """Book money (øre) that went under another reference than ``row`` stands for, or after that had ended."""
    owner, today, real = row.agreement_id, business_date(now), now_utc()
    taken = min(credit.held(session, [owner]).get(owner, 0), ore)
    made = Refund(
        agreement_id=owner,
        charge_id=row.charge_id,
        attempt_id=row.attempt_id,
        amount_ore=ore,
        state="succeeded",
        reason=f"Made by the provider although refund {row.id} was {row.state}",
        requested_by=refund.GATEWAY,
        requested_at=now,
        approved_at=now,
        provider_ref=ref,
        called_at=real,
        asked_at=real,
        ended_by=refund.GATEWAY,
        ended_at=now,
    )
    session.add(made)
    session.flush()
    if taken:
        credit.payout(session, owner, made.id, taken, today, now, "card_refund")
    if taken < ore:
        entry = Entry(Account("write_off"), Account("refunds"), ore - taken, "card_refund_written_off", made.id)
        book(session, [entry], booked_on=today, now=now)
    refund.tell_paid(session, made, now)
    log.error("card_refund_late", refund=row.id, state=row.state, kept=made.id, ref=ref, borne_ore=ore - taken)
    refund.stop_more(session, row.attempt_id, now=now)
    return made
