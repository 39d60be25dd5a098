"""Read the provider's account of us, daily: its lines and what it pays out, and book what only it can tell.

What moved money of customers' (payments, refunds, disputes) is in the books already when a line tells of it; a line
adds what it cost us. What we moved there from our bank account (a top-up) and what the provider keeps for a time (a
reserve) are our money still, in other accounts. A line that is about nothing of ours is a cost altogether. A payout is
in the books while it is ``paid``. Reading the same again does nothing: a line and a payout are known by the provider's
id, and reads overlap, since a line may show up late. Dates of the reads are the provider's own clock, which is real
time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.cards.gateway import CardGateway, GatewayMisuse, GatewayUnavailable
from billing.cards.gateway_account import ProviderLine, ProviderPayout
from billing.cards.models import AccountRead, Attempt, CardPayout, CardTransaction
from billing.cards.provider import gateway_of
from billing.cards.reconcile import Report, compare
from billing.ledger.book import Account, Entry, book, book_query
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext

log = structlog.get_logger(__name__)

JOB = "card_account"
"""The job's name, whose lock whoever reads holds: two reads at once would ask for the same lines twice."""
OVERLAP = dt.timedelta(days=3)
WINDOW = dt.timedelta(days=1)
FIRST = dt.timedelta(days=30)
"""So far back goes the first read where we have not asked for any payment ourselves."""
PAYOUTS_BACK = dt.timedelta(days=30)
"""A payout that has arrived may be sent back by the bank for some days; a month has room for all of them."""
TAIL = dt.timedelta(minutes=1)
QUIET_TRIES = 5
"""So often the balance is asked for, until no line has come meanwhile."""
CHUNK = 1_000
OURS = ("payment", "refund", "dispute", "payout", "topup", "reserve")
"""Types of lines that are about something of ours; another is the provider's own word for what it took."""
ORDER = ("pending", "in_transit", "paid", "failed", "canceled")
"""How a payout goes on. The last two are ends; what is told of an earlier state was read before and came late."""

# What left card clearing (øre; below zero: came in), the account on the other side, the codes of the two ways.
_MOVED = """
    SELECT CASE WHEN ore > 0 THEN other ELSE 'card_clearing' END AS debit, 0 AS debit_owner,
           CASE WHEN ore > 0 THEN 'card_clearing' ELSE other END AS credit, 0 AS credit_owner,
           abs(ore) AS amount_ore, CASE WHEN ore > 0 THEN out ELSE back END AS code, id AS ref, '' AS part
    FROM (
        SELECT id, 'card_costs' AS other, 'card_cost' AS out, 'card_cost_back' AS back,
               CASE WHEN type = ANY(:ours) THEN fee_ore ELSE -net_ore END AS ore
        FROM card_transactions WHERE id = ANY(:ids)
        UNION ALL
        SELECT id, 'bank', 'card_topup_back', 'card_topup', -amount_ore
        FROM card_transactions WHERE id = ANY(:ids) AND type = 'topup'
        UNION ALL
        SELECT id, 'card_reserves', 'card_reserve', 'card_reserve_back', -amount_ore
        FROM card_transactions WHERE id = ANY(:ids) AND type = 'reserve'
    ) AS c
"""


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Read the provider's account, from where the last read ended, and compare; days that were missed are caught up."""
    del scheduled_for
    gateway = gateway_of(ctx.settings)
    if gateway is None:
        return {"note": "no card gateway is configured"}
    with ctx.sessions() as session:
        now = business_now(session)
    found, report = check(ctx.sessions, gateway, now=now, real=now_utc())
    return {**found, "wrong": report.wrong}


def check(
    sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime
) -> tuple[dict[str, int], Report]:
    """Read what is new, compare, keep how many things differ, and warn of them. See ``read``."""
    found = read(sessions, gateway, now=now, real=real)
    report = compare(sessions, real=real)
    with sessions() as session:
        last = session.scalars(select(AccountRead).order_by(AccountRead.id.desc()).limit(1).with_for_update()).one()
        last.wrong = report.wrong
        session.commit()
    if not report.ok:
        first = report.differences[0] if report.differences else None
        log.warning(
            "card_account.differs",
            differences=report.count,
            rest_ore=report.rest_ore,
            balance_differs=report.balance_differs,
            first=None if first is None else f"{first.word} {first.kind} {first.ref}",
        )
    return found, report


def read(sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime) -> dict[str, int]:
    """Read what is new. Returns how many lines and payouts were.

    ``now`` is business time, on whose date costs and payouts are booked; ``real`` is real time now. Raises
    GatewayUnavailable and GatewayMisuse; what had been read before stays, and the read counts for none.
    """
    lines = _read_lines(sessions, gateway, now=now, real=real)
    payouts = _read_payouts(sessions, gateway, now=now, real=real)
    balance_ore, more = _balance(sessions, gateway, now=now, real=real)
    with sessions() as session:
        lines_ore = session.scalar(select(func.coalesce(func.sum(CardTransaction.net_ore), 0)))
        ended = max(real, now_utc())
        session.add(AccountRead(began_at=real, ended_at=ended, lines_ore=lines_ore, balance_ore=balance_ore))
        session.commit()
    return {"lines": lines + more} | payouts


