"""Invoices and runs over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response
from flask.views import MethodView
from sqlalchemy import select

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.queries import by_id, by_number
from accounts.agreements.seen import seen
from billing.claims import credit
from billing.invoices import listed
from billing.invoices.below_zero import credit_now
from billing.invoices.candidates import MONTHLY
from billing.invoices.forms import Form
from billing.invoices.models import Document, DocumentLine, Run
from billing.invoices.preview import Preview, preview
from billing.invoices.reissue import reissue
from billing.invoices.render import pdf
from billing.invoices.run import begin, release
from billing.invoices.runs import runs, with_failed
from billing.invoices.schemas import (
    CreditNoteSchema,
    FormQuery,
    InvoiceSchema,
    PreviewQuery,
    PreviewSchema,
    ReasonSchema,
    ReissuedSchema,
    RunSchema,
    StartRunSchema,
    WholeInvoiceSchema,
)
from billing.invoices.seller import seller_of
from billing.invoices.view import vat_rows
from config import http
from config.clock import business_date
from config.jobs import ring
from config.problems import Invalid, NotFound

blp = http.Blueprint("invoices", __name__, url_prefix="/v1", description="Invoices, receipts and the monthly run.")

READERS = ("customer", "agent", "lead", "accountant")


def _document(number: int) -> tuple[Document, int]:
    """Return a document the caller may see, and its agreement's number; somebody else's does not exist."""
    session = http.current_session()
    found = session.scalars(select(Document).where(Document.number == number)).one_or_none()
    if found is None:
        raise NotFound("There is no such invoice.")
    agreement = by_id(session, found.agreement_id)
    if not principal().may_see_customer(agreement.customer_id):
        raise NotFound("There is no such invoice.")
    trail.looked_up(session, principal(), f"agreement:{agreement.number}", http.request_now(), "look_up_invoice")
    return found, agreement.number


@blp.route("/agreements/<int:number>/invoices")
class AgreementInvoices(MethodView):
    """The documents of an agreement."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(InvoiceSchema))
    @blp.problems(404)
    def get(self, page: dict[str, Any], number: int) -> http.Page:
        """List invoices, receipts and credit notes, the newest first."""
        return listed.listed(http.current_session(), seen(number).id, **page)


@blp.route("/invoices/<int:number>")
class Invoice(MethodView):
    """One document."""

    @require(*READERS)
    @blp.response(200, WholeInvoiceSchema)
    @blp.problems(404)
    def get(self, number: int) -> dict[str, Any]:
        """Show an invoice with its lines, VAT, what is open and what settled it."""
        document, agreement = _document(number)
        session = http.current_session()
        row = listed.one(session, document.agreement_id, number)
        lines = session.scalars(
            select(DocumentLine).where(DocumentLine.document_id == document.id).order_by(DocumentLine.line)
        ).all()
        return {
            **row._mapping,
            "agreement": agreement,
            "account": document.seller["account"],
            "vat": vat_rows(lines),
            "lines": lines,
            "settled": listed.paid(session, document.claim_id),
        }


@blp.route("/invoices/<int:number>.pdf")
class InvoicePdf(MethodView):
    """One document as a page."""

    @require(*READERS)
    @blp.arguments(FormQuery, location="query")
    @blp.response(200, {"type": "string", "format": "binary"}, content_type="application/pdf")
    @blp.problems(404)
    def get(self, asked: dict[str, Any], number: int) -> Response:
        """Fetch the PDF; the same bytes every time it is asked for in the same form, until its due date is moved."""
        document, _ = _document(number)
        http.current_session().commit()  # the look-up is written down; nothing is held open while the page is made
        page = pdf(http.current_sessions(), document.id, form=Form(asked["form"], asked["details"]))
        return Response(
            page,
            content_type="application/pdf",
            headers={"Content-Disposition": f'inline; filename="{number}.pdf"', "Cache-Control": "private, no-store"},
        )


