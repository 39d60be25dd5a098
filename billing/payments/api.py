"""Payments over HTTP: the bank's files in, what waits in suspense, and placing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from flask import request
from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.queries import by_number
from accounts.agreements.seen import seen
from billing.claims.queries import locate
from billing.payments import queries
from billing.payments.assign import assign
from billing.payments.bank import receive
from billing.payments.schemas import (
    AssignSchema,
    BankFileQuery,
    BankResultSchema,
    OwnPaymentSchema,
    PaymentSchema,
    PaymentsQuery,
)
from config import http
from config.http_versions import document
from config.jobs import ring
from config.problems import Invalid, Unsupported

blp = http.Blueprint("payments", __name__, url_prefix="/v1", description="What the bank says has been paid.")

_TYPES = ("application/octet-stream", "text/plain")
_FILE = {
    "required": True,
    "description": "An OCR giro file: 80-character records, ISO-8859-1, exactly as the bank sent it.",
    "content": {name: {"schema": {"type": "string", "format": "binary"}} for name in _TYPES},
}


P = ParamSpec("P")
R = TypeVar("R")


def _with_file(view: Callable[P, R]) -> Callable[P, R]:
    """Document that the body is the file itself."""
    return document(view, requestBody=_FILE)


@blp.route("/agreements/<int:number>/payments")
class AgreementPayments(MethodView):
    """What was paid on an agreement."""

    @require("customer", "agent", "lead", "accountant")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(OwnPaymentSchema))
    @blp.problems(404)
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List an agreement's payments by bank, the last first."""
        agreement = seen(number)
        return queries.page(http.current_session(), agreement_id=agreement.id, **query)


@blp.route("/payments")
class Payments(MethodView):
    """Payments of everybody, and of nobody yet."""

    @require("accountant", "agent", "lead")
    @blp.arguments(PaymentsQuery, location="query")
    @blp.response(200, http.page_of(PaymentSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List payments, the last first.

        `state=suspense` is the list of what waits to be placed.
        """
        trail.looked_up(http.current_session(), principal(), "payments", http.request_now())
        return queries.page(http.current_session(), **query)


@blp.route("/payments/<int:payment_id>/assign")
class AssignPayment(MethodView):
    """Placing a payment that waits."""

    @require("agent", "lead")
    @idempotent
    @blp.arguments(AssignSchema)
    @blp.response(200, PaymentSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], payment_id: int) -> dict[str, Any]:
        """Give a payment in suspense to an agreement and perhaps an invoice.

        What is past due is paid at once, what is left becomes credit for the next invoice.
        """
        session, now = http.current_session(), http.request_now()
        agreement = by_number(session, args["agreement"])
        claim_id = None
        if args["invoice"] is not None:
            claim = locate(session, str(args["invoice"]))
            if claim is None:
                raise Invalid(
                    "There is no such invoice.", errors=[{"field": "invoice", "message": "No invoice has this number."}]
                )
            claim_id = claim.claim_id
        assign(session, payment_id, agreement.id, claim_id, now, principal().key)
        detail = {"payment": payment_id, "invoice": args["invoice"]}
        trail.record(
            session, principal(), "payment.assign", f"agreement:{agreement.number}", now, args["reason"], detail
        )
        return queries.one(session, payment_id)


@blp.route("/bank-files")
class BankFiles(MethodView):
    """The bank's files."""

    @require("operator")
    @_with_file
    @blp.arguments(BankFileQuery, location="query")
    @blp.response(200, BankResultSchema)
    def post(self, query: dict[str, Any]) -> dict[str, object]:
        """Read a file from the bank.

        Booked whole or refused whole (422, with the line). The same file again changes nothing: its bytes are its key,
        so no Idempotency-Key is asked for. A payment known from another file is not booked again.
        """
        if request.mimetype not in _TYPES:
            raise Unsupported(f"Send the file as {' or '.join(_TYPES)}.")
        settings, now = http.current_settings(), http.request_now()
        # A transaction of its own: a refused file is kept, although the answer is an error.
        with http.current_sessions().begin() as session:
            result = receive(
                session,
                query["name"],
                request.get_data(cache=False),
                now,
                accounts=[settings.bank_account],
                max_bytes=settings.max_bank_file_bytes,
                actor=principal().key,
            )
            trail.record(session, principal(), "bank.file", f"bank_file:{result.file_id}", now)
            if result.state == "booked":
                ring(session, "overdue")
        if result.state == "refused":
            raise Invalid(
                f"The file is refused at line {result.line}: {result.error}. Nothing of it was booked.",
                slug="bank-file-refused",
                errors=[{"field": f"line {result.line}", "line": result.line, "message": result.error}],
            )
        return result.as_dict()
