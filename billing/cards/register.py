"""Register a card through the provider's hosted page, and make it the way to pay.

Orchestrates several transactions with the provider's calls between them, so these take a factory of sessions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from billing.cards import closings, outcome
from billing.cards.default import take_over
from billing.cards.gateway import CardDetails, CardGateway, GatewayMisuse, GatewayUnavailable, Setup, SetupNotFinished
from billing.cards.methods import pay_by_card
from billing.cards.models import Card, CardCustomer, CardSetup
from billing.cards.queries import cards_of, forgettable, open_charge, unanswered
from billing.cards.rules import segment_of
from billing.cards.updater import GONE
from billing.passages.balances import lock
from config.database import SessionFactory
from config.problems import Conflict, NotFound, Unavailable

log = structlog.get_logger()
NO_SUCH = "resource_missing"
"""The code of a GatewayMisuse: the provider has no such thing (any more)."""


class SomebodyElses(Conflict):
    """A card was given by another customer of the provider's than the agreement has (now)."""


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

    A customer that the provider does not know any more (deleted there, or another account) is made anew. Raises
    Conflict for a closed agreement that has nothing left for a card to pay, and ``charge-unknown`` while nobody knows
    what became of an attempt on a customer that is gone; GatewayUnavailable where the provider does not answer (a new
    try is harmless), Unavailable ``card-provider-refuses`` where it will not.
    """
    with sessions() as session:
        agreement = session.get_one(Agreement, agreement_id)
        if agreement.standing == "closed" and not may_pay(session, agreement, now=now):
            raise Conflict("This agreement is closed, and there is nothing left that a card could pay.")
        customer = session.get_one(Customer, agreement.customer_id)
        known = session.get(CardCustomer, agreement_id)
        setup = CardSetup(agreement_id=agreement_id, declared_commercial=declared_commercial, started_at=now)
        session.add(setup)
        session.commit()
        setup_id = setup.id
    with _told(agreement_id):
        begun = _page(sessions, gateway, agreement, customer, setup_id, known, return_url=return_url, now=now)
    with sessions() as session:
        session.execute(update(CardSetup).where(CardSetup.id == setup_id).values(provider_ref=begun.id))
        session.commit()
    return Begun(setup_id, begun.url)


def may_pay(session: Session, agreement: Agreement, *, now: dt.datetime) -> bool:
    """Say whether a card registered on a closed agreement would pay anything: an open charge, or what is left."""
    return open_charge(session, agreement.id) is not None or closings.would_pay(session, agreement.id, now=now)


def _page(
    sessions: SessionFactory,
    gateway: CardGateway,
    agreement: Agreement,
    customer: Customer,
    setup_id: int,
    known: CardCustomer | None,
    *,
    return_url: str,
    now: dt.datetime,
) -> Setup:
    """Have the provider make the page where a card is given, and its customer where there is none (any more)."""
    joiner = "&" if "?" in return_url else "?"
    key = f"{agreement.id}-{setup_id}-{int(now.timestamp())}"

    def page(customer_id: str, part: str = "") -> Setup:
        return gateway.start_setup(
            customer_id=customer_id,
            success_url=f"{return_url}{joiner}setup={{CHECKOUT_SESSION_ID}}",
            cancel_url=return_url,
            idempotency_key=f"brikke-setup-{key}{part}",
            language=customer.language,
        )

    def made() -> str:
        return gateway.create_customer(
            ref=str(agreement.number), email=customer.email, idempotency_key=f"brikke-customer-{key}"
        )

    if known is None:
        return page(_keep(sessions, agreement.id, made(), now))
    try:
        return page(known.provider_customer)
    except GatewayMisuse as misuse:
        if misuse.code != NO_SUCH:
            raise
    return page(_anew(sessions, agreement.id, known.provider_customer, made, now), "-anew")


@contextmanager
def _told(agreement_id: int) -> Iterator[None]:
    """Tell what the provider will never accept, which nobody who registers a card can help, as a problem."""
    try:
        yield
    except GatewayMisuse as misuse:
        log.error("card_registration_refused", agreement=agreement_id, code=misuse.code, error=str(misuse))
        raise Unavailable(
            "The card provider takes no registrations from us just now, which has to be mended here. Try again later, "
            "or choose an invoice meanwhile.",
            slug="card-provider-refuses",
        ) from misuse


def _keep(sessions: SessionFactory, agreement_id: int, made: str, now: dt.datetime) -> str:
    """Keep the provider's customer; of two that were made at once the first one stored is everybody's."""
    with sessions() as session:
        session.execute(
            insert(CardCustomer)
            .values(agreement_id=agreement_id, provider_customer=made, created_at=now)
            .on_conflict_do_nothing()
        )
        session.commit()
        return session.get_one(CardCustomer, agreement_id).provider_customer


def _anew(sessions: SessionFactory, agreement_id: int, gone: str, make: Callable[[], str], now: dt.datetime) -> str:
    """Let a new customer take the place of one that the provider does not know any more; return whose place it is now.

    The cards were that customer's, and can pay no more. Not while an attempt is unknown: it can only be sent again, and
    found, as that customer's.
    """
    with sessions() as session:
        _nothing_unknown(session, agreement_id)
    made = make()
    with sessions() as session:
        lock(session, [agreement_id])
        _nothing_unknown(session, agreement_id)
        there = session.get_one(CardCustomer, agreement_id, populate_existing=True)
        if there.provider_customer == gone:  # else somebody else was here meanwhile
            there.provider_customer, there.created_at = made, now
            for card in cards_of(session, agreement_id):
                card.refused_code = card.refused_code or GONE
            log.warning("card_customer_made_anew", agreement=agreement_id, gone=gone)
        session.commit()
        return there.provider_customer


def _nothing_unknown(session: Session, agreement_id: int) -> None:
    if unanswered(session, agreement_id):
        raise Conflict(
            "The bank has not answered yet whether the card has paid. It is asked again by itself; register a card "
            "after that.",
            slug="charge-unknown",
        )


def finish(
    sessions: SessionFactory,
    gateway: CardGateway,
    provider_ref: str,
    *,
    now: dt.datetime,
    agreement_id: int | None = None,
) -> Card | None:
    """Take over the card that a finished set-up gave; again is harmless. None while the customer has not given one,
    when it has been removed since, and when the provider does not know the set-up any more.

    Raises NotFound for a set-up that is not ours, or not of ``agreement_id`` where one is named; Conflict for a card
    that was registered for somebody else, GatewayUnavailable, and Unavailable ``card-provider-refuses``.
    """
    with sessions() as session:
        setup = setup_of(session, provider_ref)
    if setup is None or agreement_id not in (None, setup.agreement_id):
        raise NotFound("No registration of a card has this id.")
    with _told(setup.agreement_id):
        try:
            given = read(gateway, setup)
        except GatewayMisuse as misuse:
            if misuse.code != NO_SUCH:
                raise
            return None
    with sessions() as session:
        card, forgotten = take(session, given, now=now)
        session.commit()
    forget(gateway, forgotten)
    return card


@dataclass(frozen=True)
class Given:
    """What the provider says of a set-up of ours: the card that was given, or that none can be given any more."""

    setup: CardSetup
    details: CardDetails | None
    over: bool = False


def setup_of(session: Session, provider_ref: str) -> CardSetup | None:
    """Return our set-up with this id of the provider's, if it is one."""
    return session.scalars(select(CardSetup).where(CardSetup.provider_ref == provider_ref)).one_or_none()


