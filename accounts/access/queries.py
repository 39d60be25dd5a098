"""Reads of the audit trail."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.access.models import TrailEntry
from config.http_pages import Page, paged


def trail_of(session: Session, subject: str, *, after: str | None, limit: int) -> Page:
    """Return what was done to and looked up of a subject (``agreement:10000001``), newest first, a keyset page."""
    query = select(TrailEntry).where(TrailEntry.subject == subject)
    return paged(session, query, [TrailEntry.id], after=after, limit=limit, descending=True)
