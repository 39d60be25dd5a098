"""Documents behind links instead of attached: a link names a delivery, lives for a limited time, and tells when a
person has opened it.

What counts as opened is that a person pressed the button of the page behind the link (web/links.py). A GET or HEAD does
not count: mail scanners, previews and browsers that fetch ahead make those.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.customers.models import Message
from billing.delivery import tokens
from billing.delivery.mail_models import MailLink
from billing.delivery.models import Delivery
from billing.delivery.plan import fall_back
from billing.delivery.words import Link
from billing.invoices.models import Document
from config.clock import business_date, business_now, now_utc
from config.jobs import JobContext, Result
from config.rates import whole
from config.settings import Settings

PURPOSE = "mail"
PATH = "/d/"
UNOPENED = "unopened"
CHUNK = 500
LOOK_BACK = dt.timedelta(days=60)
"""What was sent longer ago is not followed: not when this is switched on, and not looked through for ever."""
BILLS = ("invoice", "card_failed", "reissued")
"""Templates that ask for money: only those are worth telling another way."""

_UNOPENED = """
    SELECT d.id FROM mail_links AS l
    JOIN deliveries AS d ON d.id = l.delivery_id
    JOIN messages AS m ON m.id = d.message_id
    JOIN documents AS doc ON doc.id = m.document_id
    JOIN claims AS c ON c.id = doc.claim_id
    WHERE l.settled_at IS NULL AND d.state = 'sent' AND d.opened_at IS NULL AND d.sent_at <= :before
      AND m.template = ANY(:bills) AND c.amount_ore > c.settled_ore
      AND NOT EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id)
    ORDER BY d.id LIMIT :limit
"""
_LONG_AGO = """
    UPDATE mail_links AS l SET settled_at = :now FROM deliveries AS d
    WHERE l.settled_at IS NULL AND d.id = l.delivery_id AND d.sent_at < :before
"""
_OPENED = """
    UPDATE deliveries SET opened_at = coalesce(opened_at, :now),
           delivered_at = CASE WHEN state IN ('sent', 'unknown') THEN :now ELSE delivered_at END,
           state = CASE WHEN state IN ('sent', 'unknown') THEN 'delivered' ELSE state END
    WHERE id = :id AND (opened_at IS NULL OR state IN ('sent', 'unknown'))
"""


@dataclass(frozen=True)
class Opening:
    """What a link opens: the document of a delivery, in the reader's language."""

    delivery_id: int
    document_id: int
    number: int
    what: str
    """invoice, receipt, credit_note"""
    language: str


def make(session: Session, settings: Settings, delivery_id: int, *, real: dt.datetime) -> Link:
    """Return a link to a delivery's document, and write down that there is one. ``real`` is real time."""
    days = settings.mail_link_days
    until = real + dt.timedelta(days=days)
    row = insert(MailLink).values(delivery_id=delivery_id, until=until)
    session.execute(row.on_conflict_do_update(index_elements=["delivery_id"], set_={"until": until}))
    token = tokens.sign(settings, PURPOSE, delivery_id, days, real=real)
    return Link(f"{settings.url}{PATH}{token}", days)


def opening(session: Session, delivery_id: int) -> Opening | None:
    """Return what the link to a delivery opens; None where the delivery never had one."""
    row = session.execute(
        select(Delivery.id, Document.id, Document.number, Document.kind, Document.due_on, Document.language)
        .join(MailLink, MailLink.delivery_id == Delivery.id)
        .join(Message, Message.id == Delivery.message_id)
        .join(Document, Document.id == Message.document_id)
        .where(Delivery.id == delivery_id)
    ).one_or_none()
    if row is None:
        return None
    delivery, document, number, kind, due_on, language = row
    what = "receipt" if kind == "invoice" and due_on is None else kind
    return Opening(delivery, document, number, what, language)


def opened(session: Session, delivery_id: int, *, now: dt.datetime) -> None:
    """Record that a person opened a delivery's document at business instant ``now``: the first time counts.

    Its mail has then surely arrived, also where its server never answered. Once the next channel was asked it stays so.
    """
    session.execute(text(_OPENED), {"id": delivery_id, "now": now})
    settle = update(MailLink).where(MailLink.delivery_id == delivery_id, MailLink.settled_at.is_(None))
    session.execute(settle.values(settled_at=now))


def find_unopened(session: Session, now: dt.datetime, limit: int = CHUNK) -> list[int]:
    """Return the deliveries whose link nobody has opened for the figure ``mail_unopened_days``, and whose invoice is
    neither paid nor replaced. Business time."""
    days = whole("mail_unopened_days", business_date(now))
    before = now - dt.timedelta(days=days)
    return list(
        session.scalars(text(_UNOPENED), {"before": before, "bills": list(BILLS), "limit": limit}),
    )


def job_unopened(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Have what nobody opened go by the next channel, if MAIL_UNOPENED says so; each in a transaction of its own."""
    del scheduled_for
    if not ctx.settings.mail_unopened:
        return {}
    followed = 0
    with ctx.sessions.begin() as session:
        now = business_now(session)
        session.execute(text(_LONG_AGO), {"now": now, "before": now - LOOK_BACK})
        waiting = find_unopened(session, now)
    for delivery_id in waiting:
        with ctx.sessions.begin() as session:
            followed += give_up_unopened(session, delivery_id, now=business_now(session), real=now_utc())
    return {"unopened": followed}


def give_up_unopened(session: Session, delivery_id: int, *, now: dt.datetime, real: dt.datetime) -> bool:
    """Mark an unopened delivery as failed, so that the next channel follows; False when it was opened meanwhile."""
    row = session.execute(
        text(
            "UPDATE deliveries SET state = 'failed', error = :why, proof = proof || jsonb_build_object("
            "'unopened_at', CAST(:at AS text)) WHERE id = :id AND state = 'sent' AND opened_at IS NULL "
            "RETURNING message_id"
        ),
        {"id": delivery_id, "why": UNOPENED, "at": now.isoformat()},
    ).one_or_none()
    if row is None:
        return False
    session.execute(update(MailLink).where(MailLink.delivery_id == delivery_id).values(settled_at=now))
    fall_back(session, row.message_id, now=now, real=real)
    return True
