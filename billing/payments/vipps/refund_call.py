"""Have Vipps make refunds: committed as `unknown` before the call, asked about until it is known, recorded once.

Of a payment one refund is under way at a time, so that the total Vipps tells says which one was made. A refusal counts
only when the payment, read again, does not hold the refund. One that certainly never happened is approved still, and
called for anew under another key.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards.failures import Failures
from billing.payments.vipps.client import Seen, VippsClient, VippsRefused, VippsUnavailable
from billing.payments.vipps.models import VippsPayment, VippsRefund
from billing.payments.vipps.provider import NAME, client_of
from billing.payments.vipps.record import REQUEST_LIVES, record
from billing.payments.vipps.refund import ANEW, BELL, come_back, fail, locked, may_go
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, ring

log = structlog.get_logger()
CHUNK = 100
ASK_AGAIN = dt.timedelta(seconds=60)
OFF = "Vipps is not set up"


@dataclass(frozen=True)
class Ready:
    """A refund that is committed as unknown: of which payment, how much, under which key; whether it may be sent."""

    payment_id: int
    reference: str
    amount_ore: int
    key: str
    send: bool = True


def prepare(session: Session, refund_id: int, *, now: dt.datetime) -> Ready | None:
    """Write that a refund is being called for. None where it is not approved, where another of its payment is under
    way, or where it must not go any more: then it is cancelled."""
    row = locked(session, refund_id)
    if row.state != "approved":
        return None
    if not may_go(session, row, now):
        come_back(session, row, "cancelled", NAME, now)
        log.warning("vipps_refund_cancelled", refund=row.id, reason="its payment is too old, or holds less")
        return None
    other = select(VippsRefund.id).where(VippsRefund.payment_id == row.payment_id, VippsRefund.state == "unknown")
    if session.scalars(other).one_or_none() is not None:
        return None
    real = now_utc()
    row.state, row.called_at, row.asked_at, row.sent_at, row.code = "unknown", real, real, real, None
    row.idempotency_key = f"brikke-refund-{secrets.token_hex(12)}"
    session.flush()
    return _ready(session, row)


def _ready(session: Session, row: VippsRefund, *, send: bool = True) -> Ready:
    payment = session.get_one(VippsPayment, row.payment_id)
    assert row.idempotency_key is not None, f"refund {row.id} is called for without a key"
    return Ready(payment.id, payment.reference, row.amount_ore, row.idempotency_key, send)


def refund_one(sessions: SessionFactory, client: VippsClient, refund_id: int, *, now: dt.datetime) -> str:
    """Call for one approved refund and record the answer. Returns skipped, succeeded, failed or unknown."""
    with sessions() as session:
        ready = prepare(session, refund_id, now=now)
        session.commit()
    return "skipped" if ready is None else _call(sessions, client, refund_id, ready, now=now)


def sweep_one(sessions: SessionFactory, client: VippsClient, refund_id: int, *, now: dt.datetime) -> str:
    """Ask about one unknown refund, and for it again where that may be. Returns skipped, succeeded, failed, unknown or
    approved."""
    with sessions() as session:
        row = session.get_one(VippsRefund, refund_id)
        if row.state != "unknown":
            return "skipped"
        ready = _ready(session, row)
    try:
        seen = client.get(ready.reference)
    except VippsUnavailable as error:
        return _note(sessions, refund_id, str(error))
    word = _record(sessions, refund_id, ready, seen, now=now)
    if word != "unknown":
        return word
    with sessions() as session:
        again = _again(session, refund_id)
        session.commit()
    return word if again is None else _call(sessions, client, refund_id, again, now=now)


def _again(session: Session, refund_id: int) -> Ready | None:
    """Write that the key is sent again, or that the refund is called for anew; None where it is only asked about."""
    row, real = locked(session, refund_id), now_utc()
    if row.state != "unknown" or row.sent_at is None or row.called_at is None:
        return None
    if real - row.sent_at >= REQUEST_LIVES:
        row.state, row.idempotency_key, row.called_at, row.asked_at, row.sent_at = "approved", None, None, None, None
        row.message = ANEW
        session.flush()
        ring(session, BELL)
        return None
    if real - row.called_at >= REQUEST_LIVES:
        return None  # repeated long enough: not sent until it is certain that it was not made
    row.sent_at = real
    session.flush()
    return _ready(session, row)


def _call(sessions: SessionFactory, client: VippsClient, refund_id: int, ready: Ready, *, now: dt.datetime) -> str:
    try:
        seen: Seen | None = client.refund(ready.reference, amount_ore=ready.amount_ore, key=ready.key)
        return _record(sessions, refund_id, ready, seen, now=now)
    except VippsRefused as refused:
        log.warning("vipps_refund_refused", refund=refund_id, status=refused.status, code=refused.code)
        code = refused.code
    except VippsUnavailable as error:
        return _note(sessions, refund_id, str(error))
    try:
        seen = client.get(ready.reference)
    except VippsUnavailable as error:
        return _note(sessions, refund_id, f"refused ({code}), then {error}")
    with sessions() as session:
        if seen is not None:
            record(session, ready.payment_id, seen, now=now)
        row = locked(session, refund_id)
        if row.state == "unknown" and row.idempotency_key == ready.key:
            fail(session, row, code, now)
        word = row.state
        session.commit()
    return word


def _record(sessions: SessionFactory, refund_id: int, ready: Ready, seen: Seen | None, *, now: dt.datetime) -> str:
    with sessions() as session:
        if seen is not None:
            record(session, ready.payment_id, seen, now=now)
        row = locked(session, refund_id)
        row.asked_at = now_utc()
        if row.state == "unknown":
            row.message = "not made yet"
        word = row.state
        session.commit()
    return word


def _note(sessions: SessionFactory, refund_id: int, why: str) -> str:
    with sessions() as session:
        row = locked(session, refund_id)
        if row.state == "unknown":
            row.asked_at, row.message = now_utc(), why
        word = row.state
        session.commit()
    return word


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Ask about the refunds that are unknown, then call for those that are approved. Raises SomeFailed at the end."""
    del scheduled_for
    client = client_of(ctx.settings)
    if client is None:
        return {"note": OFF}
    counts: dict[str, int | str] = {"succeeded": 0, "failed": 0, "unknown": 0}
    failures = Failures("vipps_refund")
    unknown = (VippsRefund.state == "unknown") & (VippsRefund.asked_at <= now_utc() - ASK_AGAIN)
    looked_at = 0
    steps: tuple[tuple[object, Callable[..., str]], ...] = (
        (unknown, sweep_one),
        (VippsRefund.state == "approved", refund_one),
    )
    for state, one in steps:
        after = 0
        while ids := _ids(ctx.sessions, state, after):
            looked_at, after = looked_at + len(ids), ids[-1]
            for refund_id in ids:
                try:
                    with ctx.sessions() as session:
                        now = business_now(session)
                    word = one(ctx.sessions, client, refund_id, now=now)
                except Exception as error:
                    failures.add(refund_id, error)
                else:
                    counts[word] = int(counts.get(word, 0)) + 1
    failures.tell(looked_at)
    return counts


def _ids(sessions: SessionFactory, state: object, after: int) -> list[int]:
    with sessions() as session:
        query = select(VippsRefund.id).where(state, VippsRefund.id > after)  # type: ignore[arg-type]
        return list(session.scalars(query.order_by(VippsRefund.id).limit(CHUNK)))
