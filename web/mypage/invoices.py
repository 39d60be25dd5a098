"""Invoices and receipts: the list, one of them with every passage explained, and its PDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request

from billing.cards import refund_queries
from billing.cards.queries import card_of
from billing.invoices import listed, view
from billing.invoices.presentation import PassageRow, VehicleSummary
from billing.invoices.render import pdf
from billing.invoices.words import brand
from billing.payments.vipps.rules import LEAST_ORE
from config import http
from config.clock import business_date
from web.mypage import explain
from web.mypage.blueprint import blp, customers_only, own
from web.mypage.vipps import offered

PAGE = 50
REFUNDS = 10


@dataclass(frozen=True)
class ByVehicle:
    """A vehicle's line of a document and its passages."""

    summary: VehicleSummary
    passages: Sequence[PassageRow]


@blp.get("/<int:number>/invoices")
@customers_only
def invoices(number: int) -> str:
    """List invoices, receipts and credit notes, newest first; and what of card payments goes back to the card."""
    agreement = own(number)
    session = http.current_session()
    back = refund_queries.refunds(
        session, agreement_id=agreement.id, after=request.args.get("refunds") or None, limit=REFUNDS
    )
    page = listed.listed(session, agreement.id, after=request.args.get("after") or None, limit=PAGE)
    today = business_date(http.request_now())
    return render_template(
        "mypage/invoices.html",
        agreement=agreement,
        here="invoices",
        rows=[(row, *explain.invoice_word(row, today)) for row in page.items],
        next=page.next,
        after=request.args.get("after"),
        card=card_of(session, agreement.id),
        refunds=[(row, *explain.refund_word(row["state"])) for row in back.items],
        receipts=listed.numbers(session, [row["claim_id"] for row in back.items if row["claim_id"]]),
        next_refunds=back.next,
        brand=brand,
    )


@blp.get("/<int:number>/invoices/<int:invoice_number>")
@customers_only
def invoice(number: int, invoice_number: int) -> str:
    """Show one document: what is to be paid and how, per vehicle and passage, VAT, how it was paid."""
    agreement = own(number)
    session = http.current_session()
    row = listed.one(session, agreement.id, invoice_number)
    shown = view.view_of(session, row.id)
    return render_template(
        "mypage/invoice.html",
        agreement=agreement,
        here="invoices",
        row=row,
        word=explain.invoice_word(row, business_date(http.request_now())),
        view=shown,
        groups=by_vehicle(shown.vehicles, shown.passages),
        paid=listed.paid(session, row.claim_id),
        vipps=row.open_ore >= LEAST_ORE and row.due_on is not None and offered(),
        explain=explain,
    )


def by_vehicle(vehicles: Sequence[VehicleSummary], passages: Sequence[PassageRow]) -> list[ByVehicle]:
    """Put each vehicle's passages under its line."""
    rows: dict[str, list[PassageRow]] = {}
    for passage in passages:
        rows.setdefault(passage.plate, []).append(passage)
    return [ByVehicle(summary, rows.get(summary.plate, [])) for summary in vehicles]


@blp.get("/<int:number>/invoices/<int:invoice_number>.pdf")
@customers_only
def invoice_pdf(number: int, invoice_number: int) -> Response:
    """Return the document as it was sent."""
    agreement = own(number)
    row: Any = listed.one(http.current_session(), agreement.id, invoice_number)
    document_id = row.id
    # Making the page takes a while: nothing is held open meanwhile.
    http.current_session().rollback()
    body = pdf(http.current_sessions(), document_id)
    name = f"brikke-{invoice_number}.pdf"
    return Response(
        body, content_type="application/pdf", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