def _balance(
    sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime
) -> tuple[int | None, int]:
    """Ask what the balance is at a moment of which all lines are read; say how many lines more that took.

    That is when none has come between the lines that were read last and those that were read after the answer. None
    where the provider does not tell, or where lines keep coming.
    """
    more = 0
    for _ in range(QUIET_TRIES):
        try:
            balance_ore = gateway.balance()
        except (GatewayUnavailable, GatewayMisuse) as error:
            log.warning("card_account.no_balance", error=str(error))
            return None, more
        with sessions() as session:
            newest = session.scalar(select(func.max(CardTransaction.made_at)))
        came = _keep_all(sessions, gateway.transactions((newest or real - FIRST) - TAIL), now=now, real=real)
        if came == 0:
            return balance_ore, more
        more += came
    return None, more


def _read_lines(sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime) -> int:
    """Read lines window by window, oldest first, so that a read that is cut short leaves no hole behind it."""
    with sessions() as session:
        newest = session.scalar(select(func.max(CardTransaction.made_at)))
        first = session.scalar(select(func.min(Attempt.called_at)))
    start = newest - OVERLAP if newest is not None else min(first - WINDOW, real) if first is not None else real - FIRST
    new = 0
    while True:
        until = start + WINDOW if start + WINDOW < real else None  # the last has no end: clocks differ
        new += _keep_all(sessions, gateway.transactions(start, until), now=now, real=real)
        if until is None:
            return new
        start = until


def _keep_all(sessions: SessionFactory, found: Sequence[ProviderLine], *, now: dt.datetime, real: dt.datetime) -> int:
    new = 0
    for at in range(0, len(found), CHUNK):
        with sessions() as session:
            new += keep(session, found[at : at + CHUNK], now=now, real=real)
            session.commit()
    return new


def keep(session: Session, lines: Sequence[ProviderLine], *, now: dt.datetime, real: dt.datetime) -> int:
    """Keep lines that are not there yet, and book what they cost and moved. Returns how many were new."""
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
        book_query(session, _MOVED, {"ids": ids, "ours": list(OURS)}, booked_on=business_date(now), now=now)
    return len(ids)


def _read_payouts(
    sessions: SessionFactory, gateway: CardGateway, *, now: dt.datetime, real: dt.datetime
) -> dict[str, int]:
    parts = CardPayout.automatic & ~CardPayout.whole
    with sessions() as session:
        newest = session.scalar(select(func.max(CardPayout.made_at)))
        waiting = session.scalar(
            select(func.min(CardPayout.made_at)).where(CardPayout.state.in_(("pending", "in_transit")) | parts)
        )
        oldest = session.scalar(select(func.min(CardTransaction.made_at)))
    since = newest - PAYOUTS_BACK if newest is not None else oldest or real - FIRST
    new = changed = 0
    for told in sorted(gateway.payouts(min(since, waiting or since)), key=lambda one: one.made_at):
        with sessions() as session:
            was, stands = keep_payout(session, told, now=now, real=real)
            session.commit()
        new, changed = new + (was is None), changed + (was not in (None, stands))
    with sessions() as session:
        not_whole = session.execute(select(CardPayout.id, CardPayout.provider_ref).where(parts)).all()
    for payout_id, ref in not_whole:
        _read_parts(sessions, gateway, payout_id, ref, now=now, real=real)
    return {"payouts": new, "payouts_changed": changed}


def _read_parts(
    sessions: SessionFactory, gateway: CardGateway, payout_id: int, ref: str, *, now: dt.datetime, real: dt.datetime
) -> None:
    """Read what went into one payout. That the provider refuses to tell is kept with it, and is no end of the read."""
    try:
        lines = gateway.transactions_of(ref)
    except GatewayMisuse as misuse:
        log.warning("card_account.payout_refused", payout=ref, error=str(misuse))
        with sessions() as session:
            session.execute(update(CardPayout).where(CardPayout.id == payout_id).values(refused=str(misuse)))
            session.commit()
        return
    with sessions() as session:
        take_in(session, payout_id, [line for line in lines if line.source != ref], now=now, real=real)
        session.commit()


def keep_payout(
    session: Session, told: ProviderPayout, *, now: dt.datetime, real: dt.datetime
) -> tuple[str | None, str]:
    """Keep a payout as it stands, and its place in the books. Returns how it stood before (None where it is new) and
    how it stands now.

    It only goes forward: pending, in transit, paid, and then failed or cancelled, which are ends. What is told of an
    earlier state is older than what we know.
    """
    made = session.scalar(
        insert(CardPayout)
        .values(
            provider_ref=told.ref, amount_ore=told.amount_ore, state="pending", arrives_on=told.arrives_on,
            made_at=told.made_at, whole=False, automatic=told.automatic, read_at=real,
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
    row.automatic = told.automatic
    if row.state not in ("failed", "canceled") and ORDER.index(told.state) >= ORDER.index(row.state):
        if (row.state == "paid") != (told.state == "paid"):
            _book(session, row, in_=told.state == "paid", now=now)
        row.state, row.arrives_on, row.read_at = told.state, told.arrives_on, real
    session.flush()
    return before, row.state


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
    payout.whole, payout.refused = bool(lines) and net == payout.amount_ore, None
    session.flush()