@blp.route("/invoices/<int:number>/reissue")
class ReissueInvoice(MethodView):
    """Crediting a document whole."""

    @require("agent", "lead")
    @idempotent
    @blp.arguments(ReasonSchema)
    @blp.response(200, ReissuedSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Credit an invoice or receipt whole and issue what is left of it anew.

        Corrections of its passages that wait for the next invoice come into the new one. What was paid stays paid,
        what was paid too much becomes credit; a payment with the old KID still finds it. The due date is never earlier
        than it was. A document that was credited before is answered as then.
        """
        session, now = http.current_session(), http.request_now()
        seller = seller_of(http.current_settings())
        done = reissue(session, number, reason=args["reason"], seller=seller, now=now, actor=principal().key)
        if not done.already:
            detail = {"invoice": number, "credit_note": done.credit_note, "new": done.invoice}
            document = session.scalars(select(Document).where(Document.number == number)).one()
            subject = f"agreement:{by_id(session, document.agreement_id).number}"
            trail.record(session, principal(), "invoice.reissue", subject, now, args["reason"], detail)
        return asdict(done)


@blp.route("/agreements/<int:number>/credit-notes")
class AgreementCreditNotes(MethodView):
    """Credit notes of what comes to less than nothing."""

    @require("agent", "lead")
    @idempotent
    @blp.arguments(ReasonSchema)
    @blp.response(200, CreditNoteSchema)
    @blp.problems(404)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Credit what is not billed and comes to less than nothing now, without waiting for the monthly run.

        The sum pays what is open; the rest is in credit, and can be paid out.
        """
        session, now = http.current_session(), http.request_now()
        agreement = by_number(session, number)
        document_id = credit_now(
            session, agreement.id, reason=args["reason"], seller=seller_of(http.current_settings()), now=now,
            actor=principal().key,
        )  # fmt: skip
        made = session.get_one(Document, document_id).number if document_id else None
        if made is not None:
            detail = {"credit_note": made}
            trail.record(
                session, principal(), "agreement.credit_note", f"agreement:{number}", now, args["reason"], detail
            )
        return {"credit_note": made, "credit_ore": credit.held(session, [agreement.id]).get(agreement.id, 0)}


@blp.route("/runs")
class Runs(MethodView):
    """Monthly runs."""

    @require("operator", "accountant", "agent", "lead")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(RunSchema))
    def get(self, page: dict[str, Any]) -> http.Page:
        """List runs, the last begun first."""
        session = http.current_session()
        found = runs(session, **page)
        return http.Page(with_failed(session, found.items), found.next)

    @require("operator")
    @idempotent
    @blp.arguments(StartRunSchema)
    @blp.response(202, RunSchema)
    def post(self, args: dict[str, Any]) -> dict[str, Any]:
        """Start the invoice run for a date, or go on with it; one that is done makes nothing more."""
        session, now = http.current_session(), http.request_now()
        if args["date"] > business_date(now):
            raise Invalid("A run is for today or earlier.", errors=[{"field": "date", "message": "Lies ahead."}])
        run = begin(session, args["date"], now=now, actor=principal().key)
        trail.record(session, principal(), "start_run", f"run:{run.id}", now)
        ring(session, "invoice_runs")
        return with_failed(session, [run])[0]


@blp.route("/runs/preview")
class PreviewRun(MethodView):
    """Looking ahead to a run."""

    @require("operator", "accountant", "agent", "lead")
    @blp.arguments(PreviewQuery, location="query")
    @blp.response(200, PreviewSchema)
    def get(self, query: dict[str, Any]) -> Preview:
        """Show what the month's run for a date would issue now: how much, to whom the most, what looks odd.

        Nothing is written. What arrives until the run begins comes on top.
        """
        session, now = http.current_session(), http.request_now()
        return preview(session, MONTHLY, query["date"] or business_date(now), now)


@blp.route("/runs/<int:run_id>/release")
class ReleaseRun(MethodView):
    """Letting a run go on."""

    @require("operator", "lead")
    @blp.response(200, RunSchema)
    @blp.problems(404)
    def post(self, run_id: int) -> dict[str, Any]:
        """Let a run go on that looked odd and waits for a person. One that does not wait stays as it is."""
        session, now = http.current_session(), http.request_now()
        run = session.get(Run, run_id)
        waits = run is not None and run.state == "held"
        released = release(session, run_id, actor=principal().key, now=now)
        if waits:
            trail.record(session, principal(), "run.release", f"run:{run_id}", now)
        return with_failed(session, [released])[0]


@blp.route("/runs/<int:run_id>")
class OneRun(MethodView):
    """One monthly run."""

    @require("operator", "accountant", "agent", "lead")
    @blp.response(200, RunSchema)
    @blp.problems(404)
    def get(self, run_id: int) -> dict[str, Any]:
        """Show how far a run has come."""
        session = http.current_session()
        run = session.get(Run, run_id)
        if run is None:
            raise NotFound("There is no such run.")
        return with_failed(session, [run])[0]
