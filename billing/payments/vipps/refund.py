"""Refunds over Vipps: what we owe a customer, back the way it came. Asked for, approved, stopped, and how it ended.

As with cards (``billing.cards.refund``): the credit is taken when a refund is asked for, under the agreement's balance
lock, and so is what is left of the payment. What does not come about gives both back. What one person may let leave of
a holder's credit has a limit, over cards, Vipps and to bank accounts together (``claims.leaving``): above it a second
person approves. Calling Vipps is ``refund_call``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.access.principal import must_be_another
from accounts.customers.tell import NewMessage, tell
from billing.cards import borne
from billing.claims import credit
from billing.claims.leaving import after_debts, disputed, in_turn, lately, must_be_payable, must_be_there, take_turns
from billing.invoices.reissue import LONGEST_REASON
from billing.ledger.book import Account, Entry, book
from billing.passages.balances import lock
from billing.payments.vipps.models import VippsPayment, VippsRefund
from billing.payments.vipps.provider import NAME
from billing.payments.vipps.rules import refundable
from config.clock import business_date, now_utc
from config.jobs import ring
from config.problems import Conflict, Invalid, NotFound
from config.rates import whole

log = structlog.get_logger()
BELL = "vipps_refunds"
ANEW = "not made: called for anew"
"""What is said of a refund that was called for and certainly not made."""
WAITING = ("requested", "approved", "unknown")
FIGURE = "card_refund_second_approver_ore"
"""What one person may give back over the way it came by, card or Vipps."""


def left_ore(session: Session, row: VippsPayment) -> int:
    """Return what of a payment can still be given back (øre); below zero where more went than was captured."""
    asked = select(func.coalesce(func.sum(VippsRefund.amount_ore), 0)).where(
        VippsRefund.payment_id == row.id, VippsRefund.state.not_in(("failed", "cancelled"))
    )
    return row.captured_ore - int(session.scalars(asked).one())


def request(
    session: Session, reference: str, *, amount_ore: int | None, reason: str, actor: str, now: dt.datetime
) -> VippsRefund:
    """Ask for ``amount_ore`` of the agreement's credit (None: all of it) to go back to a payment by Vipps.

    Never more than is left of that, and within a year of its capture. What is past due is paid with the credit first.
    Raises NotFound; Invalid for a sum that is not positive and without a reason; Conflict: ``not-enough-credit``,
    ``credit-disputed``, ``over-payment`` (with what there is), ``too-old``, ``set-off-only`` by the holder's rulebook.
    """
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON:
        wrong = {"field": "reason", "code": "too_long" if reason else "missing", "message": "is needed"}
        raise Invalid(f"Say why, in {LONGEST_REASON} characters at most.", errors=[wrong])
    if amount_ore is not None and amount_ore <= 0:
        raise Invalid("A refund is more than nothing.", errors=[{"field": "amount_ore", "message": "must be above 0"}])
    row = of_reference(session, reference)
    lock(session, [row.agreement_id])
    take_turns(session, row.agreement_id)
    must_be_payable(session, row.agreement_id)
    session.refresh(row)
    there = after_debts(session, row.agreement_id, now, actor)
    withheld, left = disputed(session, row.agreement_id), max(left_ore(session, row), 0)
    if not left or (amount_ore or 0) > left:
        raise Conflict(f"There are {left} øre left of the payment.", slug="over-payment", extra={"left_ore": left})
    if not refundable(row.captured_at, now):
        raise Conflict("Vipps gives nothing back after a year. Pay it out to a bank account.", slug="too-old")
    wanted = min(max(there - withheld, 0), left) if amount_ore is None else amount_ore
    must_be_there(wanted, there, withheld)
    return _ask(session, row, wanted, reason=reason, actor=actor, now=now)


def _ask(session: Session, row: VippsPayment, ore: int, *, reason: str, actor: str, now: dt.datetime) -> VippsRefund:
    now = in_turn(session, row.agreement_id, now)
    today = business_date(now)
    second = lately(session, row.agreement_id, now) + ore > whole(FIGURE, today)
    made = VippsRefund(
        agreement_id=row.agreement_id,
        payment_id=row.id,
        amount_ore=ore,
        state="requested" if second else "approved",
        reason=reason,
        requested_by=actor,
        requested_at=now,
        approved_at=None if second else now,
    )
    session.add(made)
    session.flush()
    credit.payout(session, row.agreement_id, made.id, ore, today, now, "vipps_refund")
    if not second:
        ring(session, BELL)
    return made


def of_reference(session: Session, reference: str) -> VippsPayment:
    """Return the payment of a reference. Raises NotFound."""
    row = session.scalars(select(VippsPayment).where(VippsPayment.reference == reference)).one_or_none()
    if row is None:
        raise NotFound("There is no such payment.")
    return row


def locked(session: Session, refund_id: int) -> VippsRefund:
    """Return a refund, its agreement's balance locked: every change of it begins there. Raises NotFound."""
    agreement_id = session.scalar(select(VippsRefund.agreement_id).where(VippsRefund.id == refund_id))
    if agreement_id is None:
        raise NotFound("There is no such refund.")
    lock(session, [agreement_id])
    return session.get_one(VippsRefund, refund_id, populate_existing=True, with_for_update={"key_share": True})


