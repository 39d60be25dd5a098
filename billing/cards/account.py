"""Read the provider's account of us, daily: its lines and what it pays out, and book what only it can tell.

What moved money of customers' (payments, refunds, disputes) is in the books already when a line tells of it; a line
adds what it cost us. A line that is about nothing of ours is a cost altogether. A payout is in the books while it is
``paid``. Reading the same again does nothing: a line and a payout are known by the provider's id, and reads overlap,
since a line may show up late. Dates of the reads are the provider's own clock, which is real time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.cards.gateway import CardGateway
from billing.cards.gateway_account import ProviderLine, ProviderPayout
from billing.cards.models import Attempt, CardPayout, CardTransaction
from billing.cards.provider import gateway_of
from billing.ledger.book import Account, Entry, book, book_query
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext

JOB = "card_account"
"""The job's name, whose lock whoever reads holds: two reads at once would ask for the same lines twice."""
OVERLAP = dt.timedelta(days=3)
WINDOW = dt.timedelta(days=1)
FIRST = dt.timedelta(days=30)
"""So far back goes the first read where we have not asked for any payment ourselves."""
PAYOUTS_BACK = dt.timedelta(days=30)
"""A payout that has arrived may be sent back by the bank for some days; a month has room for all of them."""
CHUNK = 1_000
OURS = ("payment", "refund", "dispute", "payout")
"""Types of lines that are about something of ours; another is the provider's own word for what it took."""

_COSTS = """
    SELECT CASE WHEN cost > 0 THEN 'card_costs' ELSE 'card_clearing' END AS debit, 0 AS debit_owner,
           CASE WHEN cost > 0 THEN 'card_clearing' ELSE 'card_costs' END AS credit, 0 AS credit_owner,
           abs(cost) AS amount_ore, CASE WHEN cost > 0 THEN 'card_cost' ELSE 'card_cost_back' END AS code,
           id AS ref, '' AS part
    FROM (SELECT id, CASE WHEN type = ANY(:ours) THEN fee_ore ELSE -net_ore END AS cost FROM card_transactions
          WHERE id = ANY(:ids)) AS c
"""


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Read the provider's account, from where the last read ended; days that were missed are caught up."""
    del scheduled_for
    gateway = gateway_of(ctx.settings)
    if gateway is None:
        return {"note": "no card gateway is configured"}
    with ctx.sessions() as session:
        now = business_now(session)
    return {**read(ctx.sessions, gateway, now=now, real=now_utc())}


def read(sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime) -> dict[str, int]:
    """Read what is new. Returns how many lines and payouts were.

    ``now`` is business time, on whose date costs and payouts are booked. Raises GatewayUnavailable and GatewayMisuse;
    what had been read before stays.
    """
    lines = _read_lines(sessions, gateway, now=now, real=real)
    return {"lines": lines} | _read_payouts(sessions, gateway, now=now, real=real)


def _read_lines(sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime) -> int:
    """Read lines window by window, oldest first, so that a read that is cut short leaves no hole behind it."""
    with sessions() as session:
        newest = session.scalar(select(func.max(CardTransaction.made_at)))
        first = session.scalar(select(func.min(Attempt.called_at)))
    start = newest - OVERLAP if newest is not None else min(first - WINDOW, real) if first is not None else real - FIRST
    new = 0
    while True:
        until = start + WINDOW if start + WINDOW < real else None  # the last has no end: clocks differ
        found = gateway.transactions(start, until)
        for at in range(0, len(found), CHUNK):
            with sessions() as session:
                new += keep(session, found[at : at + CHUNK], now=now, real=real)
                session.commit()
        if until is None:
            return new
        start = until


def keep(session: Session, lines: Sequence[ProviderLine], *, now: dt.datetime, real: dt.datetime) -> int:
    """Keep lines that are not there yet, and book what they cost. Returns how many were new."""
    if not lines:
        return 0
    rows = [
        {
            "provider_ref": line.ref,
            "type": line.kind if line.kind != "other" else line.word,
            "amount_ore": line.amount_ore,
            "fee_ore": line.fee_ore,
            "net_ore": line.amount_ore - line.fee_ore,
            "source_ref": line.source,
            "made_at": line.at,
            "read_at": real,
        }
        for line in sorted(lines, key=lambda line: line.ref)  # in one order, so that two reads do not lock crosswise
    ]
    made = insert(CardTransaction).on_conflict_do_nothing(index_elements=["provider_ref"]).returning(CardTransaction.id)
    ids = list(session.scalars(made, rows))
    if ids:
        book_query(session, _COSTS, {"ids": ids, "ours": list(OURS)}, booked_on=business_date(now), now=now)
    return len(ids)


