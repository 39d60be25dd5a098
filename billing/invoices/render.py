"""A document's PDF in a form: made once, outside any transaction, and kept, so that every copy is the same bytes.

A page that was kept wins, by whatever template it was drawn: it is what was sent. A document that was never rendered is
drawn by the template of now, also one issued before it: what law holds fast is what a document says (numbers, dates,
parties, lines), which is stored with it; the old page would have to be kept as code for ever to say the same.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.invoices import forms
from billing.invoices.forms import PLAIN, Form
from billing.invoices.models import Document, Rendering
from billing.invoices.pdf.processes import Renderer, shared
from billing.invoices.rules import TEMPLATE
from billing.invoices.view import form_of, view_of
from config.clock import business_now
from config.database import SessionFactory


def pdf(sessions: SessionFactory, document_id: int, *, form: Form = PLAIN, renderer: Renderer | None = None) -> bytes:
    """Return the PDF of a document in a form: the one kept, or one made now and kept.

    Opens sessions of its own, none while the page is made. Of two who make it at once the first one's is kept and
    returned to both. Raises LookupError for no such document, RenderError, ValueError when its sums disagree.
    """
    with sessions() as session:
        document = session.get(Document, document_id)
        if document is None:
            raise LookupError(f"no document {document_id}")
        settlement, details, later = form_of(session, document, form)
        kept = _kept(session, document_id, forms.key(settlement, details=details, due_on=later))
        if kept is not None:
            return kept
        view = view_of(session, document_id, form)
        now = business_now(session)
    made = (renderer or shared()).render(view)
    key = forms.key_of(view)
    with sessions() as session:
        session.execute(
            insert(Rendering)
            .values(
                document_id=document_id,
                template=TEMPLATE,
                form=key,
                sha256=hashlib.sha256(made).digest(),
                pdf=made,
                made_at=now,
            )
            .on_conflict_do_nothing()
        )
        session.commit()
        return _kept(session, document_id, key) or made


def _kept(session: Session, document_id: int, key: str) -> bytes | None:
    """Return the page that was kept of a document in a form, the oldest template's first."""
    return session.scalars(
        select(Rendering.pdf)
        .where(Rendering.document_id == document_id, Rendering.form == key)
        .order_by(Rendering.template)
        .limit(1)
    ).one_or_none()
