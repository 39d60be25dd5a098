"""What a document shows, read back from what was issued: the `DocumentView` that the page is made from.

Amounts, dates and parties come from the document as it was written. Names of stations and chargers, and the words of
flags, are looked up now; the first rendering is kept, so that every copy is the same bytes (`render.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.invoices import words
from billing.invoices.models import Document, DocumentLine
from billing.invoices.presentation import (
    CardPaid,
    ChargerContact,
    DocumentView,
    FeeRow,
    Language,
    Party,
    PassageRow,
    Reference,
    VatRow,
    VehicleSummary,
)
from billing.passages.rules import flag_names
from config.clock import to_oslo

TERMS: Mapping[str, str] = {
    "nb": "Betal innen forfallsdatoen og bruk KID. Gjør du ikke det, stenges avtalen for passering en av de nærmeste "
    "bankdagene. Mens den er stengt, kommer passeringer ikke på avtalen, og operatørene kan kreve full pris av "
    "kjøretøyets eier. Den åpnes når alt forfalt er betalt og du har tatt kontakt med oss. Spørsmål? Se "
    "kontaktopplysningene øverst.",
    "en": "Pay by the due date and use the KID. If you do not, the agreement is closed to traffic within a few bank "
    "days. While it is closed, passages are not taken on it, and the operators may charge the vehicle's owner the full "
    "price. It opens when everything due is paid and you have contacted us. Questions? See our contact details above.",
}
FEES = frozenset(words.FEES["nb"])
NO_PLATE = "–"

# What joined the claim with a later version was not on this document. A credit note of a document shows its passages.
_PASSAGES = """
    SELECT p.passed_at, coalesce(s.name, p.station) AS station, c.name AS charger, p.charger_id, p.plate, p.country,
           p.service, p.vehicle_class, :sign * p.list_ore AS list_ore, :sign * p.amount_ore AS amount_ore, p.flags,
           p.reverses_id
    FROM passages AS p
    JOIN chargers AS c ON c.id = p.charger_id
    LEFT JOIN stations AS s ON s.charger_id = p.charger_id AND s.code = p.station
    LEFT JOIN joined AS j ON j.passage_id = p.id
    WHERE p.agreement_id = :agreement AND p.claim_id = :claim AND p.booked_at BETWEEN :since AND :until
      AND coalesce(j.version, 1) <= :version
    ORDER BY p.passed_at, p.id
"""

# The invoice that last charged what a counter-row takes back.
_TAKEN_BACK = """
    SELECT p.id, d.number, d.paid_by IS NOT NULL AS receipt
    FROM passages AS p
    LEFT JOIN LATERAL (
        SELECT number, paid_by FROM documents
        WHERE claim_id = p.claim_id AND kind = 'invoice' AND credits_id IS NULL AND id < :document
        ORDER BY id DESC LIMIT 1
    ) AS d ON true
    WHERE p.id = ANY(:ids) AND p.booked_at <= :until
