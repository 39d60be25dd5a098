"""The reminder before the due date: an invoice still open some days before it is due is told of, once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from config.clock import business_date, business_now
from config.jobs import JobContext
from config.rates import whole

CHUNK = 1000

# Today and the days left out when nobody ran are included: a reminder is better late than never, but not past due.
_FIND = """
    SELECT d.id, d.agreement_id, d.number, d.kid, d.due_on, c.amount_ore - c.settled_ore AS open_ore
    FROM documents AS d
    JOIN claims AS c ON c.id = d.claim_id
    WHERE d.due_on BETWEEN :today AND :through AND d.issued_on < :today AND d.kind = 'invoice' AND d.id > :after
      AND c.amount_ore - c.settled_ore >= :least
      AND NOT EXISTS (SELECT FROM documents AS n WHERE n.credits_id = d.id)
      AND NOT EXISTS (SELECT FROM messages AS m WHERE m.subject = 'document:' || d.id AND m.template = 'reminder')
    ORDER BY d.id LIMIT :chunk
"""


@dataclass(frozen=True)
class Reminded:
    """How many were reminded, and the last document looked at (None: there were no more)."""

    count: int
    last_document_id: int | None


def step(session: Session, after: int, today: dt.date, now: dt.datetime) -> Reminded:
    """Write reminders for the next chunk of invoices due within the figure's days, open by more than the remainder."""
    rows = session.execute(
        text(_FIND),
        {
            "today": today,
            "through": today + dt.timedelta(days=whole("reminder_days_before_due", today)),
            "least": max(whole("overdue_remainder_ore", today), 1),
            "after": after,
            "chunk": CHUNK,
        },
    ).all()
    messages = [
        NewMessage(
            row.agreement_id,
            "reminder",
            f"document:{row.id}",
            row.id,
            {"invoice": row.number, "kid": row.kid, "open_ore": row.open_ore, "due_on": row.due_on.isoformat()},
        )
        for row in rows
    ]
    tell(session, messages, now=now)
    return Reminded(len(rows), rows[-1].id if rows else None)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Remind of every invoice that is soon due and not paid; once each, however often this runs."""
    after, count = 0, 0
    while True:
        with ctx.sessions.begin() as session:
            now = business_now(session)
            done = step(session, after, business_date(now), now)
        if done.last_document_id is None:
            return {"reminded": count}
        after, count = done.last_document_id, count + done.count
