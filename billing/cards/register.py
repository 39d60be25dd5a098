"""Register a card through the provider's hosted page, make it the way to pay, and remove it again.

Orchestrates several transactions with the provider's calls between them, so these take a factory of sessions.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.agreements.method import set_payment_method
from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from billing.cards.due import decide
from billing.cards.gateway import CardDetails, CardGateway, SetupNotFinished
from billing.cards.models import Card, CardCustomer, CardSetup, Charge
from billing.cards.rules import segment_of
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.database import SessionFactory
from config.problems import Conflict, NotFound


@dataclass(frozen=True)
class Begun:
    """A registration the customer shall go on with at ``url``."""

    setup_id: int
    url: str


def begin(
    sessions: SessionFactory,
    gateway: CardGateway,
    agreement_id: int,
    *,
    return_url: str,
    declared_commercial: bool,
    now: dt.datetime,
) -> Begun:
    """Begin registering a card; ``return_url`` gets the provider's setup id appended as ``setup=…``.

    Raises Conflict for a closed agreement, GatewayUnavailable where the provider does not answer (a new try
    is harmless).
    """
    with sessions() as session:
        agreement = session.get_one(Agreement, agreement_id)
        if agreement.standing == "closed":
            raise Conflict("This agreement is closed; a card can only be registered on an open one.")
        customer = session.get_one(Customer, agreement.customer_id)
        known = session.get(CardCustomer, agreement_id)
        setup = CardSetup(agreement_id=agreement_id, declared_commercial=declared_commercial, started_at=now)
        session.add(setup)
        session.commit()
        setup_id, number = setup.id, agreement.number
    provider_customer = known.provider_customer if known is not None else None
    if provider_customer is None:
        provider_customer = _customer(sessions, gateway, agreement_id, str(number), customer.email, setup_id, now)
    joiner = "&" if "?" in return_url else "?"
    begun = gateway.start_setup(
        customer_id=provider_customer,
        success_url=f"{return_url}{joiner}setup={{CHECKOUT_SESSION_ID}}",
        cancel_url=return_url,
        idempotency_key=f"brikke-setup-{agreement_id}-{setup_id}-{int(now.timestamp())}",
        language=customer.language,
    )
    with sessions() as session:
        session.execute(update(CardSetup).where(CardSetup.id == setup_id).values(provider_ref=begun.id))
        session.commit()
    return Begun(setup_id, begun.url)


def _customer(
    sessions: SessionFactory,
    gateway: CardGateway,
    agreement_id: int,
    ref: str,
    email: str,
    setup_id: int,
    now: dt.datetime,
) -> str:
    """Make the provider's customer; of two that do so at once the first one stored is everybody's."""
    made = gateway.create_customer(
        ref=ref, email=email, idempotency_key=f"brikke-customer-{agreement_id}-{setup_id}-{int(now.timestamp())}"
    )
    with sessions() as session:
        session.execute(
            insert(CardCustomer)
            .values(agreement_id=agreement_id, provider_customer=made, created_at=now)
            .on_conflict_do_nothing()
        )
        session.commit()
        return session.get_one(CardCustomer, agreement_id).provider_customer


def finish(
    sessions: SessionFactory,
    gateway: CardGateway,
    provider_ref: str,
    *,
    now: dt.datetime,
    agreement_id: int | None = None,
) -> Card | None:
    """Take over the card that a finished set-up gave; again is harmless. None while the customer has not given one.

    Raises NotFound for a set-up that is not ours, or not of ``agreement_id`` where one is named.
    """
    with sessions() as session:
        setup = session.scalars(select(CardSetup).where(CardSetup.provider_ref == provider_ref)).one_or_none()
        if setup is None or agreement_id not in (None, setup.agreement_id):
            raise NotFound("No registration of a card has this id.")
    try:
        details = gateway.finish_setup(provider_ref)
    except SetupNotFinished as unfinished:
        if unfinished.status != "open":
            with sessions() as session:
                session.execute(
                    update(CardSetup)
                    .where(CardSetup.id == setup.id, CardSetup.state == "started")
                    .values(state="failed", finished_at=now)
                )
                session.commit()
        return None
    with sessions() as session:
        known = session.get(CardCustomer, setup.agreement_id)
        if known is None or details.customer_id not in (None, known.provider_customer):
            raise Conflict("This card was registered for somebody else.")
        card = adopt(session, setup, details, now=now)
        session.commit()
        return card


def adopt(session: Session, setup: CardSetup, details: CardDetails, *, now: dt.datetime) -> Card:
    """Make a card the agreement's default and its way to pay; what is open over the threshold becomes due.

    The same card again (the browser and the webhook both bring it) is a result, not a second card.
    """
    lock(session, [setup.agreement_id])
    there = session.scalars(select(Card).where(Card.payment_method == details.payment_method)).one_or_none()
    if there is not None:
        return there
    session.execute(
        update(Card)
        .where(Card.agreement_id == setup.agreement_id, Card.is_default)
        .values(is_default=False)
        .execution_options(synchronize_session=False)
    )
    segment, source = segment_of(details.segment, declared_commercial=setup.declared_commercial)
    card = Card(
        agreement_id=setup.agreement_id,
        payment_method=details.payment_method,
        brand=details.brand,
        last4=details.last4,
        exp_month=details.exp_month,
        exp_year=details.exp_year,
        funding=details.funding,
        country=details.country,
        segment=segment,
        segment_source=source,
        is_default=True,
        registered_at=now,
    )
    session.add(card)
    session.execute(update(CardSetup).where(CardSetup.id == setup.id).values(state="finished", finished_at=now))
    session.flush()
    set_payment_method(session, setup.agreement_id, "card")
    decide(session, [setup.agreement_id], now=now)
    return card


def remove(session: Session, agreement_id: int, *, now: dt.datetime) -> Card:
    """Stop using the agreement's card: from now on it pays by invoice, beginning with what is not billed yet.

    Returns the card, so that the caller has the provider forget it after the commit. Raises NotFound without a
    card and Conflict while a charge is being tried, since its outcome may not be known yet.
    """
    lock(session, [agreement_id])
    card = session.scalars(
        select(Card).where(Card.agreement_id == agreement_id, Card.is_default, Card.removed_at.is_(None))
    ).one_or_none()
    if card is None:
        raise NotFound("There is no card on this agreement.")
    call_off(session, agreement_id, now=now)
    card.removed_at, card.is_default = now, False
    session.flush()
    if session.get_one(Agreement, agreement_id).standing != "closed":  # a closed one's remains are invoiced anyway
        set_payment_method(session, agreement_id, "invoice")
    return card


def choose_method(
    session: Session, agreement_id: int, method: str, *, version: int | None, now: dt.datetime
) -> Agreement:
    """Let an agreement pay by invoice or by its registered card from now on.

    What has been driven and not billed goes the new way: an untried charge is called off, or one becomes due. Raises
    Conflict for card without a usable one, while a charge is being tried, and for a closed agreement.
    """
    lock(session, [agreement_id])
    usable = session.scalars(
        select(Card.id).where(
            Card.agreement_id == agreement_id, Card.is_default, Card.removed_at.is_(None), Card.refused_code.is_(None)
        )
    ).one_or_none()
    if method == "card" and usable is None:
        raise Conflict("Register a card first; then it becomes the way to pay.", slug="no-card")
    if method == "invoice":
        call_off(session, agreement_id, now=now)
    changed, _ = set_payment_method(session, agreement_id, method, version=version)
    decide(session, [agreement_id], now=now)
    return changed


def call_off(session: Session, agreement_id: int, *, now: dt.datetime) -> None:
    """Cancel a charge that has not been tried (the balance is locked). Raises Conflict for one that is being tried."""
    charge = session.scalars(
        select(Charge)
        .where(Charge.agreement_id == agreement_id, Charge.state.in_(("due", "claimed")))
        .with_for_update()
    ).one_or_none()
    if charge is None:
        return
    if charge.state == "claimed":
        raise Conflict("A charge on this card is not settled yet. Try again when it is, or call support.")
    charge.state, charge.ended_at = "cancelled", now
    session.get_one(Balance, agreement_id, populate_existing=True).open_charge_id = None
    session.flush()
