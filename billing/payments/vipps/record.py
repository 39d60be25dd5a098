"""Record what Vipps says of a payment: what it captured and gave back is booked, and what is done next is written.

Whoever hears of it brings it here, in any order and any number of times: the customer coming back, a webhook, the job.
Vipps tells totals, so what is booked is what they are beyond what we had booked, under the agreement's balance lock.
"""

from __future__ import annotations

import datetime as dt
import secrets

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.claims import credit
from billing.claims.settle import Settlement, settle
from billing.claims.standing import recompute_locked
from billing.passages.balances import lock
from billing.payments.vipps import refund
from billing.payments.vipps.client import Seen
from billing.payments.vipps.models import UNENDED, VippsCapture, VippsPayment
from billing.payments.vipps.provider import NAME
from billing.payments.vipps.rules import Step, next_step
from config.clock import business_date, now_utc
from config.jobs import ring

log = structlog.get_logger()

BELL = "vipps_payments"
REQUEST_LIVES = dt.timedelta(minutes=30)
"""No request of ours can still be under way at Vipps so long after it was sent."""


def locked(session: Session, payment_id: int) -> VippsPayment:
    """Return a payment, its agreement's balance locked: every change of it begins there. Raises LookupError."""
    agreement_id = session.scalar(select(VippsPayment.agreement_id).where(VippsPayment.id == payment_id))
    if agreement_id is None:
        raise LookupError(f"no Vipps payment {payment_id}")
    lock(session, [agreement_id])
    return session.get_one(VippsPayment, payment_id, populate_existing=True, with_for_update={"key_share": True})


def open_ore(session: Session, claim_id: int) -> int:
    """Return what is open of a claim (øre); its agreement's balance is locked."""
    left = session.execute(text("SELECT amount_ore - settled_ore FROM claims WHERE id = :id"), {"id": claim_id})
    return max(int(left.scalar_one()), 0)


def record(
    session: Session,
    payment_id: int,
    seen: Seen | None,
    *,
    now: dt.datetime,
    leave: bool = False,
    refused: str | None = None,
) -> str:
    """Record a payment as Vipps tells it (None: it has none of this reference); return its state then.

    ``leave``: its page is given up. ``refused``: in its word, why Vipps did not do what was last asked for. What is to
    be done next is committed with it, and the job rung for; whoever waits may do it at once (``carry.carry_on``).
    """
    row = locked(session, payment_id)
    row.asked_at, row.code = now_utc(), refused or row.code
    if seen is None:
        if row.state == "unknown" and now_utc() - (row.sent_at or row.called_at) >= REQUEST_LIVES:
            _end(row, "nothing", now)
        session.flush()
        return row.state
    if seen.amount_ore != row.amount_ore:
        log.error("vipps_other_amount", payment=row.id, asked_ore=row.amount_ore, told_ore=seen.amount_ore)
    _book(session, row, seen.captured_ore, now)
    refund.told(session, row, seen.refunded_ore, now)
    row.url = seen.url or row.url
    ours = open_ore(session, row.claim_id)
    _follow(session, row, next_step(row.state, seen, ours, leave=leave, refused=refused is not None), now)
    session.flush()
    return row.state


def decide_anew(session: Session, row: VippsPayment, now: dt.datetime) -> None:
    """Ask under a new key for what is next: under the old one it was never sent, or certainly not done. It is locked.

    What is open now is captured; where nothing is any more, or it was being released, what is reserved is released.
    """
    ours = open_ore(session, row.claim_id) if row.state == "capturing" else 0
    step = Step("capture", "capturing", min(ours, row.amount_ore)) if ours else Step("cancel", "cancelling")
    _follow(session, row, step, now, anew=True)
    session.flush()


def _follow(session: Session, row: VippsPayment, step: Step, now: dt.datetime, *, anew: bool = False) -> None:
    if step.do == "end":
        if row.ended_at is None or row.state != step.state:
            _end(row, step.state, now)
        return
    if step.do == "wait":
        row.state = step.state
        return
    if step.state == row.state and not anew:
        return
    if row.state not in UNENDED:
        log.error("vipps_reserved_after_all", payment=row.id, state=row.state)
    row.state, row.ended_at = step.state, None
    key = f"brikke-{step.do}-{secrets.token_hex(12)}"
    if step.do == "capture":
        row.capture_ore, row.capture_key = step.ore, key
    else:
        row.cancel_key = key
    row.called_at, row.sent_at = now_utc(), None
    ring(session, BELL)


def _end(row: VippsPayment, state: str, now: dt.datetime) -> None:
    row.state, row.ended_at = state, now


def _book(session: Session, row: VippsPayment, captured_ore: int, now: dt.datetime) -> None:
    """Book what was captured beyond what we knew of: on the claim, and what it has no more use for as credit."""
    more = captured_ore - row.captured_ore
    if more < 0:
        log.error("vipps_captured_less", payment=row.id, booked_ore=row.captured_ore, told_ore=captured_ore)
    if more <= 0:
        return
    today = business_date(now)
    paid_on = min(business_date(row.started_at), today)
    one = VippsCapture(payment_id=row.id, amount_ore=more, upto_ore=captured_ore, value_date=paid_on, at=now)
    session.add(one)
    row.captured_ore, row.captured_at = captured_ore, row.captured_at or now
    session.flush()
    done = settle(session, [Settlement(row.claim_id, "vipps", one.id, more, paid_on)], today, now, NAME)
    left = sum(rest.amount_ore for rest in done.leftovers)
    if left:
        _keep(session, row, one, left, today, now)


def _keep(session: Session, row: VippsPayment, one: VippsCapture, ore: int, today: dt.date, now: dt.datetime) -> None:
    """Make credit of what was captured though the claim had been paid another way, use it, and tell the customer."""
    owner = row.agreement_id
    credit.add(session, [credit.Gain(owner, one.id, ore, one.value_date)], "vipps_extra", today, now)
    credit.use(session, credit.past_due(session, [owner], today), today, now)
    recompute_locked(session, [owner], today, now, NAME)
    told = NewMessage(owner, "vipps_credit", f"vipps_capture:{one.id}", None, {"amount_ore": ore})
    tell(session, [told], now=now)
    log.warning("vipps_paid_too_much", payment=row.id, credit_ore=ore)