def approve(session: Session, refund_id: int, *, actor: str, now: dt.datetime) -> VippsRefund:
    """Approve a refund that somebody else asked for; approved before is a result.

    Raises NotFound; Forbidden for who asked for it; Conflict when it has ended.
    """
    row = locked(session, refund_id)
    if row.state in ("approved", "unknown", "succeeded"):
        return row
    if row.state != "requested":
        raise Conflict(f"The refund is {row.state}.", slug="refund-ended")
    must_be_another(row.requested_by, actor, "Who asked for a refund cannot approve it; it takes somebody else.")
    row.state, row.approved_by, row.approved_at = "approved", actor, now
    session.flush()
    ring(session, BELL)
    return row


def cancel(session: Session, refund_id: int, *, actor: str, now: dt.datetime) -> VippsRefund:
    """Stop a refund that Vipps has not been asked for; the credit comes back. Stopped before is a result.

    Raises NotFound; Conflict (``refund-called``) when it is too late.
    """
    row = locked(session, refund_id)
    if row.state == "cancelled":
        return row
    if row.state not in ("requested", "approved"):
        raise Conflict("Vipps has been asked for it; it cannot be stopped.", slug="refund-called")
    come_back(session, row, "cancelled", actor, now)
    return row


def may_go(session: Session, row: VippsRefund, now: dt.datetime) -> bool:
    """Say whether a refund that is approved may be called for: its payment holds that much and is not too old, and what
    banks of cards dispute is in credit. All may have changed since it was asked for. The balance is locked."""
    session.flush()
    if disputed(session, row.agreement_id) > credit.held(session, [row.agreement_id]).get(row.agreement_id, 0):
        return False
    payment = session.get_one(VippsPayment, row.payment_id, populate_existing=True)
    return left_ore(session, payment) >= 0 and refundable(payment.captured_at, now)


def come_back(session: Session, row: VippsRefund, state: str, actor: str, now: dt.datetime) -> None:
    """End a refund that does not come about: the credit is the customer's again, less what we bore of disputes that
    were lost meanwhile, and pays what is past due; not while a card's bank disputes a payment, which may take it."""
    row.state, row.ended_by, row.ended_at = state, actor, now
    session.flush()
    owner = row.agreement_id
    credit.payout_back(session, owner, row.id, row.amount_ore, business_date(now), now, "vipps_refund")
    borne.take(session, owner, "vipps_refund", row.id, row.amount_ore, since=row.requested_at, now=now)
    if not disputed(session, owner):
        after_debts(session, owner, now, actor)


