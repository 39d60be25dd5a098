"""Who documents are for, as look-ups need them: the holders of agreements, and which of them wait for a decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.port import Reader
from billing.delivery.ways import What
from config.sealed import Sealing, Unsealable

DOCUMENTS: dict[str, What] = {
    "invoice": "invoice",
    "card_failed": "invoice",
    "reissued": "invoice",
    "credit_note": "credit_note",
    "credit": "credit_note",
    "credit_closed": "credit_note",
    "credit_even": "credit_note",
}
"""Messages that go by the way their reader chose. Receipts go by e-mail, where they are wanted at all, and so does all
that is no document."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A document's message that no channel is chosen for.

    ``due_on`` and ``open_ore`` (øre) are as of now; ``live``: the channel that presents it still; ``tried``: as
    `choice.decide` has it. ``ordinal`` is that of the decision, ``since`` (real time) when the first had no answer.
    """

    message_id: int
    template: str
    what: What
    document_id: int
    agreement_id: int
    choice: str
    reader: Reader
    beside: bool
    tried: dict[str, bool]
    ordinal: int
    cause: Literal["first", "fallback", "agent"]
    since: dt.datetime | None
    due_on: dt.date | None
    open_ore: int
    live: str | None
    stands: bool
    wish: str | None = None
    """The channel that support wants it to go by first."""


_WAITING = """
    SELECT m.id AS message_id, m.template, m.document_id, m.agreement_id, k.channel AS choice, k.efaktura_beside,
           coalesce(last.ordinal, 0) + 1 AS ordinal, last.since, tried.channels, tried.gave_up,
           wish.considered -> 0 ->> 'channel' AS wish,
           CASE WHEN d.kind = 'invoice' THEN c.due_on END AS due_on,
           greatest(c.amount_ore - c.settled_ore, 0) AS open_ore,
           (SELECT channel FROM deliveries WHERE document_id = d.id AND presents
                AND state IN ('queued', 'sending', 'sent', 'unknown', 'delivered', 'ending') LIMIT 1) AS live,
           EXISTS (SELECT FROM deliveries WHERE document_id = d.id AND presents AND state = 'delivered'
                AND proof ? 'stands') AS stands
    FROM messages AS m
    JOIN documents AS d ON d.id = m.document_id
    JOIN claims AS c ON c.id = d.claim_id
    JOIN agreements AS a ON a.id = m.agreement_id
    JOIN customers AS k ON k.id = a.customer_id
    LEFT JOIN LATERAL (
        SELECT max(ordinal) AS ordinal, min(next_at) AS since, max(next_at) AS next_at
        FROM channel_choices WHERE message_id = m.id
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(channel ORDER BY id) AS channels, array_agg(proof ? 'gave_up' ORDER BY id) AS gave_up
        FROM deliveries WHERE message_id = m.id
    ) AS tried ON true
    LEFT JOIN channel_choices AS wish ON wish.message_id = m.id AND wish.ordinal = 1 AND wish.cause = 'agent'
    WHERE m.planned_at IS NULL AND m.id > :after AND m.template = ANY(:templates)
      AND (k.channel <> 'email' OR k.kind = 'business' OR tried.channels IS NOT NULL OR wish.id IS NOT NULL)
      AND (last.next_at IS NULL OR last.next_at <= :real)
    ORDER BY m.id LIMIT :limit
"""

_READERS = """
    SELECT a.id, a.number, k.kind, k.name, k.org_no, k.email, k.phone, k.street, k.postal_code, k.city, k.country,
           k.language, k.national_id, k.efaktura_id,
           (SELECT kid FROM mandates AS n WHERE n.agreement_id = a.id AND n.ended_at IS NULL ORDER BY n.id DESC LIMIT 1)
               AS mandate_kid
    FROM agreements AS a JOIN customers AS k ON k.id = a.customer_id WHERE a.id = ANY(:ids)
"""


def readers(session: Session, agreement_ids: Collection[int], sealing: Sealing) -> dict[int, Reader]:
    """Return the holders of agreements, by agreement. A national id whose seal cannot be opened is left out."""
    rows = session.execute(text(_READERS), {"ids": list(agreement_ids)})
    return {row.id: _reader(row, sealing) for row in rows}


def waiting(session: Session, limit: int, sealing: Sealing, *, after: int = 0, real: dt.datetime) -> list[Waiting]:
    """Return the next messages after that of id ``after`` which wait for a decision, by id."""
    params = {"templates": list(DOCUMENTS), "real": real, "limit": limit, "after": after}
    rows = session.execute(text(_WAITING), params).all()
    found = readers(session, {row.agreement_id for row in rows}, sealing)
    return [_waiting(row, found[row.agreement_id]) for row in rows]


def _waiting(row: Any, reader: Reader) -> Waiting:
    tried = dict(zip(row.channels or (), row.gave_up or (), strict=True))
    return Waiting(
        row.message_id,
        row.template,
        DOCUMENTS[row.template],
        row.document_id,
        row.agreement_id,
        row.choice,
        reader,
        row.efaktura_beside,
        tried,
        row.ordinal,
        "fallback" if tried else "agent" if row.wish else "first",
        row.since,
        row.due_on,
        row.open_ore,
        row.live,
        row.stands,
        row.wish,
    )


def _reader(row: Any, sealing: Sealing) -> Reader:
    national_id = None
    if row.national_id is not None:
        try:
            national_id = sealing.open(bytes(row.national_id))
        except Unsealable:
            national_id = None  # a key that is gone: the other keys of the look-up may do
    return Reader(
        agreement_id=row.id,
        agreement_number=row.number,
        kind=row.kind,
        name=row.name,
        org_no=row.org_no,
        email=row.email,
        phone=row.phone,
        street=row.street,
        postal_code=row.postal_code,
        city=row.city,
        country=row.country,
        language=row.language,
        national_id=national_id,
        efaktura_id=row.efaktura_id,
        mandate_kid=row.mandate_kid,
    )
