"""Charge what is left when an agreement that pays by card has ended, whatever the sum.

What was booked before its end is charged, once; what arrives later is invoiced by the next run, as all of it is where
no card works.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Select, exists, literal, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.due import open_now
from billing.cards.models import Card, Charge
from billing.passages import held
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_now
from config.jobs import JobContext

CHUNK = 200


def waiting(session: Session, *, now: dt.datetime, after: int = 0) -> list[int]:
    """Return the next agreements, by id above ``after``, that have ended with something unbilled for their card."""
    works = exists().where(Card.agreement_id == Agreement.id, Card.removed_at.is_(None), Card.refused_code.is_(None))
    query = _left(now).where(Agreement.id > after, works).order_by(Agreement.id).limit(CHUNK)
    return list(session.scalars(query))


def would_pay(session: Session, agreement_id: int, *, now: dt.datetime) -> bool:
    """Say whether a card that works would be charged what an ended agreement has left."""
    if session.scalars(_left(now).where(Agreement.id == agreement_id)).one_or_none() is None:
        return False
    balance = session.get_one(Balance, agreement_id, populate_existing=True)
    return balance.unbilled_ore > held.sums(session, [agreement_id]).get(agreement_id, 0)


def _left(now: dt.datetime) -> Select[int]:
    # An open charge of another cause that is not tried yet becomes the closing's; one that is tried goes before it.
    closing = exists().where(Charge.agreement_id == Agreement.id, Charge.cause == "closing")
    tried = exists().where(Charge.agreement_id == Agreement.id, Charge.state == "claimed")
    return (
        select(Agreement.id)
        .join(Balance, Balance.agreement_id == Agreement.id)
        .where(
            Agreement.payment_method == literal("card", literal_execute=True),  # as the index of these says it
            Agreement.closed_at <= now,
            Balance.unbilled_ore > 0,
            Balance.open_since <= Agreement.closed_at,
            ~closing,
            ~tried,
        )
    )


def close_one(session: Session, agreement_id: int, *, now: dt.datetime) -> bool:
    """Have what an ended agreement has not been billed for charged now; say whether it will be."""
    lock(session, [agreement_id])
    if agreement_id not in waiting(session, now=now, after=agreement_id - 1)[:1]:
        return False  # somebody else was here meanwhile
    return open_now(session, agreement_id, cause="closing", now=now)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Charge what ended agreements have left, each in a transaction of its own. Again does nothing."""
    del scheduled_for
    due = after = 0
    while True:
        with ctx.sessions() as session:
            ids = waiting(session, now=business_now(session), after=after)
        for agreement_id in ids:
            with ctx.sessions.begin() as session:
                due += close_one(session, agreement_id, now=business_now(session))
        if not ids:
            return {"due": due}
        after = ids[-1]
