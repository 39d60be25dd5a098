"""Orders to the bank: what is approved, one file a day (pain.001), kept with its hash and put in the bank's outbox.

A bank day's order is made once; what is approved later waits for the next. Name and bytes never change, so that a file
which was put there before a crash is found again and left alone (config.outbox).
"""

from __future__ import annotations

import datetime as dt
import hashlib

import structlog
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.payments.pain001 import MOST, Debtor, Transfer, build
from billing.payments.payout_models import Payout, PayoutOrder
from config.bankdays import add_bank_days, is_bank_day
from config.clock import business_date, business_now
from config.jobs import JobContext, Result
from config.outbox import put

log = structlog.get_logger(__name__)

CHUNK = MOST // 10
"""Payouts of one order; more wait for the next day."""

_APPROVED = """
    SELECT p.id, p.amount_ore, p.account, k.name, a.number
    FROM payouts AS p JOIN agreements AS a ON a.id = p.agreement_id JOIN customers AS k ON k.id = a.customer_id
    WHERE p.state = 'approved' ORDER BY p.id LIMIT :most FOR NO KEY UPDATE OF p
"""


def order(session: Session, *, debtor: Debtor, now: dt.datetime) -> PayoutOrder | None:
    """Put what is approved into today's order; None when nothing is, today has its order, or banks are closed.

    Two at once wait for each other, and the second finds the day's order made.
    """
    today = business_date(now)
    if not is_bank_day(today):
        return None
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('brikke payout orders', 0))"))
    if session.scalar(select(PayoutOrder.id).where(PayoutOrder.for_date == today)) is not None:
        return None
    rows = session.execute(text(_APPROVED), {"most": CHUNK}).all()
    if not rows:
        return None
    name = f"brikke-payouts-{today:%Y%m%d}"
    execute_on = add_bank_days(today, 1)
    transfers = [
        Transfer(f"P{row.id}", row.name, row.account, row.amount_ore, f"Utbetaling, avtale {row.number}")
        for row in rows
    ]
    content = build(f"BRIKKE-P{today:%Y%m%d}", debtor, transfers, made_at=now, execute_on=execute_on)
    made = PayoutOrder(
        for_date=today,
        execute_on=execute_on,
        name=f"{name}.xml",
        transfers=len(rows),
        sum_ore=sum(row.amount_ore for row in rows),
        sha256=hashlib.sha256(content).digest(),
        content=content,
        made_at=now,
    )
    session.add(made)
    session.flush()
    session.execute(
        text("UPDATE payouts SET state = 'ordered', order_id = :order WHERE id = ANY(:ids)"),
        {"order": made.id, "ids": [row.id for row in rows]},
    )
    return made


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Order what is approved, and put it into the bank's outbox."""
    with ctx.sessions.begin() as session:
        made = order(session, debtor=Debtor.of(ctx.settings), now=business_now(session))
        ordered = made.transfers if made else 0
    return {"ordered": ordered, **job_outbox(ctx, scheduled_for)}


def job_outbox(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Put every order that has not been there into the bank's outbox.

    Each is looked at again under its lock, which is held until it is noted that the file is out: of two that put at
    once the second leaves it alone, also when the bank has fetched the file meanwhile.
    """
    del scheduled_for
    with ctx.sessions() as session:
        waiting = session.scalars(
            select(PayoutOrder.id).where(PayoutOrder.written_at.is_(None)).order_by(PayoutOrder.id)
        ).all()
    written = 0
    for order_id in waiting:
        with ctx.sessions.begin() as session:
            row = session.get_one(PayoutOrder, order_id, with_for_update=True)
            if row.written_at is not None:
                continue
            put(ctx.settings.bank_outbox, row.name, row.content)
            row.written_at, name = business_now(session), row.name
        written += 1
        log.info("payout_order.written", file=name)
    return {"written": written}


def payouts_of(session: Session, order_id: int) -> list[Payout]:
    """Return the payouts of an order, in the order of its file."""
    return list(session.scalars(select(Payout).where(Payout.order_id == order_id).order_by(Payout.id)))
