"""What a letter is about, read when its turn comes; and whether it is still true then."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import queries
from config.clock import business_date
from config.rates import whole

OF_STANDING = {
    "blocked": "blocked",
    "paid_call_us": "awaiting_reopen",
    "reopened": "open",
    "unblocked": "open",
}
"""Templates that say how an agreement stands: true only while it stands so."""


@dataclass(frozen=True)
class Bill:
    """An invoice in a letter. Øre; ``open_ore`` is what is left of it. ``kid`` and ``due_on`` are None when paid."""

    number: int
    total_ore: int
    open_ore: int
    kid: str | None
    due_on: dt.date | None


@dataclass(frozen=True)
class Letter:
    """What a delivery says. ``bills`` is the document it is about, or everything overdue of a blocked agreement."""

    template: str
    language: str
    name: str
    agreement_number: int
    standing: str
    made_at: dt.datetime
    document_id: int | None
    bills: tuple[Bill, ...]
    card: tuple[str, str] | None
    """Brand and last four digits of the card that paid, on a receipt."""
    closes_on: dt.date | None


_LETTER = """
    SELECT m.template, m.made_at, m.document_id, m.agreement_id, a.number AS agreement_number, a.standing, a.closed_at,
           k.name, coalesce(d.language, k.language) AS language, d.number, d.total_ore, d.kid, d.due_on, d.paid_by,
           c.amount_ore - c.settled_ore AS open_ore
    FROM messages AS m
    JOIN agreements AS a ON a.id = m.agreement_id
    JOIN customers AS k ON k.id = a.customer_id
    LEFT JOIN documents AS d ON d.id = m.document_id
    LEFT JOIN claims AS c ON c.id = d.claim_id
    WHERE m.id = :message
"""


def letter_of(session: Session, message_id: int, *, now: dt.datetime) -> Letter:
    """Return what a message says now."""
    row = session.execute(text(_LETTER), {"message": message_id}).one()
    return Letter(
        template=row.template,
        language=row.language,
        name=row.name,
        agreement_number=row.agreement_number,
        standing=row.standing,
        made_at=row.made_at,
        document_id=row.document_id,
        bills=_overdue(session, row.agreement_id, now) if row.template == "blocked" else _bill(row),
        card=(row.paid_by["brand"], row.paid_by["last4"]) if row.paid_by else None,
        closes_on=business_date(row.closed_at) if row.closed_at else None,
    )


def _bill(row: Any) -> tuple[Bill, ...]:
    return (Bill(row.number, row.total_ore, row.open_ore, row.kid, row.due_on),) if row.number else ()


def _overdue(session: Session, agreement_id: int, now: dt.datetime) -> tuple[Bill, ...]:
    today = business_date(now)
    due = queries.due(session, [agreement_id], today, whole("overdue_remainder_ore", today))
    return tuple(Bill(c.number, c.amount_ore, c.open_ore, c.kid, c.due_on) for c in due if c.number is not None)


def no_longer_true(letter: Letter, today: dt.date) -> str | None:
    """Return why a letter must not go out any more, None when it is as true as when it was written."""
    expected = OF_STANDING.get(letter.template, letter.standing)
    if letter.standing != expected:
        return f"the agreement is {letter.standing} by now"
    if letter.template == "reminder":
        if all(bill.open_ore <= 0 for bill in letter.bills):
            return "the invoice is paid by now"
        if any(bill.due_on is not None and bill.due_on < today for bill in letter.bills):
            return "the due date has passed by now"
    return None
