"""What the support desk looks agreements up by: who holds them, how they stand, since when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement, StandingChange
from accounts.customers.models import Customer
from accounts.customers.queries import search
from config.http import Page, paged

WAITING = ("blocked", "awaiting_reopen")
"""Standings that somebody must do something about."""


@dataclass(frozen=True)
class Held:
    """An agreement with its holder; ``since`` is when it came to stand as it does, where that was asked for."""

    agreement: Agreement
    customer: Customer
    since: dt.datetime | None = None


def waiting(session: Session) -> dict[str, int]:
    """Count the agreements that are blocked or await reopening, by standing."""
    rows = session.execute(
        select(Agreement.standing, func.count()).where(Agreement.standing.in_(WAITING)).group_by(Agreement.standing)
    )
    return dict.fromkeys(WAITING, 0) | {row[0]: row[1] for row in rows}


def in_standing(session: Session, standing: str, *, after: str | None, limit: int) -> Page:
    """Return the agreements of a standing with their holders, by number, a keyset page of ``Held``."""
    since = (
        select(func.max(StandingChange.at)).where(StandingChange.agreement_id == Agreement.id).scalar_subquery()
    ).label("since")
    query = (
        select(Agreement, Customer, since, Agreement.number.label("number"))
        .join(Customer, Customer.id == Agreement.customer_id)
        .where(Agreement.standing == standing)
    )
    page = paged(session, query, [Agreement.number], after=after, limit=limit)
    return Page([Held(row[0], row[1], row[2]) for row in page.items], page.next)


def found(session: Session, words: str, limit: int) -> list[Held]:
    """Return the agreements of the customers that a few words find (as ``queries.search``). Raises Invalid."""
    ids = search(words).with_only_columns(Customer.id)
    rows = session.execute(
        select(Agreement, Customer)
        .join(Customer, Customer.id == Agreement.customer_id)
        .where(Customer.id.in_(ids))
        .order_by(Customer.name, Customer.id, Agreement.id)
        .limit(limit)
    )
    return [Held(row[0], row[1]) for row in rows]


def held(session: Session, agreement_ids: Sequence[int]) -> dict[int, Held]:
    """Return agreements with their holders, by id."""
    rows = session.execute(
        select(Agreement, Customer)
        .join(Customer, Customer.id == Agreement.customer_id)
        .where(Agreement.id.in_(list(agreement_ids)))
    )
    return {row[0].id: Held(row[0], row[1]) for row in rows}
