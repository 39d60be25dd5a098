"""Record what came of an attempt: once, whoever brings it (the answer, a webhook, the sweep)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from billing.cards.due import decide
from billing.cards.gateway import Declined, GatewayMisuse, Outcome, RateLimited, Succeeded, Unknown
from billing.cards.late import keep
from billing.cards.models import Attempt, Card, CardSession, Charge
from billing.cards.rules import after_decline
from billing.claims.models import Claim
from billing.claims.settle import Settlement, settle
from billing.invoices.issue import issue
from billing.invoices.receipt import issue_receipt
from billing.invoices.rules import due_date
from billing.ledger.book import Account, Entry, book
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_date, now_utc, start_of_day
from config.rates import whole, wholes

log = structlog.get_logger()

Seller = Mapping[str, Any]

CARD_IS_WHY = frozenset({"resource_missing", "payment_method_unactivated", "payment_method_unexpected_state"})
"""Refused requests that say something of the card (it is gone at the provider), not of our settings."""


SUM_IS_WHY = frozenset({"amount_too_small", "amount_too_large"})
"""Declines for good that say nothing bad of the card."""


def of_misuse(misuse: GatewayMisuse) -> Outcome:
    """Say what a request that the provider will never accept means: a dead card, or nothing known (our mistake).

    Our own mistakes (a wrong key, say) must not turn everybody's charges into invoices: the attempt stays
    unknown and is asked again when it has been mended.
    """
    if misuse.code in CARD_IS_WHY:
        return Declined(None, misuse.code, str(misuse), needs_customer=True, retry="never")
    return Unknown(reason=f"refused: {misuse.code or misuse}", same_key_helps=misuse.code != "idempotency_error")


def apply(session: Session, attempt_id: int, result: Outcome, *, seller: Seller, now: dt.datetime) -> str:
    """Record a result on its attempt and carry it through to claim, ledger, document and balance.

    Returns succeeded, declined or unknown; a result that is already recorded is a result too, and changes
    nothing. Lock order: balance, then the rest.
    """
    found = session.execute(
        select(Charge.agreement_id, Charge.id)
        .join(Attempt, Attempt.charge_id == Charge.id)
        .where(Attempt.id == attempt_id)
    ).one()
    lock(session, [found.agreement_id])
    charge = session.get_one(Charge, found.id, populate_existing=True, with_for_update=True)
    attempt = session.get_one(Attempt, attempt_id, populate_existing=True, with_for_update=True)
    if attempt.state == "succeeded" or (attempt.state != "unknown" and not isinstance(result, Succeeded)):
        return attempt.state
    if isinstance(result, Succeeded):
        _paid(session, charge, attempt, result, seller=seller, now=now)
    elif isinstance(result, Declined):
        _declined(session, charge, attempt, result, seller=seller, now=now)
    else:
        _still_unknown(attempt, result)
    session.flush()
    return attempt.state


def _paid(
    session: Session, charge: Charge, attempt: Attempt, result: Succeeded, *, seller: Seller, now: dt.datetime
) -> None:
    """Record a payment: it pays its charge while that is open, else it is credit of the customer's.

    A payment that was given up, or declined, pays an open charge too, even while another attempt is unknown: that one
    is from then on only looked up, since sending it again would make the payment if it was not made.
    """
    if result.amount_ore != attempt.amount_ore:
        raise AssertionError(f"attempt {attempt.id} asked for {attempt.amount_ore} øre, {result.amount_ore} were taken")
    before, pays = attempt.state, charge.state == "claimed"
    if before != "unknown" or not pays:
        log.error("card_paid_after_all", attempt=attempt.id, charge=charge.id, ref=result.ref, pays_the_charge=pays)
    if not pays:
        keep(session, charge, attempt, result, now=now)
        return
    session.execute(
        update(Attempt)
        .where(Attempt.charge_id == charge.id, Attempt.id != attempt.id, Attempt.state == "unknown")
        .values(lookup=True)
    )
    _succeeded(session, charge, attempt, result, seller=seller, now=now)


def _still_unknown(attempt: Attempt, result: Unknown | RateLimited) -> None:
    attempt.asked_at = now_utc()
    if isinstance(result, Unknown):
        attempt.message = result.reason
        attempt.lookup = attempt.lookup or not result.same_key_helps
    else:
        attempt.message = "rate limited: asked again with the same key"


def _succeeded(
    session: Session, charge: Charge, attempt: Attempt, result: Succeeded, *, seller: Seller, now: dt.datetime
) -> None:
    today = business_date(now)
    attempt.state, attempt.provider_ref, attempt.ended_at = "succeeded", result.ref, now
    attempt.code = attempt.message = None
    charge.state, charge.ended_at = "succeeded", now
    session.flush()
    claim = session.get_one(Claim, charge.claim_id, populate_existing=True, with_for_update=True)
    if attempt.fee_ore:
        claim.fee_ore = attempt.fee_ore
        session.flush()
        entry = Entry(
            Account("receivable", claim.agreement_id), Account("card_fees"), attempt.fee_ore, "card_fee", claim.id
        )
        book(session, [entry], booked_on=today, now=now)
    settle(
        session,
        [Settlement(claim.id, "card", attempt.id, attempt.amount_ore, today)],
        today=today,
        now=now,
        actor="card gateway",
    )
    issue_receipt(session, claim.id, paid_by=_paid_by(session, attempt, today), seller=seller, now=now)
    _release(session, charge.agreement_id, charged_on=today, now=now)


def _paid_by(session: Session, attempt: Attempt, today: dt.date) -> dict[str, str]:
    """Return what the receipt says of the card that paid: the registered one, or the one that was used on a page."""
    card, page = session.get_one(Card, attempt.card_id), session.get(CardSession, attempt.id)
    brand, last4 = card.brand, card.last4
    if page is not None and page.brand and page.last4:
        brand, last4 = page.brand, page.last4
    return {"brand": brand, "last4": last4, "on": today.isoformat()}


def _release(session: Session, agreement_id: int, *, charged_on: dt.date | None, now: dt.datetime) -> None:
    """Let go of the balance and decide anew: what came meanwhile is due now or when its week is over."""
    balance = session.get_one(Balance, agreement_id, populate_existing=True)
    balance.open_charge_id = balance.charge_not_before = None
    if charged_on is not None:
        balance.last_charged_on = charged_on
    session.flush()
    decide(session, [agreement_id], now=now)


def _declined(
    session: Session, charge: Charge, attempt: Attempt, result: Declined, *, seller: Seller, now: dt.datetime
) -> None:
    attempt.state, attempt.provider_ref, attempt.ended_at = "declined", result.ref, now
    attempt.code, attempt.message = result.code, result.message
    if result.retry == "never" and result.code not in SUM_IS_WHY:
        session.execute(update(Card).where(Card.id == attempt.card_id).values(refused_code=result.code))
    if charge.state != "claimed":
        return  # it ended while this attempt was unknown: there is nothing left to try
    charge.tries += 1
    first = session.scalars(
        select(Attempt.started_at).where(Attempt.charge_id == charge.id).order_by(Attempt.number).limit(1)
    ).one()
    today = business_date(now)
    then = after_decline(
        tries=charge.tries,
        never=result.retry == "never",
        needs_customer=result.needs_customer,
        first_on=business_date(first),
        retry_bank_days=wholes("card_retry_bank_days", today),
    )
    if then.on is None:
        give_up(session, charge, seller=seller, now=now)
    else:
        charge.next_at = start_of_day(then.on) + dt.timedelta(hours=6)


def give_up(session: Session, charge: Charge, *, seller: Seller, now: dt.datetime) -> None:
    """Put a charge that no card pays on an invoice: number, due date and the customer's channel are its now.

    No fee: the sum ends up on an invoice. The caller holds the balance's and the charge's locks.
    """
    today = business_date(now)
    assert charge.claim_id is not None
    charge.state, charge.ended_at = "invoiced", now
    session.flush()
    issue(
        session,
        [charge.claim_id],
        seller=seller,
        issued_on=today,
        due_on=due_date(today, whole("invoice_term_days", today)),
        run_id=None,
        now=now,
    )
    _release(session, charge.agreement_id, charged_on=None, now=now)


def forget(session: Session, attempt_id: int, *, now: dt.datetime) -> None:
    """Record that an attempt certainly never happened; the charge may be tried anew at once."""
    agreement_id = session.scalars(
        select(Charge.agreement_id).join(Attempt, Attempt.charge_id == Charge.id).where(Attempt.id == attempt_id)
    ).one()
    lock(session, [agreement_id])
    session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id, Attempt.state == "unknown")
        .values(state="nothing", ended_at=now)
    )
