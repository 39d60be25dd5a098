"""Charge cards: fix the sums, commit attempts as unknown, call the provider, record what it said.

Each step is a transaction of its own and can be the last one before a crash (``steps`` names the points between them):

1. ``prepare_some``: charges get their claims (once) and attempts, committed as ``unknown`` with their idempotency keys.
2. ``call``: the provider is asked, outside any transaction, at the pace that all workers share.
3. ``outcome.apply_some``: what it said is recorded, once, whoever brings it.

A crash after 1 leaves unknown attempts, which ``sweep`` asks about with the same keys; there is no second attempt
while one is unknown (unique index), so the card is never charged twice. Several workers share what is due: each takes
what no other has in hand. Where there is more than one can do in a moment, a bell calls another worker.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from billing.cards import outcome
from billing.cards.failures import Failures
from billing.cards.gateway import CardGateway, ChargeRequest, GatewayMisuse, Outcome, Unknown
from billing.cards.lanes import Answer, Lanes
from billing.cards.line import Line
from billing.cards.models import Attempt, Charge
from billing.cards.outcome import Seller
from billing.cards.pace import Resting
from billing.cards.prepare import Prepared, pick, prepare, prepare_some, prepared
from billing.cards.provider import gateway_of
from billing.cards.steps import passed
from billing.invoices.seller import seller_of
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, ring

__all__ = ["Prepared", "call", "charge_one", "job", "prepare", "prepare_some", "prepared", "waiting"]

log = structlog.get_logger()
CHUNK = 200
TELL_SECONDS = 2.0
"""How often a long run says how far it is."""
PUT_OFF = dt.timedelta(minutes=20)
BESIDE = "due_charges_beside"
"""The bell of a second worker; whoever answers it does the same as the first."""


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
    return list(session.scalars(_waiting(now).where(Charge.id > after).order_by(Charge.id).limit(CHUNK)))


def _waiting(now: dt.datetime) -> Select[int]:
    unknown = select(Attempt.id).where(Attempt.charge_id == Charge.id, Attempt.state == "unknown").exists()
    return select(Charge.id).where(Charge.state.in_(("due", "claimed")), Charge.next_at <= now, ~unknown)


def _left(session: Session, now: dt.datetime) -> int:
    return session.scalars(select(func.count()).select_from(_waiting(now).subquery())).one()


class Run:
    """One worker's part of charging what is due, from the lowest id up."""

    def __init__(self, ctx: JobContext, gateway: CardGateway, seller: Seller) -> None:
        self._ctx, self._sessions, self._gateway, self._seller = ctx, ctx.sessions, gateway, seller
        self._line = Line.of(ctx.sessions, ctx.settings)
        self._after = self._total = 0
        self._told = time.monotonic()
        self.counts = {"succeeded": 0, "declined": 0, "unknown": 0, "skipped": 0}
        self.failures = Failures("charge")
        self.looked_at = 0

    def go(self) -> bool:
        """Charge until nothing waits; False when the provider is left alone for now."""
        with self._sessions.begin() as session:
            self._total = _left(session, business_now(session))
            if self._total > 2 * self._ctx.settings.card_concurrency and self._ctx.name != BESIDE:
                ring(session, BESIDE)
        lanes = Lanes[Prepared](
            lanes=self._ctx.settings.card_concurrency,
            fill=self.fill,
            call=lambda ready: self._line.ask(lambda: self._call(ready)),
            record=self.record,
            number=lambda ready: int(ready.request.charge),
            failures=self.failures,
        )
        return lanes.run()

    def fill(self, most: int) -> Sequence[Prepared]:
        """Prepare the next charges, committed; none when there are no more. Raises Resting."""
        while True:
            how = self._line.state()
            if how.resting:
                raise Resting(how.resting)
            ids, ready = self._prepare(1 if how.probe else most)
            if ready or not ids:
                return ready

    def _prepare(self, most: int) -> tuple[list[int], list[Prepared]]:
        """Take the next charges and prepare them in one transaction; if one spoils it, each in its own."""
        with self._sessions() as session:
            now = business_now(session)
            ids = pick(session, now=now, after=self._after, limit=most)
            if not ids:
                return [], []
            try:
                ready = prepare_some(session, ids, seller=self._seller, now=now, real=now_utc())
                session.commit()
            except Exception:
                session.rollback()
                ready = self._one_by_one(ids, now)
        passed("prepared")
        self._after = ids[-1]
        self.looked_at += len(ids)
        self.counts["skipped"] += len(ids) - len(ready)
        return ids, ready

    def _one_by_one(self, ids: Sequence[int], now: dt.datetime) -> list[Prepared]:
        ready = []
        for charge_id in ids:
            try:
                with self._sessions() as session:
                    one = prepare_some(session, [charge_id], seller=self._seller, now=now, real=now_utc())
                    session.commit()
            except Exception as error:
                self.failures.add(charge_id, error)
                self.counts["skipped"] -= 1  # it is counted among those that failed
            else:
                ready += one
        return ready

    def _call(self, ready: Prepared) -> Outcome:
        """Ask the provider, unless that was put off so long (a machine that slept) that others may think it never will
        be: the sweep, which knows what the provider remembers, asks then. Nor where the card was removed meanwhile."""
        if now_utc() - ready.called_at > PUT_OFF:
            return Unknown(reason="not sent: it waited too long for its turn", sent=False)
        with self._sessions() as session:
            lookup = session.scalars(select(Attempt.lookup).where(Attempt.id == ready.attempt_id)).one()
        if lookup:
            return Unknown(reason="not sent: the card was removed while it waited for its turn", sent=False)
        return call(self._gateway, ready.request)

    def record(self, answers: Sequence[Answer[Prepared]]) -> None:
        """Record what has come, in one transaction."""
        passed("collected")
        results = {ready.attempt_id: result for ready, result in answers if result is not None}
        with self._sessions() as session:
            words = outcome.apply_some(session, results, seller=self._seller, now=business_now(session))
            session.commit()
        passed("recorded")
        for word in words.values():
            self.counts[word] = self.counts.get(word, 0) + 1
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            self._progress()

    def _progress(self) -> None:
        """Say how far all workers together are."""
        with self._sessions.begin() as session:
            left = _left(session, business_now(session))
        self._total = max(self._total, left)
        self._ctx.progress(self._total - left, self._total)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Charge every card that is due (doorbell and schedule). Raises SomeFailed at the end, the others being charged."""
    del scheduled_for
    gateway = gateway_of(ctx.settings)
    if gateway is None:
        none: dict[str, int | str] = {"succeeded": 0, "declined": 0, "unknown": 0, "skipped": 0}
        return none | {"note": "no card gateway is configured"}
    run = Run(ctx, gateway, seller_of(ctx.settings))
    whole = run.go()
    run.failures.tell(run.looked_at)
    return run.counts | ({} if whole else {"note": "the card gateway does not answer; it is tried again by itself"})
