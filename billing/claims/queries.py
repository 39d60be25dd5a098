"""Reads of claims: what is open, what is due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.rules import is_overdue


@dataclass(frozen=True)
class OpenClaim:
    """A claim not wholly settled, with the number and KID of the last invoice that presents it, if any.

    Amounts in øre. ``due_on`` is null while a card is being charged for it.
    """

    claim_id: int
    agreement_id: int
    kind: str
    document_id: int | None
    number: int | None
    kid: str | None
    amount_ore: int
    open_ore: int
    due_on: dt.date | None

    def as_dict(self) -> dict[str, int | str | None]:
        """Return what a message or a problem says of it."""
        return {
            "invoice": self.number,
            "kid": self.kid,
            "open_ore": self.open_ore,
            "due_on": self.due_on.isoformat() if self.due_on else None,
        }


# `documents` is read by its table: the room of invoices lies above this one.
_OPEN = """
    SELECT c.id, c.agreement_id, c.kind, d.id AS document_id, d.number, d.kid, c.amount_ore,
           c.amount_ore - c.settled_ore AS open_ore, c.due_on
    FROM claims AS c
    LEFT JOIN LATERAL (
        SELECT id, number, kid FROM documents
        WHERE claim_id = c.id AND kind = 'invoice' ORDER BY version DESC LIMIT 1
    ) AS d ON true
    WHERE c.agreement_id = ANY(:ids) AND c.settled_ore < c.amount_ore
    ORDER BY c.agreement_id, c.due_on NULLS LAST, c.id
"""


def open_claims(session: Session, agreement_ids: Sequence[int]) -> list[OpenClaim]:
    """Return the open claims of agreements, by agreement, the first due first."""
    return [OpenClaim(*row) for row in session.execute(text(_OPEN), {"ids": list(agreement_ids)})]


def due(session: Session, agreement_ids: Sequence[int], today: dt.date, remainder_ore: int) -> list[OpenClaim]:
    """Return what must be paid before an agreement can be reopened: overdue, by more than the remainder figure."""
    return [
        claim
        for claim in open_claims(session, agreement_ids)
        if is_overdue(claim.open_ore, claim.due_on, today, remainder_ore)
    ]


def locate(session: Session, kid_or_number: str) -> OpenClaim | None:
    """Return the claim that an invoice number or KID names, open or not; None when there is none."""
    row = session.execute(
        text(
            "SELECT c.id, c.agreement_id, c.kind, d.id, d.number, d.kid, c.amount_ore, "
            "c.amount_ore - c.settled_ore, c.due_on FROM documents AS d JOIN claims AS c ON c.id = d.claim_id "
            "WHERE (d.kid = :name OR d.number::text = :name) AND d.kind = 'invoice' ORDER BY d.id LIMIT 1"
        ),
        {"name": kid_or_number},
    ).one_or_none()
    return OpenClaim(*row) if row else None