"""

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


def view_of(session: Session, document_id: int) -> DocumentView:
    """Return what an issued document shows. Raises ValueError when its sums disagree, LookupError for none such."""
    document = session.get(Document, document_id)
    if document is None:
        raise LookupError(f"no document {document_id}")
    lines = session.scalars(
        select(DocumentLine).where(DocumentLine.document_id == document_id).order_by(DocumentLine.line)
    ).all()
    rows = _rows(session, document)
    number = session.execute(
        text("SELECT number FROM agreements WHERE id = :id"), {"id": document.agreement_id}
    ).scalar_one()
    paid = document.paid_by
    left = document.total_ore - document.credit_used_ore - document.paid_ore
    owed = document.kind == "invoice"
    return DocumentView(
        kind=cast(Literal["invoice", "credit_note"], document.kind),
        number=document.number,
        language=cast(Language, document.language),
        issued_on=document.issued_on,
        due_on=document.due_on,
        kid=document.kid,
        account=document.seller["account"],
        agreement_number=str(number),
        seller=seller_party(document.seller),
        buyer=buyer_party(document.buyer),
        period_from=document.period_from,
        period_to=document.period_to,
        vehicles=vehicles(lines),
        passages=_passages(session, document, rows),
        fees=tuple(FeeRow(line.kind, line.gross_ore) for line in lines if line.kind in FEES),
        vat=vat_rows(lines),
        total_ore=document.total_ore,
        payable_ore=left if owed and paid is None else 0,
        credit_used_ore=document.credit_used_ore,
        paid_ore=document.paid_ore if paid is None else left,
        paid_with=None if paid is None else CardPaid(paid["brand"], paid["last4"], dt.date.fromisoformat(paid["on"])),
        chargers=_chargers(session, rows),
        payment_terms=TERMS[document.language] if owed and paid is None and left > 0 else "",
        # What came after a document was issued does not stand on it.
        references=tuple(ref for ref in references(session, document) if ref.relation in ("credits", "replaces")),
    )


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


def vehicles(lines: Sequence[DocumentLine]) -> tuple[VehicleSummary, ...]:
    """Sum the lines up per vehicle, in their order."""
    sums: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        if line.kind in FEES:
            continue
        one = sums.setdefault((line.plate or NO_PLATE, line.country or ""), [0, 0, 0])
        one[0] += line.count
        one[2 if line.kind == "ferry" else 1] += line.gross_ore
    return tuple(
        VehicleSummary(plate, country, count, toll, ferry, toll + ferry)
        for (plate, country), (count, toll, ferry) in sums.items()
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


def _rows(session: Session, document: Document) -> Sequence[Any]:
    if document.booked_from is None:
        return []
    return session.execute(
        text(_PASSAGES),
        {
            "agreement": document.agreement_id,
            "claim": document.claim_id,
            "since": document.booked_from,
            "until": document.booked_to,
            "version": document.version,
            "sign": 1 if document.credits_id is None else -1,
        },
    ).all()


_CORRECTS = {
    "nb": ("Korreksjon av {what}", "{what}, faktura {number}", "{what}, kvittering {number}"),
    "en": ("Correction of {what}", "{what}, invoice {number}", "{what}, receipt {number}"),
}


def _passages(session: Session, document: Document, rows: Sequence[Any]) -> tuple[PassageRow, ...]:
    counters = [row.reverses_id for row in rows if row.reverses_id is not None]
    earlier: dict[int, Any] = {}
    if counters:
        before = document.credits_id or document.id
        found = session.execute(text(_TAKEN_BACK), {"ids": counters, "until": document.booked_to, "document": before})
        earlier = {row.id: row for row in found}
    return tuple(
        PassageRow(
            at_local=to_oslo(row.passed_at),
            station=row.station,
            charger=row.charger,
            plate=row.plate or NO_PLATE,
            service=row.service,
            vehicle_class=row.vehicle_class or "",
            gross_ore=row.list_ore,
            discount_ore=row.amount_ore - row.list_ore,
            amount_ore=row.amount_ore,
            flags=flag_names(row.flags),
            kind="passage" if row.reverses_id is None else "reversal",
            note=_corrects(row, earlier.get(row.reverses_id), document.language),
        )
        for row in rows
    )


def _corrects(row: Any, before: Any | None, language: str) -> str:
    """Say which passage a counter-row takes back: its day and place, and the document it was charged on."""
    if row.reverses_id is None:
        return ""
    of, on_invoice, on_receipt = _CORRECTS[language]
    what = f"{to_oslo(row.passed_at):%d.%m.%Y}, {row.station}"
    if before is not None and before.number is not None:
        what = (on_receipt if before.receipt else on_invoice).format(what=what, number=before.number)
    return of.format(what=what)


def _chargers(session: Session, rows: Sequence[Any]) -> tuple[ChargerContact, ...]:
    found = session.execute(
        text("SELECT name, org_no, email, phone FROM chargers WHERE id = ANY(:ids) ORDER BY name, id"),
        {"ids": sorted({row.charger_id for row in rows})},
    )
    return tuple(
        ChargerContact(row.name, row.org_no, " · ".join(part for part in (row.email, row.phone) if part))
        for row in found
    )
