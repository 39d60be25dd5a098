"""Reads of payouts. Account numbers leave it with their last four digits only: the order's file has the rest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.payments.payout_models import Payout, PayoutOrder
from config.http_pages import Page, paged
from config.problems import NotFound

UNDER_WAY = ("requested", "approved", "ordered")


def masked(account: str) -> str:
    """Return an account number as lists show it."""
    return "*" * (len(account) - 4) + account[-4:]


def _shown() -> Select[Any]:
    columns: list[Any] = [
        Payout.id,
        Agreement.number.label("agreement"),
        Payout.amount_ore,
        Payout.account,
        Payout.state,
        Payout.reason,
        Payout.requested_by,
        Payout.requested_at,
        Payout.approved_by,
        Payout.approved_at,
        PayoutOrder.name.label("order"),
        PayoutOrder.execute_on,
        Payout.ended_at,
        Payout.reference,
    ]
    return (
        select(*columns)
        .join(Agreement, Agreement.id == Payout.agreement_id)
        .outerjoin(PayoutOrder, PayoutOrder.id == Payout.order_id)
    )


def page(
    session: Session, *, after: str | None, limit: int, agreement_id: int | None = None, state: str | None = None
) -> Page:
    """Return a page of payouts, the last asked for first: of an agreement, or in a state, or all."""
    statement = _shown()
    if agreement_id is not None:
        statement = statement.where(Payout.agreement_id == agreement_id)
    if state is not None:
        statement = statement.where(Payout.state == state)
    found = paged(session, statement, [Payout.id], after=after, limit=limit, descending=True)
    return Page([_as_dict(row) for row in found.items], found.next)


def one(session: Session, payout_id: int) -> dict[str, Any]:
    """Return one payout as lists show it. Raises NotFound."""
    row = session.execute(_shown().where(Payout.id == payout_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such payout.")
    return _as_dict(row)


def under_way(session: Session, agreement_id: int) -> int:
    """Return what of an agreement is on its way to its holder's account (øre)."""
    found = select(func.coalesce(func.sum(Payout.amount_ore), 0)).where(
        Payout.agreement_id == agreement_id, Payout.state.in_(UNDER_WAY)
    )
    return int(session.execute(found).scalar_one())


def _as_dict(row: Any) -> dict[str, Any]:
    shown = dict(row._mapping)  # SQLAlchemy's public name for it
    return shown | {"account": masked(shown["account"])}
