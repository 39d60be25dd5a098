"""A charge that the bank wants confirmed: the customer pays it on the provider's page, once.

Each step is a transaction of its own, as when a card is charged:

1. An attempt of kind ``on_session`` is committed as ``unknown``, with its ``CardSession``; nothing else is tried while
   it is.
2. The provider makes the page, under the attempt's key, and the browser goes there.
3. What came of it is read from the provider and recorded once, whoever comes with it: the browser coming back, the
   customer pressing again, an event, the sweep.

A page that is over without a payment is ended at the provider before its attempt counts as ``nothing``, so that it
cannot be paid afterwards; the charge then goes on waiting, and a new page may be made.
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards import outcome
from billing.cards.gateway import (
    PAGE_TOO_LATE,
    CardGateway,
    Declined,
    Event,
    GatewayMisuse,
    GatewayUnavailable,
    Outcome,
    PageRequest,
    PaymentPage,
    Succeeded,
    Unknown,
)
from billing.cards.models import Attempt, Card, CardCustomer, CardSession, Charge
from billing.cards.outcome import Seller
from billing.passages.balances import lock
from config.clock import now_utc
from config.database import SessionFactory
from config.jobs import ring
from config.problems import Conflict, NotFound

log = structlog.get_logger()

PAGE_LIVES = dt.timedelta(minutes=35)
"""Stripe wants half an hour at least; the rest is for asking again when its first answer is lost."""


@dataclass(frozen=True)
class Found:
    """What the provider says of a page: ``result`` None where it is certain that nothing was paid there."""

    attempt_id: int
    result: Outcome | None
    page: PaymentPage | None = None


def begin(
    sessions: SessionFactory,
    gateway: CardGateway,
    charge_id: int,
    agreement_id: int,
    *,
    return_url: str,
    seller: Seller,
    now: dt.datetime,
) -> str:
    """Return the address of the provider's page where the customer pays a charge; the one that is open, if one is.

    The browser comes back to ``return_url``, with ``confirmed=…`` where it was paid. Raises NotFound for a charge that
    is not the agreement's, Conflict for one that waits for no customer (``charge-not-waiting``) or whose last attempt
    is not known yet (``charge-unknown``), GatewayUnavailable where the provider does not answer: again is harmless.
    """
    for _ in range(2):  # a page that turns out to be over makes room for one more
        with sessions() as session:
            attempt_id, fresh = _open(session, charge_id, agreement_id, return_url=return_url, now=now)
            session.commit()
        found = look(sessions, gateway, attempt_id, real=now_utc(), fresh=fresh)
        with sessions() as session:
            word = record(session, found, seller=seller, now=now)
            session.commit()
        if word == "unknown" and found.page is not None and found.page.status == "open" and found.page.url:
            return found.page.url
        if word != "nothing":
            raise _not_waiting() if word == "succeeded" else _unknown()
        if fresh:
            break
    raise GatewayUnavailable("the gateway makes no page for this charge just now")


def finish(
    sessions: SessionFactory,
    gateway: CardGateway,
    session_ref: str,
    *,
    agreement_id: int,
    seller: Seller,
    now: dt.datetime,
) -> str:
    """Record what came of a page the customer comes back from. Returns succeeded, nothing or unknown (still open).

    Raises NotFound for a page that is not the agreement's, GatewayUnavailable.
    """
    with sessions() as session:
        attempt_id = session.scalars(
            select(CardSession.attempt_id)
            .join(Attempt, Attempt.id == CardSession.attempt_id)
            .join(Charge, Charge.id == Attempt.charge_id)
            .where(CardSession.provider_ref == session_ref, Charge.agreement_id == agreement_id)
        ).one_or_none()
    if attempt_id is None:
        raise NotFound("No payment page has this id.")
    found = look(sessions, gateway, attempt_id, real=now_utc())
    with sessions() as session:
        word = record(session, found, seller=seller, now=now)
        session.commit()
    return word


def leave(
    sessions: SessionFactory, gateway: CardGateway, agreement_id: int, *, seller: Seller, now: dt.datetime
) -> str | None:
    """End the page that an agreement has open, so that its charge can be settled another way at once.

    Returns how the attempt stands then: succeeded where it was paid after all, nothing, or unknown; None where there
    was no page. Raises GatewayUnavailable.
    """
    with sessions() as session:
        attempt_id = open_page(session, agreement_id)
    if attempt_id is None:
        return None
    found = look(sessions, gateway, attempt_id, real=now_utc(), leave=True)
    with sessions() as session:
        word = record(session, found, seller=seller, now=now)
        session.commit()
    return word


def open_page(session: Session, agreement_id: int) -> int | None:
    """Return the attempt whose page an agreement's customer may be paying on just now, or None."""
    return session.scalars(
        select(Attempt.id)
        .join(Charge, Charge.id == Attempt.charge_id)
        .where(Charge.agreement_id == agreement_id, Attempt.state == "unknown", Attempt.kind == "on_session")
        .limit(1)
    ).one_or_none()


