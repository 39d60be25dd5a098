"""Have the provider forget cards that their holders have removed, also where it could not be done at once.

Not while nobody knows what became of an attempt on one (``queries.forgettable``); and a provider that did not answer
is asked again. What it has forgotten already is no mistake to ask for.
"""

from __future__ import annotations

import datetime as dt
from functools import partial

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from billing.cards.gateway import GatewayMisuse, GatewayUnavailable
from billing.cards.models import Attempt, Card
from billing.cards.one_turn import OneTurn
from billing.cards.provider import gateway_of
from billing.cards.queries import forgettable
from config.clock import business_now
from config.jobs import JobContext
from config.models import JobOccurrence

JOB = "cards_forgotten"
LOOK_BACK = dt.timedelta(days=2)
"""How long a card that was removed, or whose last attempt has ended, is asked about: the job runs daily."""
AT_MOST = dt.timedelta(days=60)
"""How long it is while the job does not run, or the provider does not answer for all of them."""


def waiting(session: Session, *, now: dt.datetime) -> list[str]:
    """Return the provider's ids of cards it may forget: of those removed lately, or whose attempt has ended lately."""
    since = max((_all_answered(session, now) or now - AT_MOST) - LOOK_BACK, now - AT_MOST)
    ended = select(Attempt.card_id).where(Attempt.ended_at >= since)
    cards = session.scalars(
        select(Card)
        .where(Card.removed_at.is_not(None), or_(Card.removed_at >= since, Card.id.in_(ended)))
        .order_by(Card.id)
    ).all()
    return forgettable(session, cards)


def _all_answered(session: Session, now: dt.datetime) -> dt.datetime | None:
    """Return when the job was last due for which the provider then answered for every card, or None."""
    return session.scalar(
        select(func.max(JobOccurrence.scheduled_for)).where(
            JobOccurrence.job == JOB,
            JobOccurrence.scheduled_for <= now,
            JobOccurrence.state == "done",
            JobOccurrence.result["unanswered"].astext == "0",
            JobOccurrence.result["note"].astext.is_(None),
        )
    )


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Daily: have the provider forget them. Again does nothing; one that it does not answer for is asked tomorrow."""
    del scheduled_for
    gateway = gateway_of(ctx.settings)
    counts: dict[str, int | str] = {"forgotten": 0, "unanswered": 0}
    if gateway is None:
        return counts | {"note": "no card gateway is configured"}
    with ctx.sessions() as session:
        found = waiting(session, now=business_now(session))
    turns, forgotten, unanswered = OneTurn.of(ctx.sessions, ctx.settings), 0, 0
    for payment_method in found:
        try:
            turns.ask(partial(gateway.detach, payment_method))
        except (GatewayUnavailable, GatewayMisuse):
            unanswered += 1
        else:
            forgotten += 1
    return {"forgotten": forgotten, "unanswered": unanswered}
