"""Charge a card: fix the sum, commit the attempt as unknown, call the provider, record what it said.

Each step is a transaction of its own and can be the last one before a crash:

1. ``prepare``: the charge gets its claim (once) and an attempt, committed as ``unknown`` with its idempotency key.
2. ``call``: the provider is asked, outside any transaction.
3. ``outcome.apply``: what it said is recorded, once, whoever brings it.

A crash after 1 leaves an unknown attempt, which ``sweep`` asks about with the same key; there is no second attempt
while one is unknown (unique index), so the card is never charged twice.
"""

from __future__ import annotations

import datetime as dt
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards import outcome
from billing.cards.failures import Failures
from billing.cards.gateway import CardGateway, ChargeRequest, GatewayMisuse, Outcome
from billing.cards.models import Attempt, Card, CardCustomer, Charge
from billing.cards.outcome import Seller
from billing.cards.provider import gateway_of
from billing.cards.rules import fee
from billing.claims.make import make
from billing.invoices.seller import seller_of
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from config.rates import whole

log = structlog.get_logger()
CHUNK = 200


@dataclass(frozen=True)
class Prepared:
    """An attempt that is committed as unknown, and the request that goes with it."""

    attempt_id: int
    request: ChargeRequest


def prepare(
    session: Session, charge_id: int, *, seller: Seller, now: dt.datetime, real: dt.datetime
) -> Prepared | None:
    """Fix the sum of a charge and write its next attempt. Returns None when there is nothing to call for.

    That is when another worker has it, when it is not its time, when the sum fell below the threshold before it
    was claimed (the charge is cancelled), or when there is no card that may be tried (it goes on an invoice).
    """
    agreement_id = session.scalar(select(Charge.agreement_id).where(Charge.id == charge_id))
    if agreement_id is None:
        return None
    lock(session, [agreement_id])
    charge = session.scalars(
        select(Charge).where(Charge.id == charge_id).with_for_update().execution_options(populate_existing=True)
    ).one()
    if charge.state not in ("due", "claimed") or charge.next_at > now:
        return None
    if session.scalar(select(Attempt.id).where(Attempt.charge_id == charge_id, Attempt.state == "unknown")):
        return None
    if charge.state == "due" and not _claim(session, charge, now=now):
        return None
    card = _card(session, agreement_id)
    customer = session.get(CardCustomer, agreement_id)
    if card is None or customer is None:
        outcome.give_up(session, charge, seller=seller, now=now)
        return None
    return _attempt(session, charge, card, customer, now=now, real=real)


def _claim(session: Session, charge: Charge, *, now: dt.datetime) -> bool:
    """Take everything unbilled into the charge's claim.

    The charge is cancelled where the sum no longer reaches, and where the agreement has been closed or pays by
    invoice now.
    """
    today = business_date(now)
    balance = session.get_one(Balance, charge.agreement_id, populate_existing=True)
    agreement = session.get_one(Agreement, charge.agreement_id, populate_existing=True)
    by_card = agreement.payment_method == "card" and (agreement.closed_at is None or agreement.closed_at > now)
    made = []
    if by_card and balance.unbilled_ore >= whole("card_threshold_ore", today):
        made = make(
            session,
            [charge.agreement_id],
            kind="card",
            run=f"charge:{charge.id}",
            part="",
            cutoff=now,
            minimum_ore=whole("card_threshold_ore", today),
            now=now,
        )
    if not made:
        charge.state, charge.ended_at = "cancelled", now
        balance.open_charge_id = None
        session.flush()
        return False
    charge.state, charge.claim_id, charge.amount_ore = "claimed", made[0].claim_id, made[0].amount_ore
    session.flush()
    return True


def _card(session: Session, agreement_id: int) -> Card | None:
    return session.scalars(
        select(Card).where(
            Card.agreement_id == agreement_id, Card.is_default, Card.removed_at.is_(None), Card.refused_code.is_(None)
        )
    ).one_or_none()


def _attempt(
    session: Session, charge: Charge, card: Card, customer: CardCustomer, *, now: dt.datetime, real: dt.datetime
) -> Prepared:
    today = business_date(now)
    assert charge.amount_ore is not None
    fee_ore = fee(
        charge.amount_ore,
        segment=card.segment,
        fee_bp=whole("card_fee_commercial_bp", today),
        fee_ore=whole("card_fee_commercial_ore", today),
    )
    attempt = Attempt(
        charge_id=charge.id,
        number=charge.tries + 1 + _forgotten(session, charge.id),
        card_id=card.id,
        amount_ore=charge.amount_ore + fee_ore,
        fee_ore=fee_ore,
        state="unknown",
        idempotency_key=f"brikke-{charge.id}-{charge.tries}-{secrets.token_hex(8)}",
        started_at=now,
        called_at=real,
        asked_at=real,
        lookup=False,
    )
    session.add(attempt)
    session.flush()
    return Prepared(attempt.id, _request(session, attempt, card, customer))


