"""What a document shows, read back from what was issued: the `DocumentView` that the page is made from.

Amounts, dates and parties come from the document as it was written. Names of stations and chargers, and the words of
flags, are looked up now; the first rendering is kept, so that every copy is the same bytes (`render.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.invoices import details, words
from billing.invoices.forms import MOST_LINES, PLAIN, Form
from billing.invoices.models import Document, DocumentLine, DueExtension
from billing.invoices.presentation import (
    CardPaid,
    DocumentView,
    FeeRow,
    Language,
    Party,
    Reference,
    Settlement,
    VatRow,
)

TERMS: Mapping[str, str] = {
    "nb": "Betal innen forfallsdatoen og bruk KID. Gjør du ikke det, stenges avtalen for passering en av de nærmeste "
    "bankdagene. Mens den er stengt, kommer passeringer ikke på avtalen, og operatørene kan kreve full pris av "
    "kjøretøyets eier. Den åpnes når alt forfalt er betalt og du har tatt kontakt med oss. Spørsmål? Se "
    "kontaktopplysningene øverst.",
    "en": "Pay by the due date and use the KID. If you do not, the agreement is closed to traffic within a few bank "
    "days. While it is closed, passages are not taken on it, and the operators may charge the vehicle's owner the full "
    "price. It opens when everything due is paid and you have contacted us. Questions? See our contact details above.",
}
TERMS_AVTALEGIRO: Mapping[str, str] = {
    "nb": "Sørg for at det er dekning på kontoen, og at beløpet er innenfor grensen du har satt i banken. Blir det "
    "ikke trukket, får du beskjed om hvordan du betaler. Er fakturaen ikke betalt innen forfall, stenges avtalen for "
    "passering en av de nærmeste bankdagene. Trekket stanses eller endres i nettbanken din.",
    "en": "Make sure that the money is in your account and that the amount is within the limit you have set in your "
    "bank. If it cannot be taken, we tell you how to pay. If the invoice is not paid by the due date, the agreement is "
    "closed to traffic within a few bank days. The payment is stopped or changed in your online bank.",
}
FEES = frozenset(words.FEES["nb"])

# A document's neighbours: what it credits, what credits it, what it replaces, what replaced it.
_REFERENCES = """
    SELECT 'credits' AS relation, o.number, o.issued_on FROM documents AS o WHERE o.id = :credits
    UNION ALL
    SELECT 'credited_by', n.number, n.issued_on FROM documents AS n WHERE n.credits_id = :id
    UNION ALL
    SELECT CASE WHEN o.version < :version THEN 'replaces' ELSE 'replaced_by' END, o.number, o.issued_on
    FROM documents AS o
    WHERE o.claim_id = :claim AND o.kind = 'invoice' AND o.version IN (:version - 1, :version + 1) AND NOT :notes