def _at_once(asking: Callable[[], Found]) -> Found:
    return asking()


def sweep_one(
    sessions: SessionFactory,
    gateway: CardGateway,
    attempt_id: int,
    *,
    seller: Seller,
    now: dt.datetime,
    through: Callable[[Callable[[], Found]], Found] = _at_once,
) -> str:
    """Ask about one attempt of kind on_session and record the answer. Returns succeeded, unknown or nothing.

    ``through``: how the provider is asked: at once, or at the pace that all workers share (``OneTurn.ask``).
    """
    try:
        found = through(lambda: look(sessions, gateway, attempt_id, real=now_utc()))
    except (GatewayUnavailable, GatewayMisuse) as error:
        found = Found(attempt_id, Unknown(reason=f"page: {error}"))
    with sessions() as session:
        word = record(session, found, seller=seller, now=now)
        session.commit()
    return word


def of_event(session: Session, event: Event) -> int | None:
    """Return the attempt whose page an event about a page is of: by its id, or by what we gave it; None if not ours."""
    by_ref = session.scalars(
        select(CardSession.attempt_id).where(CardSession.provider_ref == event.object_id)
    ).one_or_none()
    attempt = event.metadata.get("attempt", "")
    if by_ref is not None or not attempt.isdecimal() or len(attempt) > 18:
        return by_ref
    found = session.get(CardSession, int(attempt))
    charge_id = None if found is None else session.get_one(Attempt, int(attempt)).charge_id
    return int(attempt) if charge_id is not None and str(charge_id) == event.metadata.get("charge") else None


