"""Reads of the audit trail."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.access.models import TrailEntry
from config.http_pages import Page, paged


def trail_of(session: Session, subject: str, *, after: str | None, limit: int) -> Page:
    """Return what was done to and looked up of a subject (``agreement:10000001``), newest first, a keyset page."""
    query = select(TrailEntry).where(TrailEntry.subject == subject)
    return paged(session, query, [TrailEntry.id], after=after, limit=limit, descending=True)


def acts(session: Session, subject: str, actions: Sequence[str], limit: int) -> Sequence[TrailEntry]:
    """Return the newest ``limit`` entries of a subject that are one of some actions, oldest first."""
    query = select(TrailEntry).where(TrailEntry.subject == subject, TrailEntry.action.in_(actions))
    return list(reversed(session.scalars(query.order_by(TrailEntry.id.desc()).limit(limit)).all()))
