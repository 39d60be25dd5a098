"""Reads of refunds and disputes, for the API and the support desk."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.models import Attempt as Paid
from billing.cards.models import Card, Charge, Dispute, Refund
from billing.cards.refund import paid
from config.http_pages import Page, paged
from config.problems import NotFound

WAITING = ("requested", "approved", "unknown")


def _refunds() -> Select[Any]:
    columns: list[Any] = [
        Refund.id,
        Agreement.number.label("agreement"),
        Refund.charge_id.label("charge"),
        Refund.amount_ore,
        Refund.state,
        Refund.reason,
        Refund.requested_by,
        Refund.requested_at,
        Refund.approved_by,
        Refund.approved_at,
        Refund.provider_ref.label("reference"),
        Refund.code,
        Refund.message,
        Refund.ended_at,
        Card.brand,
        Card.last4,
        Paid.ended_at.label("paid_at"),
        Charge.claim_id,
    ]
    return (
        select(*columns)
        .join(Agreement, Agreement.id == Refund.agreement_id)
        .join(Charge, Charge.id == Refund.charge_id)
        .join(Paid, Paid.id == Refund.attempt_id)
        .join(Card, Card.id == Paid.card_id)
    )


def refunds(
    session: Session,
    *,
    after: str | None,
    limit: int,
    agreement_id: int | None = None,
    charge_id: int | None = None,
    state: str | None = None,
) -> Page:
    """Return a page of refunds, the last asked for first: of an agreement, of a charge, or in a state, or all.

    ``paid_at``: when the payment that goes back was made; ``claim_id``: what it had paid.
    """
    statement = _refunds()
    if agreement_id is not None:
        statement = statement.where(Refund.agreement_id == agreement_id)
    if charge_id is not None:
        statement = statement.where(Refund.charge_id == charge_id)
    if state is not None:
        statement = statement.where(Refund.state == state)
    found = paged(session, statement, [Refund.id], after=after, limit=limit, descending=True)
    return Page([dict(row._mapping) for row in found.items], found.next)


def refund(session: Session, refund_id: int) -> dict[str, Any]:
    """Return one refund as lists show it. Raises NotFound."""
    row = session.execute(_refunds().where(Refund.id == refund_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such refund.")
    return dict(row._mapping)


def number_of(session: Session, charge_id: int) -> int:
    """Return the number of the agreement that a charge is of. Raises NotFound."""
    number = session.scalar(
        select(Agreement.number).join(Charge, Charge.agreement_id == Agreement.id).where(Charge.id == charge_id)
    )
    if number is None:
        raise NotFound("There is no such charge.")
    return number


def disputes(
    session: Session, *, after: str | None, limit: int, agreement_id: int | None = None, state: str | None = None
) -> Page:
    """Return a page of disputes, the last opened first: of an agreement, or in a state, or all."""
    columns: list[Any] = [
        Dispute.id,
        Agreement.number.label("agreement"),
        Dispute.charge_id.label("charge"),
        Dispute.provider_ref.label("reference"),
        Dispute.amount_ore,
        Dispute.withdrawn_ore,
        Dispute.claim_ore,
        Dispute.credit_ore,
        Dispute.written_off_ore,
        Dispute.reason,
        Dispute.state,
        Dispute.evidence_due_at,
        Dispute.opened_at,
        Dispute.ended_at,
        Card.brand,
        Card.last4,
    ]
    statement = (
        select(*columns)
        .join(Agreement, Agreement.id == Dispute.agreement_id)
        .join(Paid, Paid.id == Dispute.attempt_id)
        .join(Card, Card.id == Paid.card_id)
    )
    if agreement_id is not None:
        statement = statement.where(Dispute.agreement_id == agreement_id)
    if state is not None:
        statement = statement.where(Dispute.state == state)
    found = paged(session, statement, [Dispute.id], after=after, limit=limit, descending=True)
    return Page([dict(row._mapping) for row in found.items], found.next)


def waiting(session: Session) -> tuple[int, int]:
    """Count what waits for somebody: refunds for a second person, disputes for an answer to the bank."""
    asked = select(func.count()).where(Refund.state == "requested").scalar_subquery()
    opened = select(func.count()).where(Dispute.state == "opened").scalar_subquery()
    row = session.execute(select(asked, opened)).one()
    return int(row[0]), int(row[1])


@dataclass(frozen=True)
class PaidCharge:
    """A charge that a card paid: its sum, when, by which card, and what of its payments can still go back (øre)."""

    id: int
    amount_ore: int
    paid_at: dt.datetime
    brand: str
    last4: str
    left_ore: int
    disputed: bool
    succeeded: bool


@dataclass(frozen=True)
class Given:
    """A passage that a charge paid; ``taken_back``: it is credited or corrected already."""

    id: int
    passed_at: dt.datetime
    station: str
    plate: str | None
    amount_ore: int
    taken_back: bool


_CHARGES = """
    SELECT h.id, t.amount_ore, t.ended_at AS paid_at, k.brand, k.last4, h.state = 'succeeded' AS succeeded
    FROM charges AS h JOIN LATERAL (
        SELECT * FROM attempts WHERE charge_id = h.id AND state = 'succeeded' ORDER BY credited, id LIMIT 1
    ) AS t ON true JOIN cards AS k ON k.id = t.card_id
    WHERE h.agreement_id = :agreement AND (CAST(:charge AS bigint) IS NULL OR h.id = :charge)
    ORDER BY h.id DESC LIMIT :limit
"""

_PASSAGES = """
    SELECT p.id, p.passed_at, p.station, p.plate, p.amount_ore, v.passage_id IS NOT NULL AS taken_back
    FROM charges AS h JOIN passages AS p ON p.agreement_id = h.agreement_id AND p.claim_id = h.claim_id
    LEFT JOIN reversals AS v ON v.passage_id = p.id
    WHERE h.id = :charge AND p.reverses_id IS NULL AND NOT p.external ORDER BY p.passed_at, p.id LIMIT :limit
"""


def paid_charges(session: Session, agreement_id: int, limit: int, *, charge_id: int | None = None) -> list[PaidCharge]:
    """Return the last charges of an agreement that a card paid, the newest first; or only ``charge_id``, if it is."""
    about = {"agreement": agreement_id, "limit": limit, "charge": charge_id}
    rows = session.execute(text(_CHARGES), about).all()
    found = []
    for row in rows:
        payments = paid(session, row.id)
        left, disputed = sum(one.left_ore for one in payments), any(one.disputed for one in payments)
        found.append(
            PaidCharge(row.id, row.amount_ore, row.paid_at, row.brand, row.last4, left, disputed, row.succeeded)
        )
    return found


def passages(session: Session, charge_id: int, limit: int) -> list[Given]:
    """Return the passages that a charge paid, the first driven first."""
    return [Given(*row) for row in session.execute(text(_PASSAGES), {"charge": charge_id, "limit": limit})]
