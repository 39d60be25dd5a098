"""Disputes read again: those that are open or were lost lately, and those of which no event told that they began."""

from __future__ import annotations

import datetime as dt
from functools import partial

from sqlalchemy import and_, or_, select

from billing.cards.dispute import apply, look, with_payment
from billing.cards.failures import Failures
from billing.cards.line import Line
from billing.cards.models import Dispute
from billing.cards.one_turn import OneTurn
from billing.cards.provider import gateway_of
from billing.invoices.seller import seller_of
from config.clock import business_now, now_utc
from config.jobs import JobContext

LOOK_BACK = dt.timedelta(days=8)
"""Real time: what no event told of is found by the list of so long; the provider tries an event for three days."""
LOST_BACK = dt.timedelta(days=120)
"""Business time: so long after a dispute was lost its money may come back without an event's having told."""


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Read disputes again that are open or were lost in the last months, and read those of the last days of which no
    event told that they began. Raises SomeFailed."""
    del scheduled_for
    gateway, seller = gateway_of(ctx.settings), seller_of(ctx.settings)
    counts: dict[str, int | str] = {"opened": 0, "won": 0, "lost": 0, "ignored": 0}
    if gateway is None:
        return counts | {"note": "no card gateway is configured"}
    if Line.of(ctx.sessions, ctx.settings).state().resting:
        return counts | {"note": "the provider is left alone for a while"}
    failures = Failures("dispute")
    turns = OneTurn.of(ctx.sessions, ctx.settings)
    told = {one.ref: one for one in turns.ask(lambda: gateway.disputes(created_after=now_utc() - LOOK_BACK))}
    with ctx.sessions() as session:
        again = or_(
            Dispute.state == "opened",
            and_(Dispute.state == "lost", Dispute.ended_at >= business_now(session) - LOST_BACK),
        )
        mine = session.execute(
            select(Dispute.provider_ref, again.label("again"))
            .where(or_(again, Dispute.provider_ref.in_(list(told))))
            .order_by(Dispute.id)
        ).all()
    opened, known = [one.provider_ref for one in mine if one.again], {one.provider_ref for one in mine}
    refs = list(dict.fromkeys([*opened, *(ref for ref in told if ref not in known)]))
    for number, ref in enumerate(refs):
        try:
            found = (
                with_payment(ctx.sessions, gateway, told[ref])
                if ref in told
                else turns.ask(partial(look, ctx.sessions, gateway, ref))
            )
            with ctx.sessions.begin() as session:
                word = apply(session, found, seller=seller, now=business_now(session))
        except Exception as error:
            failures.add(number, error)
        else:
            counts[word] = int(counts[word]) + 1
    failures.tell(len(refs))
    return counts
