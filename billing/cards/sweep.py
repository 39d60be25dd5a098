"""Ask again about attempts whose outcome is not known.

While the provider still remembers the idempotency key, the same request is sent again: it returns the payment that
was made, or makes the one that was not. Where its answer has named a payment that could still go either way, that is
read instead, since the key only repeats the first answer; one that still waits when nobody can be working on it any
more (for a customer who is not there) is cancelled, so that it never takes the money. After that, or where the key
only repeats the provider's own failure, the payment is looked up by our metadata. An attempt that is not found never
happened once no request of ours can still be under way, which counts from when the key was last *sent* (``sent_at``,
written before it is): a request of ten minutes ago may still take the money, however old the attempt is.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing.cards import confirm, outcome
from billing.cards.charge import PUT_OFF, call
from billing.cards.failures import Failures
from billing.cards.gateway import KEY_REMEMBERED, CardGateway, GatewayMisuse, GatewayUnavailable, Outcome, Unknown
from billing.cards.lanes import Answer, Lanes
from billing.cards.line import Line
from billing.cards.models import Attempt
from billing.cards.one_turn import OneTurn
from billing.cards.outcome import Seller
from billing.cards.pace import Resting
from billing.cards.prepare import prepared
from billing.cards.provider import gateway_of
from billing.cards.steps import passed
from billing.invoices.seller import seller_of
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, ring

log = structlog.get_logger()
CHUNK = 200
ASK_AGAIN = dt.timedelta(seconds=60)
REQUEST_LIVES = dt.timedelta(hours=1)
"""No request of ours can still be under way at the provider so long after it was sent."""


def unknown(session: Session, *, asked_before: dt.datetime, after: int = 0, kind: str = "off_session") -> list[int]:
    """Return unknown attempts last asked about before a real instant, by id above ``after``."""
    return list(
        session.scalars(
            select(Attempt.id)
            .where(
                Attempt.state == "unknown",
                Attempt.kind == kind,
                Attempt.asked_at <= asked_before,
                Attempt.id > after,
            )
            .order_by(Attempt.id)
            .limit(CHUNK)
        )
    )


def ask(gateway: CardGateway, sessions: SessionFactory, attempt_id: int, *, real: dt.datetime) -> Outcome | None:
    """Ask the provider what became of an attempt, outside any transaction. None: it never happened."""
    with sessions() as session:
        attempt = session.get_one(Attempt, attempt_id)
        request = prepared(session, attempt_id).request
    if attempt.provider_ref is not None:
        return _settled(gateway, attempt.provider_ref, long=real - last_sent(attempt) >= REQUEST_LIVES)
    if not attempt.lookup and real - attempt.called_at < KEY_REMEMBERED:
        if not _sending(sessions, attempt_id, real):
            return Unknown(reason="not sent: somebody else has found out more meanwhile", sent=False)
        return call(gateway, request)
    try:
        found = gateway.find_charge(
            customer_id=request.customer_id,
            charge=request.charge,
            attempt=request.attempt,
            key=request.idempotency_key,
            created_after=attempt.called_at - dt.timedelta(hours=1),
        )
    except (GatewayUnavailable, GatewayMisuse) as error:
        down = isinstance(error, GatewayUnavailable)
        return Unknown(reason=f"look-up: {error}", same_key_helps=not attempt.lookup, answered=not down)
    if found is not None or real - last_sent(attempt) >= REQUEST_LIVES:
        return found
    return Unknown(reason="not found yet", same_key_helps=False)


def _settled(gateway: CardGateway, ref: str, *, long: bool) -> Outcome:
    """Read a payment that could go either way; one that does so for ``long`` is cancelled, where it still can be."""
    try:
        result = gateway.retrieve(ref)
        return gateway.cancel(ref) if long and isinstance(result, Unknown) and result.answered else result
    except GatewayMisuse as misuse:
        return Unknown(reason=f"read: {misuse}", ref=ref)


def _sending(sessions: SessionFactory, attempt_id: int, real: dt.datetime) -> bool:
    """Commit that an attempt's key is sent now; False where it must not be any more."""
    with sessions.begin() as session:
        return bool(
            session.scalars(
                update(Attempt)
                .where(Attempt.id == attempt_id, Attempt.state == "unknown", ~Attempt.lookup)
                .values(sent_at=func.greatest(Attempt.sent_at, real))
                .returning(Attempt.id)
            ).all()
        )


def last_sent(attempt: Attempt) -> dt.datetime:
    """Return the last real instant at which an attempt's key may have been sent; the first time it waits for a turn."""
    first = attempt.called_at + PUT_OFF
    return first if attempt.sent_at is None else max(first, attempt.sent_at)


