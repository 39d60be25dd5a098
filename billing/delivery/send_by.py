"""Send a document by another channel: what support chooses for one sending."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers import ways as choosable
from accounts.customers.channel import mandates_of
from accounts.customers.models import Customer, Message
from accounts.customers.tell import NewMessage, tell
from billing.delivery import ways
from billing.delivery.again import SUBJECT
from billing.delivery.models import ChannelChoice, Delivery
from billing.delivery.readers import DOCUMENTS
from billing.invoices.extend import extend
from billing.invoices.rules import due_date
from config.clock import business_date
from config.jobs import ring
from config.problems import Conflict, Invalid, NotFound
from config.rates import whole

WISH = "agent_chose"


def send_by(
    session: Session, agreement_id: int, delivery_id: int, channel: str, *, now: dt.datetime, real: dt.datetime
) -> bool:
    """Have a document that a delivery carried, or was to carry, go by another channel first, as support chooses.

    It goes as a message of its own that is looked up and presented as any other: what presents the document now is
    taken back first, and where the channel does not reach the customer the next one follows. That it was chosen is the
    first row of the message's choices. One that had failed leaves the customer an ordinary term, as a fall-back does.
    ``now`` is business time, ``real`` real time.

    Returns False where that was done already. Raises NotFound; Invalid for a channel that is not for this customer;
    Conflict for what was dropped (``no-longer-true``), what is no document (``no-document``), what the channel does not
    carry (``not-carried``), and AvtaleGiro without a mandate (``avtalegiro-at-your-bank``).
    """
    query = select(Delivery).where(Delivery.id == delivery_id, Delivery.agreement_id == agreement_id)
    delivery = session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if delivery is None:
        raise NotFound("There is no such delivery.")
    if delivery.state == "dropped":
        raise Conflict("It was not sent because it is no longer true.", slug="no-longer-true")
    first = session.get_one(Message, delivery.message_id)
    _check(session, first, channel)
    subject = f"{SUBJECT}{delivery.id}:{channel}"
    made = select(Message.id).where(Message.subject == subject, Message.template == first.template)
    if session.scalar(made) is not None:
        return False
    tell(session, [NewMessage(agreement_id, first.template, subject, first.document_id, dict(first.data))], now=now)
    wish = [{"channel": channel, "verdict": "passed", "why": WISH}]
    session.execute(
        insert(ChannelChoice).values(
            message_id=session.scalars(made).one(), ordinal=1, agreement_id=agreement_id, at=now, cause="agent",
            document_id=first.document_id, channel=None, considered=wish, next_at=real,
        )
    )  # fmt: skip
    _instead(session, first.id, now)
    if delivery.state == "failed" and delivery.presents and first.document_id is not None:
        today = business_date(now)
        soonest = due_date(today, whole("fallback_term_days", today))
        extend(session, first.document_id, soonest, reason="fallback", actor="delivery", now=now)
    ring(session, "deliveries")
    return True


def possible(kind: str, template: str) -> tuple[str, ...]:
    """Return the channels that can carry a message to a customer of a kind; none where it is no document."""
    what = DOCUMENTS.get(template)
    if what is None:
        return ()
    return tuple(one.name for one in ways.TABLE if kind in one.for_ and what in one.carries)


def _check(session: Session, message: Message, channel: str) -> None:
    if message.template not in DOCUMENTS or message.document_id is None:
        raise Conflict("It carries no document, so it goes by e-mail only.", slug="no-document")
    query = select(Customer).join(Agreement, Agreement.customer_id == Customer.id)
    customer = session.scalars(query.where(Agreement.id == message.agreement_id)).one()
    if channel not in ways.BY_NAME or channel not in choosable.choices(customer.kind):
        wrong = {"field": "channel", "code": "not_for_kind", "message": f"is not for a {customer.kind} customer"}
        raise Invalid("The channel is not for this customer.", errors=[wrong])
    if channel not in possible(customer.kind, message.template):
        raise Conflict("That channel carries invoices only.", slug="not-carried")
    if channel != choosable.BANKS_OWN:
        return
    if all(one.agreement_id != message.agreement_id for one, _ in mandates_of(session, customer.id)):
        raise Conflict(
            "AvtaleGiro is set up by the payer in their own online bank, and no mandate stands on this agreement.",
            slug="avtalegiro-at-your-bank",
        )


def _instead(session: Session, message_id: int, now: dt.datetime) -> None:
    """Let the message before find no other way of its own beside this."""
    session.execute(
        update(Message).where(Message.id == message_id, Message.planned_at.is_(None)).values(planned_at=now)
    )
    session.execute(
        update(Delivery)
        .where(Delivery.message_id == message_id, Delivery.state == "failed", Delivery.followed_at.is_(None))
        .values(followed_at=now)
    )
