"""Send again what a customer did not get, or has lost: what support does while the customer is on the telephone."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.customers.models import Message
from accounts.customers.tell import NewMessage, tell
from billing.delivery.models import LIVE, Delivery
from config.jobs import ring
from config.problems import Conflict, NotFound

SUBJECT = "again:"
"""What the cause of a repeat begins with; the delivery's id follows. So a delivery is sent again once, its repeat once,
and so on."""

# Where another way presents the document by now, this one goes as a copy. Should it fail again, that is followed again.
_QUEUE = """
    UPDATE deliveries AS d SET state = 'queued', attempts = 0, unanswered = 0, next_at = :real, error = NULL,
           followed_at = NULL, presents = d.presents AND NOT EXISTS (
               SELECT FROM deliveries AS o
               WHERE o.document_id = d.document_id AND o.id <> d.id AND o.presents AND o.state = ANY(:live))
    WHERE d.id = :id
"""


def send_again(session: Session, agreement_id: int, delivery_id: int, *, now: dt.datetime, real: dt.datetime) -> bool:
    """Have a delivery of an agreement sent once more, to the address the customer has now.

    One that was given up goes again as it is and keeps its Message-ID: it is the same mail. One that was sent is
    told anew, as a message and a mail of their own, so that what was sent when stays known, and mail programs
    do not hide it as one they have. ``now`` is business time, ``real`` real time.

    Returns whether there is a new try: False for one that waits to be sent, or has been sent again already.
    Raises NotFound; Conflict for what was dropped because it was no longer true.
    """
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.agreement_id == agreement_id)
    delivery = session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if delivery is None:
        raise NotFound("There is no such delivery.")
    if delivery.state == "dropped":
        raise Conflict("It was not sent because it is no longer true.", slug="no-longer-true")
    if delivery.state == "failed":
        _queue(session, delivery_id, real)
        return True
    return delivery.state in ("sent", "delivered") and _tell_anew(session, delivery, now)


def _queue(session: Session, delivery_id: int, real: dt.datetime) -> None:
    session.execute(text(_QUEUE), {"id": delivery_id, "real": real, "live": list(LIVE)})
    ring(session, "deliveries")


def _tell_anew(session: Session, delivery: Delivery, now: dt.datetime) -> bool:
    """Tell what a delivery told, which is locked; return whether that had not been done."""
    first = session.get_one(Message, delivery.message_id)
    subject = f"{SUBJECT}{delivery.id}"
    if session.scalar(select(Message.id).where(Message.subject == subject, Message.template == first.template)):
        return False
    tell(
        session,
        [NewMessage(first.agreement_id, first.template, subject, first.document_id, dict(first.data))],
        now=now,
    )
    return True
