"""Ask again about attempts whose outcome is not known.

While the provider still remembers the idempotency key, the same request is sent again: it returns the payment that
was made, or makes the one that was not. After that, or where the key only repeats the provider's own failure, the
payment is looked up by our metadata; an attempt that cannot be found once no request of ours can still be under
way never happened.
"""

from __future__ import annotations

import datetime as dt

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards import confirm, outcome
from billing.cards.charge import call, prepared
from billing.cards.failures import Failures
from billing.cards.gateway import KEY_REMEMBERED, CardGateway, GatewayMisuse, GatewayUnavailable, Outcome, Unknown
from billing.cards.models import Attempt
from billing.cards.outcome import Seller
from billing.cards.provider import gateway_of
from billing.invoices.seller import seller_of
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, ring

log = structlog.get_logger()
CHUNK = 200
ASK_AGAIN = dt.timedelta(seconds=60)
REQUEST_LIVES = dt.timedelta(hours=1)
"""No request of ours can still be under way at the provider after this."""


def unknown(session: Session, *, asked_before: dt.datetime, after: int = 0) -> list[int]:
    """Return unknown attempts last asked about before a real instant, by id above ``after``."""
    return list(
        session.scalars(
            select(Attempt.id)
            .where(Attempt.state == "unknown", Attempt.asked_at <= asked_before, Attempt.id > after)
            .order_by(Attempt.id)
            .limit(CHUNK)
        )
    )


def ask(gateway: CardGateway, sessions: SessionFactory, attempt_id: int, *, real: dt.datetime) -> Outcome | None:
    """Ask the provider what became of an attempt, outside any transaction. None: it never happened."""
    with sessions() as session:
        attempt = session.get_one(Attempt, attempt_id)
        request = prepared(session, attempt_id).request
    age = real - attempt.called_at
    if not attempt.lookup and age < KEY_REMEMBERED:
        return call(gateway, request)
    try:
        found = gateway.find_charge(
            customer_id=request.customer_id,
            charge=request.charge,
            attempt=request.attempt,
            created_after=attempt.called_at - dt.timedelta(hours=1),
        )
    except (GatewayUnavailable, GatewayMisuse) as error:
        return Unknown(reason=f"look-up: {error}", same_key_helps=not attempt.lookup)
    if found is not None or age >= REQUEST_LIVES:
        return found
    return Unknown(reason="not found yet", same_key_helps=False)


def sweep_one(
    sessions: SessionFactory, gateway: CardGateway, attempt_id: int, *, seller: Seller, now: dt.datetime
) -> str:
    """Ask about one attempt and record the answer. Returns succeeded, declined, unknown or nothing."""
    with sessions() as session:
        on_page = session.get_one(Attempt, attempt_id).kind == "on_session"
    if on_page:
        return confirm.sweep_one(sessions, gateway, attempt_id, seller=seller, now=now)
    result = ask(gateway, sessions, attempt_id, real=now_utc())
    with sessions() as session:
        if result is None:
            outcome.forget(session, attempt_id, now=now)
            ring(session, "due_charges")
            word = "nothing"
        else:
            word = outcome.apply(session, attempt_id, result, seller=seller, now=now)
        session.commit()
    return word


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Ask about every attempt that has been unknown for a while."""
    del scheduled_for
    return sweep(ctx, asked_before=now_utc() - ASK_AGAIN)


def sweep(ctx: JobContext, *, asked_before: dt.datetime) -> dict[str, int | str]:
    """Ask about every unknown attempt last asked about before a real instant.

    Raises SomeFailed at the end, the others being asked about.
    """
    gateway, seller = gateway_of(ctx.settings), seller_of(ctx.settings)
    counts: dict[str, int | str] = {"succeeded": 0, "declined": 0, "unknown": 0, "nothing": 0}
    if gateway is None:
        return counts
    failures, looked_at, after = Failures("attempt"), 0, 0
    while True:
        with ctx.sessions() as session:
            now = business_now(session)
            ids = unknown(session, asked_before=asked_before, after=after)
        if not ids:
            failures.tell(looked_at)
            return counts
        for attempt_id in ids:
            try:
                word = sweep_one(ctx.sessions, gateway, attempt_id, seller=seller, now=now)
            except Exception as error:
                failures.add(attempt_id, error)
            else:
                counts[word] = int(counts[word]) + 1
        looked_at, after = looked_at + len(ids), ids[-1]
