"""Reads of invoice runs: how far they came, and what they could not invoice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing.invoices.models import Run, RunFault
from config.http import Page, paged

_FAILED = (
    select(func.count())
    .where(RunFault.run_id == Run.id, RunFault.resolved_at.is_(None))
    .correlate(Run)
    .scalar_subquery()
    .label("failed")
)


def runs(session: Session, *, after: str | None, limit: int) -> Page:
    """Return the runs, the last begun first, a keyset page."""
    return paged(session, select(Run), [Run.id], after=after, limit=limit, descending=True)


def with_failed(session: Session, found: Sequence[Run]) -> list[dict[str, Any]]:
    """Return runs as plain fields, with ``failed``: the agreements that each could not invoice so far."""
    ids = [run.id for run in found]
    failed = {row.id: row.failed for row in session.execute(select(Run.id, _FAILED).where(Run.id.in_(ids)))}
    columns = [column.key for column in Run.__table__.columns]
    return [{key: getattr(run, key) for key in columns} | {"failed": failed[run.id]} for run in found]


def open_faults(session: Session, limit: int) -> Sequence[RunFault]:
    """Return what runs could not invoice and nobody has resolved, the last first."""
    return session.scalars(
        select(RunFault)
        .where(RunFault.resolved_at.is_(None))
        .order_by(RunFault.run_id.desc(), RunFault.agreement_id)
        .limit(limit)
    ).all()
