"""Reads of refunds and disputes, for the API and the support desk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards.models import Attempt as Paid
from billing.cards.models import Card, Charge, Dispute, Refund
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
    ]
    return (
        select(*columns)
        .join(Agreement, Agreement.id == Refund.agreement_id)
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
    """Return a page of refunds, the last asked for first: of an agreement, of a charge, or in a state, or all."""
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
