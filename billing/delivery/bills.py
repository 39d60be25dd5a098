"""What a delivery presents, as a channel is handed it: the document as it is to be paid now, its reader, its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.port import Bill, Form, Parcel
from billing.delivery.readers import DOCUMENTS, readers
from config.sealed import Sealing

Page = Callable[[int, Form, bool], bytes]
"""Makes or reads the page of a document in a form, with its details or without."""


@dataclass(frozen=True)
class Pages:
    """How pages are had, and the seal of national ids."""

    page: Page
    sealing: Sealing


_BILLS = """
    SELECT d.id, d.key, d.agreement_id, d.recipient, d.presents, k.details_in_copy, m.template,
           doc.id AS document_id, doc.number, doc.kind, doc.paid_by IS NOT NULL AS receipt, doc.issued_on,
           doc.total_ore, doc.kid,
           doc.seller ->> 'account' AS account,
           CASE WHEN doc.due_on IS NOT NULL THEN greatest(doc.due_on, e.due_on) END AS due_on,
           greatest(c.amount_ore - c.settled_ore, 0) AS open_ore,
           EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id) AS credited,
           (SELECT o.channel FROM deliveries AS o WHERE o.message_id = d.message_id AND o.channel = 'avtalegiro'
                AND o.state IN ('queued', 'sending', 'sent', 'unknown', 'delivered')) IS NOT NULL AS beside
    FROM deliveries AS d
    JOIN messages AS m ON m.id = d.message_id
    JOIN agreements AS a ON a.id = d.agreement_id
    JOIN customers AS k ON k.id = a.customer_id
    JOIN documents AS doc ON doc.id = m.document_id
    JOIN claims AS c ON c.id = doc.claim_id
    LEFT JOIN LATERAL (SELECT max(due_on) AS due_on FROM due_extensions WHERE document_id = doc.id) AS e ON true
    WHERE d.id = ANY(:ids)
"""


def parcels(session: Session, taken: Sequence[Any], pages: Pages) -> tuple[list[Parcel], dict[int, str]]:
    """Return what is to be handed over of deliveries that were taken (rows with ``id``), by id; and what is not to go
    any more, with why: an invoice that was credited, or has been paid."""
    rows = session.execute(text(_BILLS), {"ids": [row.id for row in taken]}).all()
    people = readers(session, {row.agreement_id for row in rows}, pages.sealing)
    ready: list[Parcel] = []
    not_to_go: dict[int, str] = {}
    for row in sorted(rows, key=lambda one: one.id):
        why = _moot(row)
        if why is not None:
            not_to_go[row.id] = why
            continue
        form: Form = "avtalegiro" if row.beside else "transfer"
        ready.append(
            Parcel(
                row.id, row.key, row.template, people[row.agreement_id], _bill(row), form, row.recipient,
                _maker(pages.page, row.document_id, form, details=row.details_in_copy),
            )
        )  # fmt: skip
    for row in taken:
        if row.id not in not_to_go and all(one.delivery_id != row.id for one in ready):
            not_to_go[row.id] = "it has no document"
    return ready, not_to_go


def _moot(row: Any) -> str | None:
    if DOCUMENTS.get(row.template) != "invoice":
        return None
    if row.credited:
        return "the invoice has been replaced"
    return "the invoice is paid" if row.open_ore <= 0 else None


def _bill(row: Any) -> Bill:
    return Bill(
        document_id=row.document_id,
        number=row.number,
        kind="credit_note" if row.kind == "credit_note" else "receipt" if row.receipt else "invoice",
        issued_on=row.issued_on,
        due_on=row.due_on,
        open_ore=row.open_ore if row.due_on is not None else 0,
        total_ore=row.total_ore,
        kid=row.kid,
        account=row.account,
    )


def _maker(page: Page, document_id: int, form: Form, *, details: bool) -> Callable[[], bytes]:
    return lambda: page(document_id, form, details)
