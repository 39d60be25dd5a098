"""Support places a payment that waits in suspense: on an invoice, or as credit on an agreement."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.settle import Settlement, allocate
from billing.claims.standing import recompute_locked
from billing.passages.balances import lock
from billing.payments.match import take_turn
from billing.payments.models import Payment
from config.clock import business_date
from config.problems import Conflict, Invalid, NotFound


def assign(
    session: Session, payment_id: int, agreement_id: int, claim_id: int | None, now: dt.datetime, actor: str
) -> Payment:
    """Give a payment in suspense to an agreement: to one of its claims, what is too much becoming credit, or to credit.

    Its value date stays the bank's. What is past due is settled from the new credit at once. Raises NotFound;
    Conflict when it does not wait any more or takes money back; Invalid when the claim is another agreement's.
    """
    today = business_date(now)
    take_turn(session)
    lock(session, [agreement_id])
    payment = session.scalars(
        select(Payment)
        .where(Payment.id == payment_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if payment is None:
        raise NotFound("There is no such payment.")
    if payment.state != "suspense":
        raise Conflict("This payment has been placed already.", slug="already-placed")
    if payment.amount_ore < 0:
        raise Conflict("The bank took this sum back; it cannot be given to anybody.", slug="taken-back")
    left = payment.amount_ore
    if claim_id is not None:
        owner = session.scalar(text("SELECT agreement_id FROM claims WHERE id = :id"), {"id": claim_id})
        if owner != agreement_id:
            raise Invalid("That invoice is not this agreement's.", errors=[{"field": "invoice", "message": "not its"}])
        done = allocate(session, [Settlement(claim_id, "payment", payment.id, left, payment.value_date)], today, now)
        left = sum(leftover.amount_ore for leftover in done.leftovers)
    if left:
        gain = credit.Gain(agreement_id, payment.id, left, payment.value_date)
        credit.add(session, [gain], "assigned", today, now)
        credit.use(session, credit.past_due(session, [agreement_id], today), today, now)
    payment.state, payment.agreement_id, payment.claim_id = "settled", agreement_id, claim_id
    session.flush()
    recompute_locked(session, [agreement_id], today, now, actor)
    return payment
