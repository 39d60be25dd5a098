"""Reads of payments and bank files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.invoices.models import Document
from billing.payments.match import WHYS
from billing.payments.models import BankFile, Payment
from config.http_pages import Page, paged
from config.problems import NotFound


def page(
    session: Session,
    *,
    after: str | None,
    limit: int,
    agreement_id: int | None = None,
    state: str | None = None,
) -> Page:
    """Return a page of payments, the last that came first: of an agreement, or in a state, or all."""
    statement = _shown()
    if agreement_id is not None:
        statement = statement.where(Payment.agreement_id == agreement_id)
    if state is not None:
        statement = statement.where(Payment.state == state)
    found = paged(session, statement, [Payment.id], after=after, limit=limit, descending=True)
    return Page([_as_dict(row) for row in found.items], found.next)


def one(session: Session, payment_id: int) -> dict[str, Any]:
    """Return one payment as lists show it. Raises NotFound."""
    row = session.execute(_shown().where(Payment.id == payment_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such payment.")
    return _as_dict(row)


def waiting(session: Session) -> tuple[int, int]:
    """Return how many payments wait in suspense, and their sum (øre)."""
    row = session.execute(
        select(func.count(), func.coalesce(func.sum(Payment.amount_ore), 0)).where(Payment.state == "suspense")
    ).one()
    return row[0], int(row[1])


def waiting_of(session: Session, amounts_ore: Sequence[int], limit: int) -> list[dict[str, Any]]:
    """Return payments in suspense of exactly one of these sums (øre), the last first: perhaps what somebody misses."""
    query = _shown().where(Payment.state == "suspense", Payment.amount_ore.in_(list(amounts_ore)))
    return [_as_dict(row) for row in session.execute(query.order_by(Payment.id.desc()).limit(limit))]


def _shown() -> Select[Any]:
    """Select what lists show: with the agreement's number and the number of the invoice it was for."""
    invoice = (
        select(func.max(Document.number))
        .where(Document.claim_id == Payment.claim_id, Document.kind == "invoice")
        .scalar_subquery()
    )
    columns: list[Any] = [
        Payment.id,
        Payment.value_date,
        Payment.amount_ore,
        Payment.kid,
        Payment.kind,
        Payment.archive_ref,
        Payment.text,
        Payment.state,
        Payment.why,
        Payment.received_at,
        BankFile.name.label("file"),
        Payment.line,
        Agreement.number.label("agreement"),
        invoice.label("invoice"),
    ]
    return (
        select(*columns)
        .join(BankFile, BankFile.id == Payment.bank_file_id)
        .outerjoin(Agreement, Agreement.id == Payment.agreement_id)
    )


def _as_dict(row: Any) -> dict[str, Any]:
    shown = dict(row._mapping)  # SQLAlchemy's public name for it
    shown["why_text"] = WHYS.get(row.why) if row.why else None
    return shown
