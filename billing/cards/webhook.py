"""Take in the provider's events: checked, stored with their effect in one transaction, harmless in any order.

An event is a hint. What it is about is read again from the provider before anything is done, so that an old event
cannot undo a newer one; what is recorded already is not asked about. What is not ours is stored as ignored and answered
200. What cannot be read just now is not stored: the provider sends the event again, for days, and the others meanwhile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.cards import confirm, dispute, ours, outcome, refund_call, register, updater
from billing.cards.gateway import (
    CardGateway,
    Event,
    GatewayMisuse,
    GatewayUnavailable,
    Outcome,
    RateLimited,
    Unknown,
)
from billing.cards.models import Attempt, ProviderEvent, Refund
from billing.cards.one_turn import OneTurn
from billing.cards.outcome import Seller
from config.clock import now_utc
from config.database import SessionFactory

log = structlog.get_logger()
PROVIDER = "stripe"
T = TypeVar("T")


@dataclass(frozen=True)
class Taken:
    """An event that is ours to look at, and what is needed for that. ``now`` is business time.

    ``turns``: the pace at which the provider is asked, where it is not at once. ``afterwards``: what is done when all
    is committed, and may be left undone.
    """

    sessions: SessionFactory
    gateway: CardGateway
    event: Event
    seller: Seller
    now: dt.datetime
    turns: OneTurn | None = None
    afterwards: list[Callable[[], None]] = field(default_factory=list)

    def asked(self, call: Callable[[], T]) -> T:
        """Ask the provider, in turn. Raises GatewayUnavailable where it cannot be asked, or asking it is refused."""
        try:
            return call() if self.turns is None else self.turns.ask(call)
        except GatewayMisuse as misuse:
            about = self.event.object_id
            log.error("card_event_not_read", type=self.event.type, about=about, code=misuse.code, error=str(misuse))
            raise GatewayUnavailable(f"{about} cannot be read ({misuse.code or misuse})") from misuse


Apply = Callable[[Session], str]
"""What an event does, within the transaction that stores it; returns its effect in a word."""


def _ignored(session: Session) -> str:
    del session
    return "ignored"


def _told(result: Outcome | None, how: str) -> str:
    """Return how it stands now that a result is recorded, where that is all there is to be found out.

    Nobody asks about what has ended: an answer that says nothing of it is none, and the event must come again. What is
    unknown still is asked about by the sweep, but not where there was no answer at all. Raises GatewayUnavailable.
    """
    no_answer = isinstance(result, RateLimited) or (isinstance(result, Unknown) and not result.answered)
    if no_answer or (isinstance(result, Unknown) and how != "unknown"):
        reason = result.reason if isinstance(result, Unknown) else "too many"
        raise GatewayUnavailable(f"it could not be read: {reason}")
    return how


def _payment(taken: Taken) -> Apply:
    """Read the payment again and record what came of its attempt; not one that is recorded already."""
    with taken.sessions() as session:
        attempt_id = ours.attempt_of(session, taken.event.metadata, taken.event.object.get("customer"))
        if attempt_id is None:
            return _ignored
        attempt = session.get_one(Attempt, attempt_id)
        on_page, paid_by = attempt.kind == "on_session", attempt.provider_ref if attempt.state == "succeeded" else None
    if paid_by == taken.event.object_id:
        return lambda _session: "succeeded"
    if on_page:
        return _confirmed(taken, attempt_id)
    result = taken.asked(lambda: taken.gateway.retrieve(taken.event.object_id))
    return lambda session: _told(result, outcome.apply(session, attempt_id, result, seller=taken.seller, now=taken.now))


def _confirmed(taken: Taken, attempt_id: int) -> Apply:
    """Read the page on which a customer pays, whose payment may be declined and then tried again."""
    found = taken.asked(lambda: confirm.look(taken.sessions, taken.gateway, attempt_id, real=now_utc()))
    return lambda session: _told(found.result, confirm.record(session, found, seller=taken.seller, now=taken.now))


def _page(taken: Taken) -> Apply:
    """Record what came of a page where a charge is paid, or take over the card that was given on one."""
    with taken.sessions() as session:
        attempt_id = confirm.of_event(session, taken.event)
        setup = register.setup_of(session, taken.event.object_id)
    if attempt_id is not None:
        return _confirmed(taken, attempt_id)
    if setup is None:
        return _ignored
    given = taken.asked(lambda: register.read(taken.gateway, setup))

    def take(session: Session) -> str:
        try:
            card, forgotten = register.take(session, given, now=taken.now)
        except register.SomebodyElses:  # the agreement has another customer by now: it will not become right
            log.warning("card_of_others", setup=setup.id, agreement=setup.agreement_id)
            return "ignored"
        taken.afterwards.append(lambda: register.forget(taken.gateway, forgotten))
        return "finished" if card is not None else "ignored"

    return take


def _card(taken: Taken) -> Apply:
    """Read a registered card again that its bank has renewed, or that was taken away."""
    with taken.sessions() as session:
        before = updater.seen(session, taken.event.object_id)
    if before is None:
        return _ignored
    read = taken.asked(lambda: taken.gateway.card(taken.event.object_id))
    return lambda session: updater.refresh(session, taken.event.object_id, read, now=taken.now, before=before)


def _refund(taken: Taken) -> Apply:
    """Read a refund again and record what came of it, which may be a failure after it had succeeded."""
    with taken.sessions() as session:
        refund_id = refund_of(session, taken.event)
    if refund_id is None:
        return _ignored
    result = taken.asked(lambda: taken.gateway.retrieve(taken.event.object_id))
    return lambda session: _told(result, refund_call.apply(session, refund_id, result, now=taken.now))


def _dispute(taken: Taken) -> Apply:
    """Read a dispute again and carry it through as it is now. One that the provider has not is none."""

    def look() -> dispute.Look | None:
        try:
            return dispute.look(taken.sessions, taken.gateway, taken.event.object_id)
        except GatewayMisuse as misuse:
            if misuse.code != "resource_missing":
                raise
            return None

    found = taken.asked(look)
    if found is None:
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


def receive(
    sessions: SessionFactory,
    gateway: CardGateway,
    event: Event,
    *,
    seller: Seller,
    now: dt.datetime,
    turns: OneTurn | None = None,
) -> str:
    """Give an event its effect once. Returns what it did in a word: the effect's own, ignored or repeated.

    Raises GatewayUnavailable where the provider cannot be asked, nothing being stored: it sends the event again.
    ``turns``: the pace at which it is asked; at once without.
    """
    with sessions() as session:
        known = session.scalars(
            select(ProviderEvent.id).where(ProviderEvent.provider == PROVIDER, ProviderEvent.event_id == event.id)
        ).one_or_none()
    if known is not None:
        return "repeated"
    look, taken = EFFECTS.get(event.type), Taken(sessions, gateway, event, seller, now, turns)
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
    for then in taken.afterwards:
        then()
    return effect if stored is not None else "repeated"


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
