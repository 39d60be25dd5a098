"""Have a customer told something: the one way to make a message."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.customers.models import Message
from config.jobs import ring


@dataclass(frozen=True)
class NewMessage:
    """What to tell the holder of an agreement. ``subject`` names the cause, ``data`` what the words need (no PII)."""

    agreement_id: int
    template: str
    subject: str
    document_id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)


def tell(session: Session, messages: Sequence[NewMessage], *, now: dt.datetime) -> None:
    """Write messages for billing.delivery to send, and ring for it, so that they go out at once.

    One that is there already (subject, template) stays as it is.
    """
    if not messages:
        return
    rows = [
        {
            "agreement_id": message.agreement_id,
            "template": message.template,
            "subject": message.subject,
            "document_id": message.document_id,
            "data": message.data,
            "made_at": now,
        }
        for message in messages
    ]
    session.execute(insert(Message).on_conflict_do_nothing(index_elements=["subject", "template"]), rows)
    ring(session, "deliveries")