def _open(
    session: Session, charge_id: int, agreement_id: int, *, return_url: str, now: dt.datetime
) -> tuple[int, bool]:
    """Return the attempt whose page is open, or write a new one: (its id, whether it is new)."""
    lock(session, [agreement_id])
    charge = session.scalars(
        select(Charge)
        .where(Charge.id == charge_id, Charge.agreement_id == agreement_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if charge is None:
        raise NotFound("There is no such charge.")
    before = session.scalars(select(Attempt).where(Attempt.charge_id == charge_id).order_by(Attempt.number)).all()
    unknown = next((one for one in before if one.state == "unknown"), None)
    if unknown is not None:
        if unknown.kind != "on_session":
            raise _unknown()
        return unknown.id, False
    if charge.state != "claimed" or charge.waits_for != "customer" or not before:
        raise _not_waiting()
    return _attempt(session, charge, before[-1], return_url=return_url, now=now), True


def _attempt(session: Session, charge: Charge, last: Attempt, *, return_url: str, now: dt.datetime) -> int:
    """Write the attempt and its page. No fee: any card may pay there, and which one it was is known only after that."""
    real = now_utc()
    assert charge.amount_ore is not None
    attempt = Attempt(
        charge_id=charge.id,
        number=last.number + 1,
        kind="on_session",
        card_id=last.card_id,
        amount_ore=charge.amount_ore,
        fee_ore=0,
        state="unknown",
        idempotency_key=f"brikke-{charge.id}-page-{last.number + 1}-{secrets.token_hex(8)}",
        started_at=now,
        called_at=real,
        asked_at=real,
        lookup=False,
    )
    session.add(attempt)
    session.flush()
    session.add(CardSession(attempt_id=attempt.id, return_url=return_url, started_at=now, expires_at=real + PAGE_LIVES))
    session.flush()
    return attempt.id


def look(
    sessions: SessionFactory,
    gateway: CardGateway,
    attempt_id: int,
    *,
    real: dt.datetime,
    fresh: bool = False,
    leave: bool = False,
) -> Found:
    """Ask the provider what became of a page, outside any transaction; one that is over for us is ended there.

    That is when its time is over, when its charge waits for the customer no more, or when they ``leave`` it.
    ``fresh``: the page has never been asked for. Raises GatewayUnavailable.
    """
    with sessions() as session:
        attempt, page_row = session.get_one(Attempt, attempt_id), session.get_one(CardSession, attempt_id)
        request, charge = _request(session, attempt, page_row), session.get_one(Charge, attempt.charge_id)
    wanted = charge.state == "claimed" and charge.waits_for == "customer"
    try:
        page = _page(sessions, gateway, attempt, page_row, request, real=real, fresh=fresh)
        if page is None:
            return Found(attempt_id, None)
        if page.status == "open" and (leave or not wanted or real >= page_row.expires_at):
            page = gateway.end_payment(page.ref)
        return Found(attempt_id, _result(gateway, page), page)
    except GatewayMisuse as misuse:
        never = misuse.code == PAGE_TOO_LATE or (fresh and misuse.code != "idempotency_error")
        log.error("card_page_refused", attempt=attempt_id, code=misuse.code, error=str(misuse), never=never)
        return Found(attempt_id, None if never else Unknown(reason=f"refused: {misuse.code or misuse}"))


def record(session: Session, found: Found, *, seller: Seller, now: dt.datetime) -> str:
    """Record what was found, once. Returns how the attempt stands then: succeeded, unknown or nothing."""
    attempt = session.get_one(Attempt, found.attempt_id)
    charge = session.get_one(Charge, attempt.charge_id)
    lock(session, [charge.agreement_id])
    if found.page is not None and isinstance(found.result, Succeeded):
        page_row = session.get_one(CardSession, found.attempt_id, populate_existing=True)
        page_row.brand, page_row.last4 = found.page.brand, found.page.last4
        session.flush()
    if found.result is not None:
        return outcome.apply(session, found.attempt_id, found.result, seller=seller, now=now)
    outcome.forget(session, found.attempt_id, now=now)
    ring(session, "due_charges")  # its time may have come while the page was open
    session.refresh(attempt)
    return attempt.state


def _page(
    sessions: SessionFactory,
    gateway: CardGateway,
    attempt: Attempt,
    row: CardSession,
    request: PageRequest,
    *,
    real: dt.datetime,
    fresh: bool,
) -> PaymentPage | None:
    """Return a page as it is now; None where it was never made, and is not made any more.

    One that we were never told of is looked up first: the key might only repeat the provider's own failure.
    """
    if row.provider_ref is not None:
        return gateway.payment_page(row.provider_ref)
    page = None
    if not fresh:
        after = attempt.called_at - dt.timedelta(hours=1)
        page = gateway.find_payment(
            customer_id=request.customer_id, attempt=request.attempt, key=request.idempotency_key, created_after=after
        )
        if page is None and real >= row.expires_at:
            return None
    page = page or gateway.start_payment(request)
    _keep(sessions, attempt.id, page)
    return page


def _keep(sessions: SessionFactory, attempt_id: int, page: PaymentPage) -> None:
    with sessions() as session:
        row = session.get_one(CardSession, attempt_id)
        row.provider_ref, row.url = page.ref, page.url
        session.commit()


def _result(gateway: CardGateway, page: PaymentPage) -> Outcome | None:
    """Say what a page means for its attempt: a decline there is none, as long as the customer may try again."""
    if isinstance(page.payment, Succeeded):
        return page.payment
    if page.status == "expired":
        return _ended(gateway, page.payment)
    return Unknown(reason="the page is open" if page.status == "open" else "the page is complete, the payment is not")


def _ended(gateway: CardGateway, payment: Outcome | None) -> Outcome | None:
    """Say what the payment of a page that is over came to; one that could still go either way is cancelled first."""
    if isinstance(payment, Unknown) and payment.ref is not None:
        payment = gateway.cancel(payment.ref)
    return None if isinstance(payment, Declined) else payment


def _request(session: Session, attempt: Attempt, page: CardSession) -> PageRequest:
    card = session.get_one(Card, attempt.card_id)
    number = session.scalar(select(Agreement.number).where(Agreement.id == card.agreement_id))
    joiner = "&" if "?" in page.return_url else "?"
    return PageRequest(
        customer_id=session.get_one(CardCustomer, card.agreement_id).provider_customer,
        amount_ore=attempt.amount_ore,
        idempotency_key=attempt.idempotency_key,
        charge=str(attempt.charge_id),
        attempt=str(attempt.id),
        description=f"Agreement {number}",
        success_url=f"{page.return_url}{joiner}confirmed={{CHECKOUT_SESSION_ID}}",
        cancel_url=page.return_url,
        expires_at=page.expires_at,
    )


def _unknown() -> Conflict:
    return Conflict("Nobody knows yet whether this charge was paid. Try again in some minutes.", slug="charge-unknown")


def _not_waiting() -> Conflict:
    return Conflict("This charge waits for no confirmation.", slug="charge-not-waiting")
