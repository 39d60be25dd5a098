"""A document's PDF: made once, outside any transaction, and kept, so that every copy is the same bytes."""

from __future__ import annotations

import hashlib

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from billing.invoices.models import Document, Rendering
from billing.invoices.pdf.processes import Renderer, shared
from billing.invoices.view import view_of
from config.clock import business_now
from config.database import SessionFactory


def pdf(sessions: SessionFactory, document_id: int, *, renderer: Renderer | None = None) -> bytes:
    """Return the PDF of a document: the one kept, or one made now and kept.

    Opens sessions of its own, none while the page is made. Of two who make it at once the first one's is kept and
    returned to both. Raises LookupError for no such document, RenderError, ValueError when its sums disagree.
    """
    with sessions() as session:
        template = session.scalar(select(Document.template).where(Document.id == document_id))
        kept = session.scalar(
            select(Rendering.pdf).where(Rendering.document_id == document_id, Rendering.template == template)
        )
        if kept is not None:
            return kept
        view = view_of(session, document_id)
        now = business_now(session)
    made = (renderer or shared()).render(view)
    with sessions() as session:
        session.execute(
            insert(Rendering)
            .values(
                document_id=document_id,
                template=template,
                sha256=hashlib.sha256(made).digest(),
                pdf=made,
                made_at=now,
            )
            .on_conflict_do_nothing()
        )
        session.commit()
        return session.scalars(
            select(Rendering.pdf).where(Rendering.document_id == document_id, Rendering.template == template)
        ).one()