def read(gateway: CardGateway, setup: CardSetup) -> Given:
    """Read a set-up at the provider. Raises GatewayUnavailable, GatewayMisuse."""
    assert setup.provider_ref is not None
    try:
        return Given(setup, gateway.finish_setup(setup.provider_ref))
    except SetupNotFinished as unfinished:
        return Given(setup, None, over=unfinished.status != "open")


def take(session: Session, given: Given, *, now: dt.datetime) -> tuple[Card | None, list[str]]:
    """Take over what was given on a set-up; return the card, and those that the provider may ``forget`` after that.

    None for a card that was given, and has been removed since. Raises SomebodyElses, nothing having been written.
    """
    setup, details = given.setup, given.details
    if details is None:
        if given.over:
            ended = update(CardSetup).where(CardSetup.id == setup.id, CardSetup.state == "started")
            session.execute(ended.values(state="failed", finished_at=now))
        return None, []
    known = session.get(CardCustomer, setup.agreement_id)
    if known is None or details.customer_id not in (None, known.provider_customer):
        raise SomebodyElses("This card was registered for somebody else.")
    card = adopt(session, setup, details, now=now)
    if card.removed_at is not None:
        return None, []
    replaced = session.scalars(
        select(Card).where(Card.agreement_id == card.agreement_id, Card.removed_at == now, Card.id < card.id)
    ).all()
    return card, forgettable(session, replaced)


def forget(gateway: CardGateway, payment_methods: Sequence[str]) -> None:
    """Have the provider forget cards; they are out of use here whether or not it does."""
    for payment_method in payment_methods:
        with suppress(GatewayUnavailable, GatewayMisuse):
            gateway.detach(payment_method)


def adopt(session: Session, setup: CardSetup, details: CardDetails, *, now: dt.datetime) -> Card:
    """Make a card the agreement's default and its way to pay.

    What is open is tried on it at once; what is not billed yet is charged now where invoices were the way before, else
    when it is due. On a closed agreement the way to pay stays as it is, and what it has left for a card is charged now.
    The same card again (the browser and the webhook both bring it) is a result, not a second card; a card that was
    given anew takes the place of what it was, and keeps what support has said of it.
    """
    lock(session, [setup.agreement_id])
    there = session.scalars(select(Card).where(Card.payment_method == details.payment_method)).one_or_none()
    if there is not None:
        return there
    cards = cards_of(session, setup.agreement_id)
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
        product=details.product,
        segment=segment,
        segment_source=source,
        is_default=False,
        registered_at=now,
    )
    session.add(card)
    session.execute(update(CardSetup).where(CardSetup.id == setup.id).values(state="finished", finished_at=now))
    session.flush()
    take_over(session, cards, card)
    _replace(session, [one for one in cards if _same(one, card)], card, now=now)
    outcome.try_now(session, setup.agreement_id, now=now)
    if session.get_one(Agreement, setup.agreement_id, populate_existing=True).standing == "closed":
        closings.close_one(session, setup.agreement_id, now=now)
    else:
        pay_by_card(session, setup.agreement_id, now=now)
    return card


def _same(one: Card, other: Card) -> bool:
    """Say whether two registrations look like the same card: the provider gives each an id of its own."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("brand", "last4", "exp_month", "exp_year", "funding", "country")
    )


def _replace(session: Session, earlier: Sequence[Card], card: Card, *, now: dt.datetime) -> None:
    """Let a card take the place of its earlier registrations."""
    for one in earlier:
        if one.segment_source == "support":
            card.segment, card.segment_source = one.segment, one.segment_source
        one.removed_at = now
    charge = open_charge(session, card.agreement_id, lock=True)
    if charge is not None and charge.card_id is not None:
        charge.card_id = None  # the card that is given now is what shall pay
    session.flush()
