"""Have the provider make refunds: committed as `unknown` before the call, asked about until it is known, applied once.

The steps are those of a charge (`charge`, `sweep`), each a transaction of its own that can be the last before a crash:

1. ``prepare``: an approved refund becomes ``unknown``, with its idempotency key.
2. ``ask``: the provider is called, outside any transaction; with the same key while it remembers that (``sent_at`` is
   committed before each time), by its own reference once it has told one, else by our metadata.
3. ``apply``: what it said is recorded once, whoever brings it.

A refund that certainly never happened is approved still, and called for anew with another key: one that is not found
once no request can be under way any more, counted from when its key was last sent. One that the provider has refused
in words that we do not know waits for a person again then, who stops it or has it tried once more.

Nothing is sent while a bank disputes the payment, or when it does not hold the sum any more: what is not called for yet
is cancelled, what may be under way is looked up from then on. Money that went all the same is kept (``refund_late``).
"""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards import refund_late
from billing.cards.failures import Failures
from billing.cards.gateway import (
    KEY_REMEMBERED,
    CardGateway,
    Declined,
    GatewayMisuse,
    GatewayUnavailable,
    Outcome,
    Succeeded,
    Unknown,
)
from billing.cards.line import Line
from billing.cards.models import Attempt, Refund
from billing.cards.pace import Resting
from billing.cards.provider import gateway_of
from billing.cards.refund import BELL, GATEWAY, come_back, fail, locked, may_go, succeed
from billing.cards.sweep import ASK_AGAIN, REQUEST_LIVES
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, ring

log = structlog.get_logger()
CHUNK = 100
RESTS = "the provider is left alone for a while"
REFUSED = "refused: "
"""How the reason of an unknown outcome begins that is a refusal in words we do not know."""
OURS = "not_allowed"
"""The code of a refusal that our settings are to blame for: mended, the same request goes through."""


@dataclass(frozen=True)
class Ready:
    """A refund that is committed as unknown, and what is asked for: of which payment, how much, under which key.

    ``provider_ref``: the refund at the provider, once it has told of it; ``lookup``: the key must not be repeated.
    """

    refund_id: int
    payment: str
    amount_ore: int
    key: str
    called_at: dt.datetime
    provider_ref: str | None = None
    lookup: bool = False
    sent_at: dt.datetime | None = None

    @property
    def last_sent(self) -> dt.datetime:
        """The last real instant at which the key may have been sent."""
        return max(self.called_at, self.sent_at or self.called_at)


def prepare(session: Session, refund_id: int, *, now: dt.datetime, real: dt.datetime) -> Ready | None:
    """Write that a refund is being called for. None where it is not approved, or called for already, or must not go any
    more: then it is cancelled."""
    row = locked(session, refund_id)
    if row.state != "approved":
        return None
    if not may_go(session, row):
        come_back(session, row, "cancelled", GATEWAY, now)
        log.warning("card_refund_cancelled", refund=row.id, reason="its payment is disputed, or holds less")
        return None
    row.code = None
    row.state, row.called_at, row.asked_at, row.sent_at, row.lookup = "unknown", real, real, None, False
    row.idempotency_key = f"brikke-refund-{row.id}-{secrets.token_hex(8)}"
    session.flush()
    return _ready(session, row)


def _ready(session: Session, row: Refund) -> Ready:
    attempt = session.get_one(Attempt, row.attempt_id)
    assert attempt.provider_ref is not None, f"attempt {attempt.id} has succeeded without a reference"
    assert row.idempotency_key is not None, f"refund {row.id} is called for without a key"
    assert row.called_at is not None, f"refund {row.id} is called for at no time"
    return Ready(
        row.id, attempt.provider_ref, row.amount_ore, row.idempotency_key, row.called_at, row.provider_ref, row.lookup,
        row.sent_at,
    )  # fmt: skip


def call(gateway: CardGateway, ready: Ready) -> Outcome:
    """Ask the provider to give the money back. What it will never accept leaves the refund unknown: our mistake."""
    try:
        return gateway.refund(
            ref=ready.payment, amount_ore=ready.amount_ore, idempotency_key=ready.key, refund=str(ready.refund_id)
        )
    except GatewayMisuse as misuse:
        log.error("card_refund_misuse", refund=ready.refund_id, code=misuse.code, error=str(misuse))
        reason = f"{REFUSED}{misuse.code or misuse}"
        return Unknown(reason=reason, same_key_helps=misuse.code == OURS)


