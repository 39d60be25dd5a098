"""Take in the provider's events: checked, stored with their effect in one transaction, harmless in any order.

An event is a hint. What it is about is read again from the provider before anything is done, so that an old event
cannot undo a newer one; what is not ours is stored as ignored and answered 200.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.cards import outcome
from billing.cards.gateway import CardGateway, Event, Outcome
from billing.cards.models import Attempt, ProviderEvent
from billing.cards.outcome import Seller
from billing.cards.register import finish
from config.clock import now_utc
from config.database import SessionFactory
from config.problems import NotFound

PROVIDER = "stripe"
PAYMENTS = frozenset({"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled"})
SETUPS = frozenset({"checkout.session.completed", "checkout.session.expired"})


def receive(sessions: SessionFactory, gateway: CardGateway, event: Event, *, seller: Seller, now: dt.datetime) -> str:
    """Give an event its effect once. Returns succeeded, declined, unknown, finished, ignored or repeated."""
    with sessions() as session:
        known = session.scalars(
            select(ProviderEvent.id).where(ProviderEvent.provider == PROVIDER, ProviderEvent.event_id == event.id)
        ).one_or_none()
        attempt_id = _attempt_of(session, event) if event.type in PAYMENTS else None
    if known is not None:
        return "repeated"
    if event.type in SETUPS:
        effect = _finish(sessions, gateway, event, now=now)
        return _store(sessions, event, effect)
    result = gateway.retrieve(event.object_id) if attempt_id is not None else None
    return _store(sessions, event, "ignored", attempt_id=attempt_id, result=result, seller=seller, now=now)


def _attempt_of(session: Session, event: Event) -> int | None:
    """Return the attempt an event's payment belongs to, by the metadata we gave it; None where it is not ours."""
    attempt, charge = event.metadata.get("attempt", ""), event.metadata.get("charge", "")
    if not (attempt.isdecimal() and charge.isdecimal()) or max(len(attempt), len(charge)) > 18:
        return None
    return session.scalars(
        select(Attempt.id).where(Attempt.id == int(attempt), Attempt.charge_id == int(charge))
    ).one_or_none()


def _finish(sessions: SessionFactory, gateway: CardGateway, event: Event, *, now: dt.datetime) -> str:
    try:
        card = finish(sessions, gateway, event.object_id, now=now)
    except NotFound:
        return "ignored"
    return "finished" if card is not None else "ignored"


def _store(
    sessions: SessionFactory,
    event: Event,
    effect: str,
    *,
    attempt_id: int | None = None,
    result: Outcome | None = None,
    seller: Seller | None = None,
    now: dt.datetime | None = None,
) -> str:
    with sessions() as session:
        if attempt_id is not None and result is not None and seller is not None and now is not None:
            effect = outcome.apply(session, attempt_id, result, seller=seller, now=now)
        stored = session.execute(
            insert(ProviderEvent)
            .values(
                provider=PROVIDER,
                event_id=event.id,
                type=event.type,
                object_id=event.object_id,
                effect=effect,
                received_at=now_utc(),
                body={"metadata": dict(event.metadata), "created": event.created.isoformat()},
            )
            .on_conflict_do_nothing(index_elements=["provider", "event_id"])
            .returning(ProviderEvent.id)
        ).one_or_none()
        session.commit()
    return effect if stored is not None else "repeated"
