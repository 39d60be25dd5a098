"""Documents as an agreement's holder lists them, with what is left to pay and what has been paid."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session, aliased

from billing.claims.models import Allocation, Claim
from billing.invoices.models import Document, DueExtension
from config.http import Page, paged
from config.problems import NotFound


@dataclass(frozen=True)
class Paid:
    """So many øre of a document's claim that were settled: by payment, credit, card, write_off, or taken back by a
    reversal or released into credit (negative), and the value date."""

    source: str
    amount_ore: int
    value_date: dt.date


def _rows(agreement_id: int) -> Select[*tuple[Any, ...]]:
    note, credited, other = aliased(Document), aliased(Document), aliased(Document)

    def version(step: int) -> Any:
        return (
            select(other.number)
            .where(
                other.claim_id == Document.claim_id,
                other.version == Document.version + step,
                other.credits_id.is_(None),
                Document.credits_id.is_(None),
            )
            .scalar_subquery()
        )

    return (
        select(
            Document.id,
            Document.number,
            Document.kind,
            Document.claim_id,
            Document.issued_on,
            _due_now(),
            Document.period_from,
            Document.period_to,
            Document.total_ore,
            Document.credit_used_ore,
            Document.kid,
            Document.paid_by,
            Document.made_at,
            case(
                ((Document.kind == "invoice") & note.id.is_(None), Claim.amount_ore - Claim.settled_ore), else_=0
            ).label("open_ore"),
            credited.number.label("credits"),
            note.number.label("credited_by"),
            version(-1).label("replaces"),
            version(1).label("replaced_by"),
        )
        .join(Claim, Claim.id == Document.claim_id)
        .outerjoin(note, note.credits_id == Document.id)
        .outerjoin(credited, credited.id == Document.credits_id)
        .where(Document.agreement_id == agreement_id)
    )


def _due_now() -> Any:
    """When a document is to be paid: the day on it, or what that was extended to."""
    later = select(func.max(DueExtension.due_on)).where(DueExtension.document_id == Document.id).scalar_subquery()
    return func.greatest(Document.due_on, later).label("due_on")


def listed(session: Session, agreement_id: int, *, after: str | None, limit: int) -> Page:
    """Return an agreement's documents, newest first, a keyset page.

    Rows have: id, number, kind, claim_id, issued_on, due_on, period_from, period_to, total_ore, credit_used_ore, kid,
    paid_by (the card of a receipt), made_at, open_ore (what is left of its claim, while it has not been credited), and
    the numbers of its neighbours, if any: credits, credited_by, replaces, replaced_by.
    """
    return paged(session, _rows(agreement_id), [Document.id], after=after, limit=limit, descending=True)


def one(session: Session, agreement_id: int, number: int) -> Any:
    """Return one document of an agreement by its number, a row as in ``listed``. Raises NotFound."""
    row = session.execute(_rows(agreement_id).where(Document.number == number)).one_or_none()
    if row is None:
        raise NotFound("There is no such invoice.")
    return row


def paid(session: Session, claim_id: int) -> list[Paid]:
    """Return what settled a claim, in order of time."""
    rows = session.execute(
        select(Allocation.source, Allocation.amount_ore, Allocation.value_date)
        .where(Allocation.claim_id == claim_id)
        .order_by(Allocation.id)
    )
    return [Paid(*row) for row in rows]


def numbers(session: Session, claim_ids: Sequence[int]) -> dict[int, int]:
    """Return the number of the last invoice of those claims that have one: claim id → number."""
    rows = session.execute(
        select(Document.claim_id, Document.number)
        .where(Document.claim_id.in_(claim_ids), Document.kind == "invoice")
        .order_by(Document.version)
    )
    return {row.claim_id: row.number for row in rows}