def told(session: Session, payment: VippsPayment, refunded_ore: int, now: dt.datetime) -> None:
    """Record that Vipps has given so much of a payment back in all: the refund under way, and what nobody here asked
    for or what had ended here. The payment and its balance are locked."""
    more = refunded_ore - payment.refunded_ore
    if more < 0:
        log.error("vipps_refunded_less", payment=payment.id, booked_ore=payment.refunded_ore, told_ore=refunded_ore)
    if more <= 0:
        return
    payment.refunded_ore = refunded_ore
    under_way = session.scalars(
        select(VippsRefund)
        .where(VippsRefund.payment_id == payment.id, VippsRefund.state == "unknown")
        .execution_options(populate_existing=True)
    ).one_or_none()
    if under_way is not None and under_way.amount_ore <= more:
        more -= under_way.amount_ore
        _succeed(session, under_way, now)
    for late in _called_before(session, payment) if more else ():
        if late.amount_ore <= more:  # looked up in vain, and made after all: it must not be called for again
            more -= late.amount_ore
            late.called_at = late.asked_at = now_utc()
            _succeed(session, late, now)
    if more:
        _beside(session, payment, more, now)


def _called_before(session: Session, payment: VippsPayment) -> Sequence[VippsRefund]:
    """Return the refunds of a payment that are to be called for anew."""
    anew = select(VippsRefund).where(
        VippsRefund.payment_id == payment.id, VippsRefund.state == "approved", VippsRefund.message == ANEW
    )
    return session.scalars(anew.order_by(VippsRefund.id).execution_options(populate_existing=True)).all()


def _succeed(session: Session, row: VippsRefund, now: dt.datetime) -> None:
    row.state, row.ended_by, row.ended_at = "succeeded", NAME, now
    row.code = row.message = None
    session.flush()
    _paid(session, row, now)


def _beside(session: Session, payment: VippsPayment, ore: int, now: dt.datetime) -> None:
    """Book money that went back at Vipps beside our refunds: it takes what credit there is, the rest we bear."""
    owner, today, real = payment.agreement_id, business_date(now), now_utc()
    taken = min(credit.held(session, [owner]).get(owner, 0), ore)
    made = VippsRefund(
        agreement_id=owner,
        payment_id=payment.id,
        amount_ore=ore,
        state="succeeded",
        reason="Given back at Vipps, not asked for here",
        requested_by=NAME,
        requested_at=now,
        approved_at=now,
        called_at=real,
        asked_at=real,
        ended_by=NAME,
        ended_at=now,
    )
    session.add(made)
    session.flush()
    if taken:
        credit.payout(session, owner, made.id, taken, today, now, "vipps_refund")
    if taken < ore:
        entry = Entry(Account("write_off"), Account("refunds"), ore - taken, "vipps_refund_written_off", made.id)
        book(session, [entry], booked_on=today, now=now)
    _paid(session, made, now)
    log.error("vipps_refund_beside", payment=payment.id, kept=made.id, borne_ore=ore - taken)


def _paid(session: Session, row: VippsRefund, now: dt.datetime) -> None:
    """Book that a refund's money went, and tell the customer."""
    entry = Entry(Account("refunds"), Account("vipps_clearing"), row.amount_ore, "vipps_refund_paid", row.id)
    book(session, [entry], booked_on=business_date(now), now=now)
    about = f"vipps_refund:{row.id}"
    tell(session, [NewMessage(row.agreement_id, "vipps_refunded", about, None, _told(row))], now=now)


def fail(session: Session, row: VippsRefund, code: str, now: dt.datetime) -> None:
    """End a refund that Vipps has refused: the credit is the customer's again, who is told."""
    row.code = code
    come_back(session, row, "failed", NAME, now)
    about = f"vipps_refund:{row.id}"
    tell(session, [NewMessage(row.agreement_id, "vipps_refund_failed", about, None, _told(row))], now=now)


def _told(row: VippsRefund) -> dict[str, int]:
    return {"amount_ore": row.amount_ore}