def forget(session: Session, attempt_id: int, *, real: dt.datetime, now: dt.datetime) -> str:
    """Record that an attempt was looked up in vain, unless its key was sent again meanwhile; return how it stands."""
    outcome.lock_balances(session, [attempt_id])
    attempt = session.get_one(Attempt, attempt_id, with_for_update=True, populate_existing=True)
    if attempt.state == "unknown" and real - last_sent(attempt) >= REQUEST_LIVES:
        outcome.forget(session, attempt_id, now=now)
        session.refresh(attempt)
    return attempt.state


def sweep_one(
    sessions: SessionFactory, gateway: CardGateway, attempt_id: int, *, seller: Seller, now: dt.datetime
) -> str:
    """Ask about one attempt and record the answer. Returns succeeded, declined, unknown or nothing."""
    with sessions() as session:
        on_page = session.get_one(Attempt, attempt_id).kind == "on_session"
    if on_page:
        return confirm.sweep_one(sessions, gateway, attempt_id, seller=seller, now=now)
    result = ask(gateway, sessions, attempt_id, real=(real := now_utc()))
    with sessions() as session:
        if result is None:
            word = forget(session, attempt_id, real=real, now=now)
            ring(session, "due_charges")
        else:
            word = outcome.apply(session, attempt_id, result, seller=seller, now=now)
        session.commit()
    return word


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Ask about every attempt that has been unknown for a while."""
    del scheduled_for
    return sweep(ctx, asked_before=now_utc() - ASK_AGAIN)


def sweep(ctx: JobContext, *, asked_before: dt.datetime) -> dict[str, int | str]:
    """Ask about every unknown attempt last asked about before a real instant, at the pace that all workers share.

    It rests while the provider is left alone. Raises SomeFailed at the end, the others being asked about.
    """
    gateway = gateway_of(ctx.settings)
    counts: dict[str, int | str] = {"succeeded": 0, "declined": 0, "unknown": 0, "nothing": 0}
    if gateway is None:
        return counts
    run = Run(ctx, gateway, seller_of(ctx.settings), asked_before)
    lanes = Lanes[int](
        lanes=ctx.settings.card_concurrency,
        fill=run.fill,
        call=run.call,
        record=run.record,
        number=lambda attempt_id: attempt_id,
        failures=run.failures,
    )
    if lanes.run():
        run.pages()
    run.failures.tell(run.looked_at)
    return {**counts, **run.counts}


class Run:
    """One sweep, from the lowest id up."""

    def __init__(self, ctx: JobContext, gateway: CardGateway, seller: Seller, asked_before: dt.datetime) -> None:
        self._ctx, self._sessions, self._gateway, self._seller = ctx, ctx.sessions, gateway, seller
        self._asked_before, self._after = asked_before, 0
        self._line, self._turns = Line.of(ctx.sessions, ctx.settings), OneTurn.of(ctx.sessions, ctx.settings)
        self.counts: Counter[str] = Counter()
        self.failures = Failures("attempt")
        self.looked_at = 0

    def fill(self, most: int) -> Sequence[int]:
        """Return the next attempts; none when there are no more. Raises Resting."""
        how = self._line.state()
        if how.resting:
            raise Resting(how.resting)
        with self._sessions() as session:
            ids = unknown(session, asked_before=self._asked_before, after=self._after)[: 1 if how.probe else most]
        self._after = ids[-1] if ids else self._after
        self.looked_at += len(ids)
        return ids

    def call(self, attempt_id: int) -> Outcome | None:
        """Ask about one, in turn."""
        return self._line.ask(lambda: ask(self._gateway, self._sessions, attempt_id, real=now_utc()))

    def record(self, answers: Sequence[Answer[int]]) -> None:
        """Record what has come, in one transaction."""
        passed("collected")
        words: Counter[str] = Counter()
        with self._sessions() as session:
            now = business_now(session)
            outcome.lock_balances(session, [attempt_id for attempt_id, _ in answers])  # all at once, in their order
            known = {attempt_id: result for attempt_id, result in answers if result is not None}
            words.update(outcome.apply_some(session, known, seller=self._seller, now=now).values())
            for attempt_id, result in answers:
                if result is None:
                    words[forget(session, attempt_id, real=now_utc(), now=now)] += 1
            if words["nothing"]:
                ring(session, "due_charges")
            session.commit()
        passed("recorded")
        self.counts += words
        self._ctx.progress(self.counts.total(), max(self.looked_at, self.counts.total()))

    def pages(self) -> None:
        """Ask about the provider's pages where customers confirm, in turn; there are few of them."""
        after = 0
        while True:
            with self._sessions() as session:
                now = business_now(session)
                ids = unknown(session, asked_before=self._asked_before, after=after, kind="on_session")
            if not ids:
                return
            for attempt_id in ids:
                if self._line.state().resting:
                    return
                try:
                    word = confirm.sweep_one(
                        self._sessions, self._gateway, attempt_id, seller=self._seller, now=now, through=self._turns.ask
                    )
                except Exception as error:
                    self.failures.add(attempt_id, error)
                else:
                    self.counts[word] += 1
            self.looked_at, after = self.looked_at + len(ids), ids[-1]