def _forgotten(session: Session, charge_id: int) -> int:
    """Count the attempts that certainly never happened: they have a number but are no tries."""
    counted = (
        select(func.count()).select_from(Attempt).where(Attempt.charge_id == charge_id, Attempt.state == "nothing")
    )
    return session.scalars(counted).one()


def _request(session: Session, attempt: Attempt, card: Card, customer: CardCustomer) -> ChargeRequest:
    number = session.scalar(select(Agreement.number).where(Agreement.id == card.agreement_id))
    return ChargeRequest(
        customer_id=customer.provider_customer,
        payment_method=card.payment_method,
        amount_ore=attempt.amount_ore,
        idempotency_key=attempt.idempotency_key,
        charge=str(attempt.charge_id),
        attempt=str(attempt.id),
        description=f"Agreement {number}",
    )


def prepared(session: Session, attempt_id: int) -> Prepared:
    """Return the very request of an attempt again: same key, same fields."""
    attempt = session.get_one(Attempt, attempt_id)
    card = session.get_one(Card, attempt.card_id)
    customer = session.get_one(CardCustomer, card.agreement_id)
    return Prepared(attempt.id, _request(session, attempt, card, customer))


def call(gateway: CardGateway, request: ChargeRequest) -> Outcome:
    """Ask the provider to take the money. A request it will never accept is a decline only where the card is why."""
    try:
        return gateway.charge(request)
    except GatewayMisuse as misuse:
        log.error("card_gateway_misuse", charge=request.charge, code=misuse.code, error=str(misuse))
        return outcome.of_misuse(misuse)


def charge_one(
    sessions: SessionFactory, gateway: CardGateway, charge_id: int, *, seller: Seller, now: dt.datetime
) -> str:
    """Take one charge a step further and return what came of it: skipped, cancelled …, succeeded, declined, unknown."""
    with sessions() as session:
        ready = prepare(session, charge_id, seller=seller, now=now, real=now_utc())
        session.commit()
    if ready is None:
        return "skipped"
    result = call(gateway, ready.request)
    with sessions() as session:
        word = outcome.apply(session, ready.attempt_id, result, seller=seller, now=now)
        session.commit()
    return word


def waiting(session: Session, *, now: dt.datetime, after: int = 0) -> list[int]:
    """Return the next charges, by id above ``after``, whose time has come and that have no unknown attempt."""
    unknown = select(Attempt.id).where(Attempt.charge_id == Charge.id, Attempt.state == "unknown").exists()
    return list(
        session.scalars(
            select(Charge.id)
            .where(Charge.state.in_(("due", "claimed")), Charge.next_at <= now, Charge.id > after, ~unknown)
            .order_by(Charge.id)
            .limit(CHUNK)
        )
    )


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Charge every card that is due (doorbell and schedule). Raises SomeFailed at the end, the others being charged."""
    del scheduled_for
    gateway, seller = gateway_of(ctx.settings), seller_of(ctx.settings)
    counts: dict[str, int | str] = {"succeeded": 0, "declined": 0, "unknown": 0, "skipped": 0}
    if gateway is None:
        return counts | {"note": "no card gateway is configured"}
    failures, looked_at, after = Failures("charge"), 0, 0
    while True:
        with ctx.sessions() as session:
            now = business_now(session)
            ids = waiting(session, now=now, after=after)
        if not ids:
            failures.tell(looked_at)
            return counts
        # Side by side: most of a charge is waiting for the provider and for the disk.
        with ThreadPoolExecutor(ctx.settings.worker_concurrency, thread_name_prefix="charge") as threads:
            one = partial(charge_one, ctx.sessions, gateway, seller=seller, now=now)
            charged = [(charge_id, threads.submit(one, charge_id)) for charge_id in ids]
        for charge_id, future in charged:
            error = future.exception()
            if error is not None:
                failures.add(charge_id, error)
            else:
                counts[future.result()] = int(counts[future.result()]) + 1
        looked_at, after = looked_at + len(ids), ids[-1]
