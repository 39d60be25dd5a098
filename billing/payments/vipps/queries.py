"""Reads of payments and refunds by Vipps, for the API, My Page and the support desk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.payments.vipps.models import LIVE, VippsPayment, VippsRefund
from billing.payments.vipps.refund import left_ore
from config.http_pages import Page, paged
from config.problems import NotFound


def _payments() -> Select[Any]:
    columns: list[Any] = [
        VippsPayment.id,
        VippsPayment.reference,
        Agreement.number.label("agreement"),
        VippsPayment.agreement_id,
        VippsPayment.claim_id,
        VippsPayment.invoice,
        VippsPayment.amount_ore,
        VippsPayment.state,
        VippsPayment.url,
        VippsPayment.captured_ore,
        VippsPayment.refunded_ore,
        VippsPayment.code,
        VippsPayment.started_by,
        VippsPayment.started_at,
        VippsPayment.captured_at,
        VippsPayment.ended_at,
    ]
    return select(*columns).join(Agreement, Agreement.id == VippsPayment.agreement_id)


def payments(
    session: Session,
    *,
    after: str | None,
    limit: int,
    agreement_id: int | None = None,
    invoice: int | None = None,
    claim_id: int | None = None,
) -> Page:
    """Return a page of payments, the last begun first: of an agreement, of an invoice, of a claim, or all."""
    statement = _payments()
    for column, value in (
        (VippsPayment.agreement_id, agreement_id),
        (VippsPayment.invoice, invoice),
        (VippsPayment.claim_id, claim_id),
    ):
        if value is not None:
            statement = statement.where(column == value)
    found = paged(session, statement, [VippsPayment.id], after=after, limit=limit, descending=True)
    return Page([_shown(dict(row._mapping)) for row in found.items], found.next)


def payment(session: Session, reference: str) -> dict[str, Any]:
    """Return one payment as lists show it. Raises NotFound."""
    row = session.execute(_payments().where(VippsPayment.reference == reference)).one_or_none()
    if row is None:
        raise NotFound("There is no such payment.")
    return _shown(dict(row._mapping))


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payment with its page only while that can be used."""
    return {**row} | {"url": row["url"] if row["state"] == "created" else None}


def live(session: Session, claim_id: int) -> dict[str, Any] | None:
    """Return the payment of a claim that may still become one, or None."""
    row = session.execute(
        _payments().where(VippsPayment.claim_id == claim_id, VippsPayment.state.in_(LIVE))
    ).one_or_none()
    return None if row is None else _shown(dict(row._mapping))


def left(session: Session, payment_id: int) -> int:
    """Return what of a payment can still be given back (øre)."""
    return max(left_ore(session, session.get_one(VippsPayment, payment_id)), 0)


def _refunds() -> Select[Any]:
    columns: list[Any] = [
        VippsRefund.id,
        Agreement.number.label("agreement"),
        VippsPayment.reference,
        VippsPayment.invoice,
        VippsRefund.amount_ore,
        VippsRefund.state,
        VippsRefund.reason,
        VippsRefund.requested_by,
        VippsRefund.requested_at,
        VippsRefund.approved_by,
        VippsRefund.approved_at,
        VippsRefund.code,
        VippsRefund.message,
        VippsRefund.ended_at,
    ]
    return (
        select(*columns)
        .join(VippsPayment, VippsPayment.id == VippsRefund.payment_id)
        .join(Agreement, Agreement.id == VippsRefund.agreement_id)
    )


def refunds(
    session: Session,
    *,
    after: str | None,
    limit: int,
    agreement_id: int | None = None,
    payment_id: int | None = None,
    state: str | None = None,
) -> Page:
    """Return a page of refunds, the last asked for first: of an agreement, of a payment, or in a state, or all."""
    statement = _refunds()
    for column, value in (
        (VippsRefund.agreement_id, agreement_id),
        (VippsRefund.payment_id, payment_id),
        (VippsRefund.state, state),
    ):
        if value is not None:
            statement = statement.where(column == value)
    found = paged(session, statement, [VippsRefund.id], after=after, limit=limit, descending=True)
    return Page([dict(row._mapping) for row in found.items], found.next)


def refund(session: Session, refund_id: int) -> dict[str, Any]:
    """Return one refund as lists show it. Raises NotFound."""
    row = session.execute(_refunds().where(VippsRefund.id == refund_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such refund.")
    return dict(row._mapping)


def waiting(session: Session) -> int:
    """Count the refunds that wait for a second person."""
    return int(session.scalars(select(func.count()).where(VippsRefund.state == "requested")).one())
