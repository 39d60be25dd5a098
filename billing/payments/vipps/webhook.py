"""Take in Vipps's webhooks: stored with their effect in one transaction, harmless in any order and number.

An event is a hint. The payment is read again before anything is done. What is not ours is stored as ignored and
answered 200. What cannot be read just now is not stored: Vipps sends it again, and the job asks meanwhile.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.cards.models import ProviderEvent
from billing.payments.vipps.carry import carry_on
from billing.payments.vipps.client import Seen, VippsClient, VippsUnavailable
from billing.payments.vipps.models import VippsPayment
from billing.payments.vipps.provider import NAME
from billing.payments.vipps.record import record
from config.clock import now_utc
from config.database import SessionFactory

log = structlog.get_logger()
LONGEST = 64


@dataclass(frozen=True)
class Event:
    """What an event says, and what it is known by: the digest of its bytes, since Vipps gives it no number."""

    id: str
    name: str
    reference: str | None
    msn: str | None


def read(body: bytes) -> Event:
    """Return what a signed body says; one that says nothing we know is an event about nothing."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    fields = said if isinstance(said, dict) else {}
    return Event(
        hashlib.sha256(body).hexdigest(),
        _text(fields.get("name")) or "unreadable",
        _text(fields.get("reference")),
        _text(fields.get("msn")),
    )


def _text(value: object) -> str | None:
    fine = isinstance(value, str) and 0 < len(value) <= LONGEST and value.isascii() and value.isprintable()
    return str(value) if fine else None


def receive(sessions: SessionFactory, client: VippsClient, event: Event, *, msn: str, now: dt.datetime) -> str:
    """Give an event its effect once. Returns the payment's state then, ignored or repeated.

    Raises VippsUnavailable where the payment cannot be read, nothing being stored: Vipps sends the event again.
    """
    with sessions() as session:
        known = session.scalars(
            select(ProviderEvent.id).where(ProviderEvent.provider == NAME, ProviderEvent.event_id == event.id)
        ).one_or_none()
        payment_id = None
        if event.reference is not None and event.msn in (None, msn):
            payment_id = session.scalars(
                select(VippsPayment.id).where(VippsPayment.reference == event.reference)
            ).one_or_none()
    if known is not None:
        return "repeated"
    if payment_id is None or event.reference is None:
        return _store(sessions, event, None, None, now=now)
    word = _store(sessions, event, payment_id, client.get(event.reference), now=now)
    if word in ("capturing", "cancelling"):
        try:
            carry_on(sessions, client, payment_id, now=now)
        except VippsUnavailable as error:  # the job goes on with it
            log.warning("vipps_not_carried_on", payment=payment_id, error=str(error))
    return word


def _store(
    sessions: SessionFactory, event: Event, payment_id: int | None, seen: Seen | None, *, now: dt.datetime
) -> str:
    with sessions() as session:
        effect = "ignored" if payment_id is None else record(session, payment_id, seen, now=now)
        stored = _insert(session, event, effect)
        session.commit()
    return effect if stored else "repeated"


def _insert(session: Session, event: Event, effect: str) -> bool:
    made = session.execute(
        insert(ProviderEvent)
        .values(
            provider=NAME,
            event_id=event.id,
            type=event.name,
            object_id=event.reference,
            effect=effect,
            received_at=now_utc(),
            body={"msn": event.msn},
        )
        .on_conflict_do_nothing(index_elements=["provider", "event_id"])
        .returning(ProviderEvent.id)
    )
    return made.one_or_none() is not None
