"""Take in the provider's events: checked, stored with their effect in one transaction, harmless in any order.

An event is a hint. What it is about is read again from the provider before anything is done, so that an old event
cannot undo a newer one; what is not ours is stored as ignored and answered 200.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.cards import confirm, dispute, outcome, refund_call, updater
from billing.cards.gateway import CardGateway, Event, GatewayMisuse
from billing.cards.models import Attempt, ProviderEvent, Refund
from billing.cards.outcome import Seller
from billing.cards.register import finish
from config.clock import now_utc
from config.database import SessionFactory
from config.problems import NotFound

PROVIDER = "stripe"


@dataclass(frozen=True)
class Taken:
    """An event that is ours to look at, and what is needed for that. ``now`` is business time."""

    sessions: SessionFactory
    gateway: CardGateway
    event: Event
    seller: Seller
    now: dt.datetime


Apply = Callable[[Session], str]
"""What an event does, within the transaction that stores it; returns its effect in a word."""


def _ignored(session: Session) -> str:
    del session
    return "ignored"


def _payment(taken: Taken) -> Apply:
    """Read the payment again and record what came of its attempt."""
    with taken.sessions() as session:
        attempt_id = attempt_of(session, taken.event)
        on_page = attempt_id is not None and session.get_one(Attempt, attempt_id).kind == "on_session"
    if attempt_id is None:
        return _ignored
    if on_page:
        return _confirmed(taken, attempt_id)
    result = taken.gateway.retrieve(taken.event.object_id)
    return lambda session: outcome.apply(session, attempt_id, result, seller=taken.seller, now=taken.now)


def _confirmed(taken: Taken, attempt_id: int) -> Apply:
    """Read the page on which a customer pays, whose payment may be declined and then tried again."""
    found = confirm.look(taken.sessions, taken.gateway, attempt_id, real=now_utc())
    return lambda session: confirm.record(session, found, seller=taken.seller, now=taken.now)


def _page(taken: Taken) -> Apply:
    """Record what came of a page where a charge is paid, or take over the card that was given on one."""
    with taken.sessions() as session:
        attempt_id = confirm.of_event(session, taken.event)
    if attempt_id is not None:
        return _confirmed(taken, attempt_id)
    try:
        card = finish(taken.sessions, taken.gateway, taken.event.object_id, now=taken.now)
    except NotFound:
        return _ignored
    effect = "finished" if card is not None else "ignored"
    return lambda _session: effect


def _card(taken: Taken) -> Apply:
    """Read a registered card again that its bank has renewed, or that was taken away."""
    with taken.sessions() as session:
        before = updater.seen(session, taken.event.object_id)
    if before is None:
        return _ignored
    read = taken.gateway.card(taken.event.object_id)
    return lambda session: updater.refresh(session, taken.event.object_id, read, now=taken.now, before=before)


def _refund(taken: Taken) -> Apply:
    """Read a refund again and record what came of it, which may be a failure after it had succeeded."""
    with taken.sessions() as session:
        refund_id = refund_of(session, taken.event)
    if refund_id is None:
        return _ignored
    result = taken.gateway.retrieve(taken.event.object_id)
    return lambda session: refund_call.apply(session, refund_id, result, now=taken.now)


def _dispute(taken: Taken) -> Apply:
    """Read a dispute again and carry it through as it is now. One that the provider has not is none."""
    try:
        found = dispute.look(taken.sessions, taken.gateway, taken.event.object_id)
    except GatewayMisuse as misuse:
        if misuse.code != "resource_missing":
            raise
        return _ignored
    return lambda session: dispute.apply(session, found, seller=taken.seller, now=taken.now)


EFFECTS: Mapping[str, Callable[[Taken], Apply]] = {
    "payment_intent.succeeded": _payment,
    "payment_intent.payment_failed": _payment,
    "payment_intent.canceled": _payment,
    "checkout.session.completed": _page,
    "checkout.session.expired": _page,
    "payment_method.automatically_updated": _card,
    "payment_method.updated": _card,
    "payment_method.detached": _card,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
    "charge.dispute.closed": _dispute,
}
"""What is done about an event of a type: the provider is asked first, then the answer is applied in one transaction."""


def receive(sessions: SessionFactory, gateway: CardGateway, event: Event, *, seller: Seller, now: dt.datetime) -> str:
    """Give an event its effect once. Returns what it did in a word: the effect's own, ignored or repeated.

    Raises GatewayUnavailable where the provider cannot be asked, nothing being stored: it sends the event again.
    """
    with sessions() as session:
        known = session.scalars(
            select(ProviderEvent.id).where(ProviderEvent.provider == PROVIDER, ProviderEvent.event_id == event.id)
        ).one_or_none()
    if known is not None:
        return "repeated"
    look, taken = EFFECTS.get(event.type), Taken(sessions, gateway, event, seller, now)
    try:
        return _store(taken, look(taken) if look is not None else _ignored)
    except updater.ReadAgain:
        assert look is not None
        return _store(taken, look(taken))


def _store(taken: Taken, apply: Apply) -> str:
    """Store an event with its effect, in one transaction."""
    event = taken.event
    with taken.sessions() as session:
        effect = apply(session)
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


def attempt_of(session: Session, event: Event) -> int | None:
    """Return the attempt an event's payment belongs to, by the metadata we gave it; None where it is not ours."""
    attempt, charge = event.metadata.get("attempt", ""), event.metadata.get("charge", "")
    if not (attempt.isdecimal() and charge.isdecimal()) or max(len(attempt), len(charge)) > 18:
        return None
    return session.scalars(
        select(Attempt.id).where(Attempt.id == int(attempt), Attempt.charge_id == int(charge))
    ).one_or_none()


def refund_of(session: Session, event: Event) -> int | None:
    """Return our refund that an event is about, by the metadata we gave it and its payment; None where not ours."""
    number = event.metadata.get("refund", "")
    if not number.isdecimal() or len(number) > 18:
        return None
    row = session.execute(
        select(Refund.id, Attempt.provider_ref)
        .join(Attempt, Attempt.id == Refund.attempt_id)
        .where(Refund.id == int(number))
    ).one_or_none()
    return row.id if row is not None and event.object.get("payment_intent") == row.provider_ref else None
