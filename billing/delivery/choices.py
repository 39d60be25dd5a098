"""Why documents went by the channels they went by: reads for the support desk and the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from accounts.customers.models import Message
from billing.delivery.choice import Considered
from billing.delivery.models import ChannelChoice
from billing.invoices.models import Document

MOST = 500
"""Decisions of one document that are shown; a day of look-ups without an answer makes some twenty."""


@dataclass(frozen=True)
class Decision:
    """A decision about a message: when, why one was needed, the channel (None: not decided, or nobody is reached), what
    was considered, and when it is looked up again (real time)."""

    at: dt.datetime
    template: str
    cause: str
    channel: str | None
    considered: Sequence[Considered]
    next_at: dt.datetime | None


def of_document(session: Session, document_id: int) -> list[Decision]:
    """Return the decisions about a document's messages, in order."""
    return _read(session, _query().where(ChannelChoice.document_id == document_id))


def of_message(session: Session, message_id: int) -> list[Decision]:
    """Return the decisions about one message, in order."""
    return _read(session, _query().where(ChannelChoice.message_id == message_id))


def document_of(session: Session, agreement_id: int, number: int) -> int | None:
    """Return the id of an agreement's document."""
    query = select(Document.id).where(Document.agreement_id == agreement_id, Document.number == number)
    return session.scalar(query)


def _query() -> Select[ChannelChoice, str]:
    return (
        select(ChannelChoice, Message.template)
        .join(Message, Message.id == ChannelChoice.message_id)
        .order_by(ChannelChoice.id)
        .limit(MOST)
    )


def _read(session: Session, query: Select[ChannelChoice, str]) -> list[Decision]:
    return [
        Decision(
            row.at,
            template,
            row.cause,
            row.channel,
            [Considered(each["channel"], each["verdict"], each["why"]) for each in row.considered],
            row.next_at,
        )
        for row, template in session.execute(query)
    ]
