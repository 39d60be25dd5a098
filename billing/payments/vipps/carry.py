"""Carry a payment on: ask Vipps how it stands, record that, and do what is next; each step a transaction of its own.

Nothing is held open while Vipps is asked. What changes something there is committed before it is sent, with its key
(``record``), and that it is sent now (``sent_at``): an answer that is lost leaves a state that says so, and whoever
comes by next asks for the payment first. A key is repeated only while the request may be under way; after that what is
open now is asked for, under a new one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import structlog
from sqlalchemy.orm import Session

from billing.payments.vipps.client import Seen, VippsClient, VippsRefused, VippsUnavailable
from billing.payments.vipps.models import VippsPayment
from billing.payments.vipps.record import REQUEST_LIVES, decide_anew, locked, open_ore, record
from config.clock import now_utc
from config.database import SessionFactory

log = structlog.get_logger()

MAX_STEPS = 4
"""Made, captured, the rest released, and one more: what is left then is the job's."""


@dataclass(frozen=True)
class Order:
    """What Vipps is asked to do with a payment."""

    do: Literal["capture", "cancel"]
    reference: str
    key: str
    ore: int = 0


def carry_on(
    sessions: SessionFactory,
    client: VippsClient,
    payment_id: int,
    *,
    now: dt.datetime,
    fresh: bool = False,
    leave: bool = False,
) -> str:
    """Ask about a payment, record it, and do what is next as far as that goes; return its state then.

    ``fresh``: it has never been asked for, so it is made at once; else one that Vipps does not know is made under the
    same key only while the customer waits for it (``fresh``). ``leave``: a page that is open is given up. Raises
    VippsUnavailable: again is harmless.
    """
    if fresh:
        _make(sessions, client, payment_id)
    word = _look(sessions, client, payment_id, now=now, leave=leave)
    for _ in range(MAX_STEPS):
        if word not in ("capturing", "cancelling"):
            return word
        with sessions() as session:
            order = _send(session, payment_id, now=now)
            session.commit()
        if order is None:
            return word
        word = _do(sessions, client, payment_id, order, now=now)
    return word


def _look(
    sessions: SessionFactory,
    client: VippsClient,
    payment_id: int,
    *,
    now: dt.datetime,
    leave: bool = False,
    refused: str | None = None,
) -> str:
    with sessions() as session:
        reference = session.get_one(VippsPayment, payment_id).reference
    return _record(sessions, payment_id, client.get(reference), now=now, leave=leave, refused=refused)


def _record(
    sessions: SessionFactory,
    payment_id: int,
    seen: Seen | None,
    *,
    now: dt.datetime,
    leave: bool = False,
    refused: str | None = None,
) -> str:
    with sessions() as session:
        word = record(session, payment_id, seen, now=now, leave=leave, refused=refused)
        session.commit()
    return word


def _make(sessions: SessionFactory, client: VippsClient, payment_id: int) -> None:
    """Have Vipps make a payment that is committed as unknown, and keep the address of its page."""
    with sessions() as session:
        row = locked(session, payment_id)
        if row.state != "unknown" or now_utc() - row.called_at >= REQUEST_LIVES:
            return
        row.sent_at = now_utc()
        reference, ore, key, back, invoice = row.reference, row.amount_ore, row.create_key, row.return_url, row.invoice
        session.commit()
    try:
        url = client.create(reference, amount_ore=ore, key=key, return_url=back, description=f"Faktura {invoice}")
    except VippsRefused as refused:
        # Also where it is there already (409): how it stands is asked for next, whatever was said.
        log.warning("vipps_create_refused", payment=payment_id, status=refused.status, code=refused.code)
        if refused.status != 409:
            _never(sessions, client, payment_id, reference, refused)
        return
    with sessions() as session:
        row = locked(session, payment_id)
        row.url = url
        session.commit()


def _never(
    sessions: SessionFactory, client: VippsClient, payment_id: int, reference: str, refused: VippsRefused
) -> None:
    """Note why Vipps made no payment, and let another be begun at once. Raises VippsUnavailable where it made one."""
    if client.get(reference) is not None:
        return
    with sessions() as session:
        row = locked(session, payment_id)
        row.code, row.sent_at = refused.code, now_utc() - REQUEST_LIVES
        session.commit()


def _send(session: Session, payment_id: int, *, now: dt.datetime) -> Order | None:
    """Write that what is next is sent now, and return it; None where it must be looked up before anything is sent."""
    row = locked(session, payment_id)
    if row.state not in ("capturing", "cancelling") or not _may_send(session, row, now=now):
        return None
    row.sent_at = now_utc()
    session.flush()
    if row.state == "capturing":
        assert row.capture_ore is not None
        assert row.capture_key is not None
        return Order("capture", row.reference, row.capture_key, row.capture_ore)
    assert row.cancel_key is not None
    return Order("cancel", row.reference, row.cancel_key)


def _may_send(session: Session, row: VippsPayment, *, now: dt.datetime) -> bool:
    """Say whether what is next may be sent now; decided anew first where that is not under way and not right any more.

    Vipps has just been asked, and has not done it.
    """
    real, wanted = now_utc(), row.capture_ore if row.state == "capturing" else None
    if row.sent_at is None:
        if wanted is not None and open_ore(session, row.claim_id) != wanted:
            decide_anew(session, row, now)
        return True
    if real - row.sent_at >= REQUEST_LIVES:
        decide_anew(session, row, now)
        return True
    # Paid another way since it was sent, or repeated long enough: not sent until it is certain that it was not done.
    paid = wanted is not None and open_ore(session, row.claim_id) < wanted
    return not paid and real - row.called_at < REQUEST_LIVES


def _do(sessions: SessionFactory, client: VippsClient, payment_id: int, order: Order, *, now: dt.datetime) -> str:
    try:
        if order.do == "capture":
            seen = client.capture(order.reference, amount_ore=order.ore, key=order.key)
        else:
            seen = client.cancel(order.reference, key=order.key)
    except VippsRefused as refused:
        log.warning("vipps_refused", payment=payment_id, do=order.do, status=refused.status, code=refused.code)
        word = _look(sessions, client, payment_id, now=now, refused=refused.code)
        if word == "cancelling" and order.do == "cancel":  # the customer is approving just now: asked again later
            raise VippsUnavailable(f"not released yet: {refused}", answered=True) from refused
        return word
    return _record(sessions, payment_id, seen, now=now)
