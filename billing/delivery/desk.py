"""What was told to a customer and how it was sent, as the support desk shows it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, String, cast, exists, func, literal, select
from sqlalchemy.orm import Session, aliased

from accounts.customers.models import Message
from billing.delivery.again import SUBJECT
from billing.delivery.models import Delivery
from billing.invoices.models import Document
from config.http import Page, paged
from config.problems import NotFound

TROUBLED = ("failed", "unknown")


@dataclass(frozen=True)
class Told:
    """A message and its delivery by one channel.

    ``delivery_id`` and what belongs to it is None while nobody has planned it, or where there was no channel; then
    ``planned`` tells which. ``invoice`` is the number of the document it carries.
    """

    message_id: int
    agreement_id: int
    template: str
    made_at: dt.datetime
    planned: bool
    invoice: int | None
    delivery_id: int | None
    channel: str | None
    recipient: str | None
    state: str | None
    attempts: int | None
    error: str | None
    sent_at: dt.datetime | None
    rfc_message_id: str | None
    repeated: bool
    """Whether support had it sent again, as a message of its own."""

    @property
    def repeatable(self) -> bool:
        """Whether support may have it sent again (billing.delivery.again)."""
        return self.state == "failed" or (self.state in ("sent", "delivered") and not self.repeated)

    @property
    def at(self) -> dt.datetime:
        """When it was sent, else when it was written."""
        return self.sent_at or self.made_at


def _rows() -> Select[Any]:
    repeat = aliased(Message)
    subject = literal(SUBJECT).concat(cast(Delivery.id, String))
    columns: list[Any] = [
        Message.id.label("message_id"),
        Message.agreement_id,
        Message.template,
        Message.made_at,
        Message.planned_at.is_not(None),
        Document.number,
        Delivery.id.label("delivery_id"),
        Delivery.channel,
        Delivery.recipient,
        Delivery.state,
        Delivery.attempts,
        Delivery.error,
        Delivery.sent_at,
        Delivery.rfc_message_id,
        exists().where(repeat.subject == subject, repeat.template == Message.template).label("repeated"),
    ]
    return (
        select(*columns)
        .outerjoin(Delivery, Delivery.message_id == Message.id)
        .outerjoin(Document, Document.id == Message.document_id)
    )


def told(session: Session, agreement_id: int, limit: int) -> list[Told]:
    """Return what the holder of an agreement was told last, newest first."""
    query = _rows().where(Message.agreement_id == agreement_id)
    return [Told(*row) for row in session.execute(query.order_by(Message.id.desc(), Delivery.id.desc()).limit(limit))]


def one(session: Session, delivery_id: int) -> Told:
    """Return one delivery. Raises NotFound."""
    row = session.execute(_rows().where(Delivery.id == delivery_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such delivery.")
    return Told(*row)


def of_agreement(session: Session, agreement_id: int, *, after: str | None, limit: int) -> Page:
    """Return the deliveries to the holder of an agreement, the last first, a keyset page of ``Told``."""
    query = _rows().add_columns(Delivery.id.label("id")).where(Delivery.agreement_id == agreement_id)
    page = paged(session, query, [Delivery.id], after=after, limit=limit, descending=True)
    return Page([Told(*row[:-1]) for row in page.items], page.next)


def count_troubled(session: Session) -> int:
    """Count the deliveries that were given up or got no answer."""
    return session.execute(select(func.count()).where(Delivery.state.in_(TROUBLED))).scalar_one()


def troubled(session: Session, *, after: str | None, limit: int) -> Page:
    """Return the deliveries that were given up or got no answer, the last first, a keyset page of ``Told``."""
    query = _rows().add_columns(Delivery.id.label("id")).where(Delivery.state.in_(TROUBLED))
    page = paged(session, query, [Delivery.id], after=after, limit=limit, descending=True)
    return Page([Told(*row[:-1]) for row in page.items], page.next)


def deliveries(session: Session, *, after: str | None, limit: int) -> Page:
    """Return all deliveries, the last first, a keyset page of ``Told``."""
    page = paged(
        session, _rows().add_columns(Delivery.id.label("id")).where(Delivery.id.is_not(None)), [Delivery.id],
        after=after, limit=limit, descending=True,
    )  # fmt: skip
    return Page([Told(*row[:-1]) for row in page.items], page.next)
