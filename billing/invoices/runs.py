"""Reads of invoice runs: how far they came, and what they could not invoice."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.invoices.models import Run, RunFault
from config.http import Page, paged


def runs(session: Session, *, after: str | None, limit: int) -> Page:
    """Return the runs, the last begun first, a keyset page."""
    return paged(session, select(Run), [Run.id], after=after, limit=limit, descending=True)


def open_faults(session: Session, limit: int) -> Sequence[RunFault]:
    """Return what runs could not invoice and nobody has resolved, the last first."""
    return session.scalars(
        select(RunFault)
        .where(RunFault.resolved_at.is_(None))
        .order_by(RunFault.run_id.desc(), RunFault.agreement_id)
        .limit(limit)
    ).all()
