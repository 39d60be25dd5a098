"""Tell who pays by a card that it expires soon, in time to register another."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers.tell import NewMessage, tell
from billing.cards.card_rules import last_day, tell_of_expiry
from billing.cards.models import Card
from config.clock import business_date, business_now
from config.jobs import JobContext
from config.rates import whole

CHUNK = 500


def step(session: Session, after: int, *, now: dt.datetime) -> tuple[int, int | None]:
    """Tell the holders of the next cards that expire, above card id ``after``: once a card and expiry.

    Only of the card that is charged, on agreements that pay by card and go on. Returns how many were told, and the last
    card looked at (None: there were no more).
    """
    today = business_date(now)
    days = whole("card_expiry_notice_days", today)
    months = sorted({(day.year, day.month) for day in (today + dt.timedelta(days=ahead) for ahead in range(days + 1))})
    cards = session.scalars(
        select(Card)
        .join(Agreement, Agreement.id == Card.agreement_id)
        .where(
            Card.id > after,
            Card.is_default,
            Card.removed_at.is_(None),
            Card.refused_code.is_(None),
            or_(*((Card.exp_year == year) & (Card.exp_month == month) for year, month in months)),
            Agreement.payment_method == "card",
            Agreement.standing != "closed",
            Agreement.closed_at.is_(None),
        )
        .order_by(Card.id)
        .limit(CHUNK)
    ).all()
    told = [
        NewMessage(
            card.agreement_id,
            "card_expiring",
            f"card:{card.id}:{card.exp_year}-{card.exp_month:02d}",
            data={"facts": {"expires_on": last_day(card.exp_month, card.exp_year).isoformat()}},
        )
        for card in cards
        if tell_of_expiry(card.exp_month, card.exp_year, today=today, notice_days=days)
    ]
    tell(session, told, now=now)
    return len(told), cards[-1].id if cards else None


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Daily: tell of every card that expires within the figure's days; who has been told is not told again."""
    del scheduled_for  # a day that was missed is made good by today
    after = told = 0
    while True:
        with ctx.sessions.begin() as session:
            count, last = step(session, after, now=business_now(session))
        if last is None:
            return {"told": told}
        after, told = last, told + count