def send(sessions: SessionFactory, gateway: CardGateway, ready: Ready) -> Outcome:
    """Commit that the key is sent now, and send it; not where somebody else has found out more meanwhile."""
    with sessions.begin() as session:
        row = locked(session, ready.refund_id)
        same = row.state == "unknown" and row.idempotency_key == ready.key
        if not same or row.lookup or row.provider_ref is not None:
            return Unknown(reason="not sent: somebody else has found out more meanwhile", sent=False)
        if not may_go(session, row):
            return Unknown(reason="not sent: the payment is disputed, or holds less", sent=False, same_key_helps=False)
        row.sent_at = now_utc()
    return call(gateway, ready)


def ask(sessions: SessionFactory, gateway: CardGateway, ready: Ready, *, real: dt.datetime) -> Outcome | None:
    """Ask the provider what became of a refund. None: it certainly never happened."""
    if ready.provider_ref is None and not ready.lookup and real - ready.called_at < KEY_REMEMBERED:
        return send(sessions, gateway, ready)
    try:
        if ready.provider_ref is not None:
            return gateway.retrieve(ready.provider_ref)
        found = gateway.find_refund(
            ref=ready.payment, refund=str(ready.refund_id), created_after=ready.called_at - dt.timedelta(hours=1)
        )
    except (GatewayUnavailable, GatewayMisuse) as error:
        return Unknown(reason=f"look-up: {error}", same_key_helps=not ready.lookup)
    if found is not None or real - ready.last_sent >= REQUEST_LIVES:
        return found
    return Unknown(reason="not found yet", same_key_helps=False)


def apply(session: Session, refund_id: int, result: Outcome, *, now: dt.datetime) -> str:
    """Record what the provider said of a refund and carry it through to ledger, credit and customer.

    Returns succeeded, failed or unknown (or requested, approved, cancelled); what is recorded already changes nothing.
    The provider may tell that one failed after it had succeeded, never the other way round. Money that went although
    the refund had ended, or under another reference than it succeeded with, is kept beside it; what failed under
    another reference changes nothing. Raises AssertionError for another sum than was asked for.
    """
    row = locked(session, refund_id)
    if isinstance(result, Succeeded | Declined):
        row = refund_late.of_reference(session, row, result.ref)
    if isinstance(result, Succeeded):
        if row.provider_ref == result.ref and row.state == "succeeded":
            return row.state
        if result.amount_ore != row.amount_ore or (row.state == "failed" and row.provider_ref == result.ref):
            raise AssertionError(
                f"refund {row.id} of {row.amount_ore} øre ({row.state}): {result.amount_ore} were given"
            )
        if row.state in ("succeeded", "failed", "cancelled"):
            return refund_late.keep(session, row, result.ref, result.amount_ore, now).state
        if row.called_at is None:
            # Called for before, not found then, and made after all: it must not be called for again.
            row.called_at = row.asked_at = now_utc()
        succeed(session, row, result.ref, now)
    elif isinstance(result, Declined):
        if _is_of(row, result):
            fail(session, row, result.ref, result.code, result.message, now)
    elif row.state == "unknown":
        _still_unknown(row, result)
    session.flush()
    return row.state


def _is_of(row: Refund, result: Declined) -> bool:
    """Say whether a failure is of the refund as it stands: not of an older try of it, nor of a request that made none
    after one had been made."""
    if row.state == "succeeded":
        return result.ref == row.provider_ref
    return row.state == "unknown" and row.provider_ref in (None, result.ref)


def _still_unknown(row: Refund, result: Outcome) -> None:
    row.asked_at = now_utc()
    if isinstance(result, Unknown):
        row.message = result.reason
        if result.reason.startswith(REFUSED) and not result.same_key_helps:
            row.code = result.reason.removeprefix(REFUSED)
        row.provider_ref = row.provider_ref or result.ref
        row.lookup = row.lookup or not result.same_key_helps
    else:
        row.message = "rate limited: asked again with the same key"