"""


class InForm(NamedTuple):
    """A form as a document has it: how it is to be paid, whether its passages are on it, its due date if a later one
    than it was issued with."""

    settlement: Settlement
    details: bool
    later: dt.date | None


def form_of(session: Session, document: Document, form: Form) -> InForm:
    """Return what a form comes to for a document. What is not to be paid is ``transfer``, whatever is asked for."""
    query = text("SELECT coalesce(sum(count), 0) FROM document_lines WHERE document_id = :id AND kind <> ALL(:fees)")
    lines = session.scalars(query, {"id": document.id, "fees": sorted(FEES)}).one()
    details = lines == 0 or (form.details and lines <= MOST_LINES)  # without passages there are none to leave out
    if document.kind != "invoice" or document.paid_by is not None:
        return InForm("transfer", details, None)
    latest = session.scalars(
        select(DueExtension.due_on)
        .where(DueExtension.document_id == document.id)
        .order_by(DueExtension.id.desc())
        .limit(1)
    ).one_or_none()
    settlement = form.settlement or cast(Settlement, document.settlement)
    return InForm(settlement, details, None if latest == document.due_on else latest)


def view_of(session: Session, document_id: int, form: Form = PLAIN) -> DocumentView:
    """Return what an issued document shows in a form. Raises ValueError when its sums disagree, LookupError for none
    such."""
    document = session.get(Document, document_id)
    if document is None:
        raise LookupError(f"no document {document_id}")
    lines = session.scalars(
        select(DocumentLine).where(DocumentLine.document_id == document_id).order_by(DocumentLine.line)
    ).all()
    rows = details.read(session, document)
    begins = details.begins_on(session, document)
    settlement, in_full, later = form_of(session, document, form)
    paid = document.paid_by
    left = document.total_ore - document.credit_used_ore - document.paid_ore
    open_ = document.kind == "invoice" and paid is None
    terms = TERMS if settlement == "transfer" else TERMS_AVTALEGIRO
    return DocumentView(
        kind=cast(Literal["invoice", "credit_note"], document.kind),
        number=document.number,
        language=cast(Language, document.language),
        issued_on=document.issued_on,
        due_on=later or document.due_on,
        due_was=document.due_on if later else None,
        kid=document.kid,
        account=document.seller["account"],
        agreement_number=_agreement_number(session, document),
        seller=seller_party(document.seller),
        buyer=buyer_party(document.buyer),
        period_from=document.period_from,
        period_to=document.period_to,
        begins_on=begins,
        vehicles=details.vehicles(rows),
        passages=details.passages(session, document, rows, begins),
        caps=details.caps(session, document, rows),
        fees=tuple(FeeRow(line.kind, line.gross_ore) for line in lines if line.kind in FEES),
        vat=vat_rows(lines),
        total_ore=document.total_ore,
        payable_ore=left if open_ else 0,
        credit_used_ore=document.credit_used_ore,
        paid_ore=document.paid_ore if paid is None else left,
        paid_with=None if paid is None else CardPaid(paid["brand"], paid["last4"], dt.date.fromisoformat(paid["on"])),
        settlement=settlement,
        chargers=details.chargers(session, rows),
        payment_terms=terms[document.language] if open_ and left > 0 else "",
        # What came after a document was issued does not stand on it.
        references=tuple(ref for ref in references(session, document) if ref.relation in ("credits", "replaces")),
        details=in_full,
    )


def _agreement_number(session: Session, document: Document) -> str:
    query = text("SELECT CAST(number AS text) FROM agreements WHERE id = :id")
    return str(session.scalars(query, {"id": document.agreement_id}).one())


def references(session: Session, document: Document) -> list[Reference]:
    """Return the documents that this one names, and those that name it: credited, replaced."""
    rows = session.execute(
        text(_REFERENCES),
        {
            "id": document.id,
            "credits": document.credits_id,
            "claim": document.claim_id,
            "version": document.version,
            "notes": document.credits_id is not None,
        },
    )
    return [Reference(*row) for row in rows]


def seller_party(seller: Mapping[str, Any]) -> Party:
    """Return the seller as a document shows it: registered for VAT and in Foretaksregisteret."""
    return Party(
        name=seller["name"],
        address=tuple(part.strip() for part in str(seller["address"]).split(",")),
        org_number=seller["org_no"],
        vat_registered=True,
        business_register=True,
        email=seller.get("email"),
        phone=seller.get("phone"),
    )


def buyer_party(buyer: Mapping[str, Any]) -> Party:
    """Return the buyer as a document shows it, the country where it is foreign."""
    foreign = () if buyer["country"] == "NO" else (str(buyer["country"]),)
    return Party(
        name=buyer["name"],
        address=(buyer["street"], f"{buyer['postal_code']} {buyer['city']}", *foreign),
        org_number=buyer["org_no"],
    )


def vat_rows(lines: Sequence[DocumentLine]) -> tuple[VatRow, ...]:
    """Sum the lines up per VAT rate, lowest first."""
    return tuple(
        VatRow(
            rate,
            sum(line.net_ore for line in lines if line.vat_bp == rate),
            sum(line.vat_ore for line in lines if line.vat_bp == rate),
            sum(line.gross_ore for line in lines if line.vat_bp == rate),
        )
        for rate in sorted({line.vat_bp for line in lines})
    )