def _read_payouts(
    sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime
) -> dict[str, int]:
    with sessions() as session:
        newest = session.scalar(select(func.max(CardPayout.made_at)))
        waiting = session.scalar(
            select(func.min(CardPayout.made_at)).where(
                CardPayout.state.in_(("pending", "in_transit")) | ~CardPayout.whole
            )
        )
        oldest = session.scalar(select(func.min(CardTransaction.made_at)))
    since = newest - PAYOUTS_BACK if newest is not None else oldest or real - FIRST
    new = changed = 0
    for told in sorted(gateway.payouts(min(since, waiting or since)), key=lambda one: one.made_at):
        with sessions() as session:
            was = keep_payout(session, told, now=now, real=real)
            session.commit()
        new, changed = new + (was is None), changed + (was is not None and was != told.state)
    with sessions() as session:
        parts = session.execute(select(CardPayout.id, CardPayout.provider_ref).where(~CardPayout.whole)).all()
    for payout_id, ref in parts:
        lines = gateway.transactions_of(ref)
        with sessions() as session:
            take_in(session, payout_id, [line for line in lines if line.source != ref], now=now, real=real)
            session.commit()
    return {"payouts": new, "payouts_changed": changed}


def keep_payout(session: Session, told: ProviderPayout, *, now: dt.datetime, real: dt.datetime) -> str | None:
    """Keep a payout as it stands, and its place in the books. Returns how it stood before, None where it is new.

    One that failed or was cancelled has ended: nothing that is told later changes it.
    """
    made = session.scalar(
        insert(CardPayout)
        .values(
            provider_ref=told.ref, amount_ore=told.amount_ore, state="pending", arrives_on=told.arrives_on,
            made_at=told.made_at, whole=False, read_at=real,
        )
        .on_conflict_do_nothing(index_elements=["provider_ref"])
        .returning(CardPayout.id)
    )  # fmt: skip
    row = session.scalars(
        select(CardPayout)
        .where(CardPayout.provider_ref == told.ref)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    before = None if made is not None else row.state
    if row.state in ("failed", "canceled"):
        return before
    if (row.state == "paid") != (told.state == "paid"):
        _book(session, row, in_=told.state == "paid", now=now)
    row.state, row.arrives_on, row.read_at = told.state, told.arrives_on, real
    session.flush()
    return before


def _book(session: Session, payout: CardPayout, *, in_: bool, now: dt.datetime) -> None:
    """Book a payout that has arrived, or take it out; one below zero is what the provider took of our bank account."""
    if payout.amount_ore == 0:
        return
    bank, clearing = Account("bank"), Account("card_clearing")
    if in_ == (payout.amount_ore > 0):
        entry = Entry(bank, clearing, abs(payout.amount_ore), "card_payout", payout.id)
    else:
        entry = Entry(clearing, bank, abs(payout.amount_ore), "card_payout_back", payout.id)
    book(session, [entry], booked_on=business_date(now), now=now)


def take_in(
    session: Session, payout_id: int, lines: Sequence[ProviderLine], *, now: dt.datetime, real: dt.datetime
) -> None:
    """Say of lines which payout they went into; it is whole when they add up to it. Its own line is not one of them."""
    keep(session, lines, now=now, real=real)
    session.execute(
        update(CardTransaction)
        .where(CardTransaction.provider_ref.in_([line.ref for line in lines]), CardTransaction.payout_id.is_(None))
        .values(payout_id=payout_id)
        .execution_options(synchronize_session=False)
    )
    payout = session.get_one(CardPayout, payout_id, populate_existing=True, with_for_update=True)
    net = session.scalar(
        select(func.coalesce(func.sum(CardTransaction.net_ore), 0)).where(CardTransaction.payout_id == payout_id)
    )
    payout.whole = bool(lines) and net == payout.amount_ore
    session.flush()