def forget(session: Session, refund_id: int, *, real: dt.datetime) -> str:
    """Record that a call was looked up in vain, unless the key was sent again meanwhile; return how the refund stands.

    It is approved still then, and called for anew; or waits for a person (requested) where the provider had refused it.
    """
    row = locked(session, refund_id)
    if row.state == "unknown" and row.provider_ref is None and real - _ready(session, row).last_sent >= REQUEST_LIVES:
        row.state, row.idempotency_key, row.called_at, row.asked_at, row.lookup = "approved", None, None, None, False
        row.sent_at, row.message = None, "not made: called for anew"
        if row.code is not None:
            row.state, row.approved_by, row.approved_at = "requested", None, None
            row.message = f"{REFUSED}{row.code}; not made"
        session.flush()
        if row.state == "approved":
            ring(session, BELL)
    return row.state


Asking = Callable[[], Outcome | None]
Through = Callable[[Asking], Outcome | None]
"""How the provider is asked: at once, or at the pace that all workers share (``Line.ask``)."""


def _at_once(asking: Asking) -> Outcome | None:
    return asking()


def refund_one(
    sessions: SessionFactory, gateway: CardGateway, refund_id: int, *, now: dt.datetime, through: Through = _at_once
) -> str:
    """Call for one approved refund and record the answer. Returns skipped, succeeded, failed or unknown."""
    with sessions() as session:
        ready = prepare(session, refund_id, now=now, real=now_utc())
        session.commit()
    if ready is None:
        return "skipped"
    return _record(sessions, refund_id, through(lambda: send(sessions, gateway, ready)), now=now)


def sweep_one(
    sessions: SessionFactory, gateway: CardGateway, refund_id: int, *, now: dt.datetime, through: Through = _at_once
) -> str:
    """Ask about one unknown refund and record the answer. Returns skipped, succeeded, failed, unknown or approved."""
    with sessions() as session:
        row = session.get_one(Refund, refund_id)
        if row.state != "unknown":
            return "skipped"
        ready = _ready(session, row)
    return _record(sessions, refund_id, through(lambda: ask(sessions, gateway, ready, real=now_utc())), now=now)


def _record(sessions: SessionFactory, refund_id: int, result: Outcome | None, *, now: dt.datetime) -> str:
    with sessions() as session:
        if result is None:
            word = forget(session, refund_id, real=now_utc())
        else:
            word = apply(session, refund_id, result, now=now)
        session.commit()
    return word


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Call for every refund that is approved (doorbell and schedule). Raises SomeFailed at the end."""
    del scheduled_for
    return _each(ctx, asked_before=None)


def job_sweep(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Ask about every refund that has been unknown for a while. Raises SomeFailed at the end."""
    del scheduled_for
    return _each(ctx, asked_before=now_utc() - ASK_AGAIN)


def _each(ctx: JobContext, *, asked_before: dt.datetime | None) -> dict[str, int | str]:
    """Call for what is approved, or ask about what is unknown since a real instant, one after the other.

    While the provider is left alone (``pace``) nothing is begun; one that was is unknown, and swept later.
    """
    gateway, line = gateway_of(ctx.settings), Line.of(ctx.sessions, ctx.settings)
    counts: dict[str, int | str] = {"succeeded": 0, "failed": 0, "unknown": 0}
    if gateway is None:
        return counts | {"note": "no card gateway is configured"}
    if line.state().resting:
        return counts | {"note": RESTS}
    failures, looked_at, after = Failures("refund"), 0, 0
    state = Refund.state == "approved"
    if asked_before is not None:
        state = (Refund.state == "unknown") & (Refund.asked_at <= asked_before)
    one = refund_one if asked_before is None else sweep_one
    while True:
        with ctx.sessions() as session:
            now = business_now(session)
            ids = session.scalars(
                select(Refund.id).where(state, Refund.id > after).order_by(Refund.id).limit(CHUNK)
            ).all()
        if not ids:
            failures.tell(looked_at)
            return counts
        for refund_id in ids:
            try:
                word = one(ctx.sessions, gateway, refund_id, now=now, through=line.ask)
            except Resting:
                failures.tell(looked_at)
                return counts | {"note": RESTS}
            except Exception as error:
                failures.add(refund_id, error)
            else:
                counts[word] = int(counts.get(word, 0)) + 1
        looked_at, after = looked_at + len(ids), ids[-1]
