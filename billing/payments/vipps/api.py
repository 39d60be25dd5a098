"""Payments by Vipps over HTTP: begun by the customer, read, refunded by support; and Vipps's webhooks."""

from __future__ import annotations

from typing import Any

from flask import request
from flask.views import MethodView
from sqlalchemy import select

from accounts.access import trail
from accounts.access.guard import principal, public, require
from accounts.access.idempotency import idempotent, key, keyed
from accounts.agreements.models import Agreement
from accounts.agreements.queries import by_id, by_number
from billing.cards.api import return_address
from billing.invoices.models import Document
from billing.payments.vipps import queries, refund, webhook
from billing.payments.vipps.begin import begin
from billing.payments.vipps.client import VippsClient, VippsUnavailable
from billing.payments.vipps.provider import client_of
from billing.payments.vipps.refund import of_reference
from billing.payments.vipps.schemas import (
    AskVippsRefundSchema,
    BeginVippsPaymentSchema,
    VippsPaymentSchema,
    VippsRefundSchema,
    VippsRefundsQuery,
    VippsWebhookAnswerSchema,
)
from billing.payments.vipps.signature import BadSignature, check
from billing.payments.vipps.sweep import figures
from config import http, metrics
from config.clock import now_utc
from config.problems import Conflict, Invalid, NotFound, Problem, Unavailable

blp = http.Blueprint("vipps", __name__, url_prefix="/v1", description="Invoices paid with Vipps.")

READERS = ("customer", "agent", "lead", "accountant")
STAFF = ("agent", "lead", "accountant")
ACTORS = ("agent", "lead")
MAX_WEBHOOK_BYTES = 64 * 1024

if figures not in metrics.ALSO:
    metrics.ALSO.append(figures)


def _client() -> VippsClient:
    client = client_of(http.current_settings())
    if client is None:
        raise Conflict("Vipps is not set up here.", slug="no-vipps")
    return client


def _agreement_of(invoice: int) -> Agreement:
    """Return the agreement of an invoice that the caller may see; somebody else's does not exist."""
    session = http.current_session()
    owner = session.scalars(select(Document.agreement_id).where(Document.number == invoice)).one_or_none()
    agreement = None if owner is None else by_id(session, owner)
    if agreement is None or not principal().may_see_customer(agreement.customer_id):
        raise NotFound("There is no such invoice.")
    trail.looked_up(session, principal(), f"agreement:{agreement.number}", http.request_now(), "look_up_invoice")
    return agreement


def _payment(reference: str) -> dict[str, Any]:
    """Return a payment that the caller may see."""
    session = http.current_session()
    row = queries.payment(session, reference)
    if not principal().may_see_customer(by_number(session, row["agreement"]).customer_id):
        raise NotFound("There is no such payment.")
    trail.looked_up(session, principal(), f"agreement:{row['agreement']}", http.request_now())
    return row


@blp.route("/invoices/<int:number>/vipps-payments")
class InvoiceVippsPayments(MethodView):
    """Payments of an invoice by Vipps."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(VippsPaymentSchema))
    @blp.problems(404)
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List an invoice's payments by Vipps, the last begun first."""
        _agreement_of(number)
        return queries.payments(http.current_session(), invoice=number, **query)

    @require("customer")
    @keyed
    @blp.arguments(BeginVippsPaymentSchema)
    @blp.response(201, VippsPaymentSchema)
    @blp.problems(404, 409, 503)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Begin paying what is open of an invoice with Vipps: send the browser to the answered `url`.

        Begun before and still open, it is the same payment; so it is under the same Idempotency-Key, however it stands
        by then. 409 `nothing-to-pay`, `too-little`, `vipps-under-way` or
        `no-vipps`.
        """
        asked, agreement, now = key(), _agreement_of(number), http.request_now()
        agreement_id, back, client = agreement.id, return_address(args["return_url"]), _client()
        subject = f"agreement:{agreement.number}"
        http.current_session().rollback()  # nothing is held open while Vipps is asked
        try:
            made = begin(
                http.current_sessions(), client, agreement_id, number, return_url=back,
                actor=principal().key, now=now, request_key=asked,
            )  # fmt: skip
        except VippsUnavailable as error:
            raise Unavailable("Vipps does not answer just now. Try again in a minute.") from error
        session = http.current_session()
        trail.record(session, principal(), "vipps.begin", subject, now, detail={"reference": made.reference})
        return queries.payment(session, made.reference)


@blp.route("/vipps-payments/<string:reference>")
class OneVippsPayment(MethodView):
    """One payment."""

    @require(*READERS)
    @blp.response(200, VippsPaymentSchema)
    @blp.problems(404)
    def get(self, reference: str) -> dict[str, Any]:
        """Show a payment as it was heard of last."""
        return _payment(reference)


@blp.route("/vipps-payments/<string:reference>/refunds")
class VippsPaymentRefunds(MethodView):
    """Refunds of a payment."""

    @require(*STAFF)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(VippsRefundSchema))
    @blp.problems(404)
    def get(self, query: dict[str, Any], reference: str) -> http.Page:
        """List a payment's refunds, the last first."""
        row = _payment(reference)
        return queries.refunds(http.current_session(), payment_id=row["id"], **query)

    @require(*ACTORS)
    @idempotent
    @blp.arguments(AskVippsRefundSchema)
    @blp.response(201, VippsRefundSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], reference: str) -> dict[str, Any]:
        """Refund what is in credit to the payment that it came with.

        Within a year, and never more than was captured. Credit pays what is past due first. Above a figure a second
        person must approve it: what one person let leave of the holder's credit lately, over cards, Vipps and to bank
        accounts, counts together.
        """
        session, now = http.current_session(), http.request_now()
        payment = of_reference(session, reference)
        made = refund.request(
            session, reference, amount_ore=args["amount_ore"], reason=args["reason"], actor=principal().key, now=now
        )
        subject = f"agreement:{by_id(session, payment.agreement_id).number}"
        detail = {"reference": reference, "refund": made.id}
        trail.record(session, principal(), "vipps_refund.request", subject, now, args["reason"], detail)
        return queries.refund(session, made.id)


@blp.route("/vipps-refunds")
class VippsRefunds(MethodView):
    """Refunds of everybody."""

    @require(*STAFF)
    @blp.arguments(VippsRefundsQuery, location="query")
    @blp.response(200, http.page_of(VippsRefundSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List refunds by Vipps, the last first. `state=requested` waits for a second person."""
        trail.looked_up(http.current_session(), principal(), "vipps_refunds", http.request_now())
        return queries.refunds(http.current_session(), **query)


def _done(refund_id: int, action: str) -> dict[str, Any]:
    """Write in the trail what was done with a refund, and return it."""
    session = http.current_session()
    shown = queries.refund(session, refund_id)
    about = f"agreement:{shown['agreement']}"
    trail.record(session, principal(), action, about, http.request_now(), None, {"refund": refund_id})
    return shown


@blp.route("/vipps-refunds/<int:refund_id>/approve")
class ApproveVippsRefund(MethodView):
    """The second person."""

    @require(*ACTORS)
    @idempotent
    @blp.response(200, VippsRefundSchema)
    @blp.problems(403, 404, 409)
    def post(self, refund_id: int) -> dict[str, Any]:
        """Approve a refund that somebody else asked for."""
        refund.approve(http.current_session(), refund_id, actor=principal().key, now=http.request_now())
        return _done(refund_id, "vipps_refund.approve")


@blp.route("/vipps-refunds/<int:refund_id>/cancel")
class CancelVippsRefund(MethodView):
    """Stopping a refund."""

    @require(*ACTORS)
    @idempotent
    @blp.response(200, VippsRefundSchema)
    @blp.problems(404, 409)
    def post(self, refund_id: int) -> dict[str, Any]:
        """Stop a refund that Vipps has not been asked for; the sum is in credit again."""
        refund.cancel(http.current_session(), refund_id, actor=principal().key, now=http.request_now())
        return _done(refund_id, "vipps_refund.cancel")


@blp.route("/webhooks/vipps")
class VippsWebhook(MethodView):
    """Where Vipps tells what has happened."""

    @public
    @blp.response(200, VippsWebhookAnswerSchema)
    @blp.problems(409, 422, 503)
    def post(self) -> dict[str, str]:
        """Take in a signed event. Repeats and events that are not ours are answered 200 and do nothing."""
        client, settings = _client(), http.current_settings()
        body = b"" if (request.content_length or 0) > MAX_WEBHOOK_BYTES else request.get_data(cache=False)
        if not 0 < len(body) <= MAX_WEBHOOK_BYTES:
            raise Invalid("That is no event: it is empty or too large.")
        target = request.full_path if request.query_string else request.path
        try:
            check(
                method=request.method,
                target=target,
                hosts=(request.host, settings.url.partition("://")[2].partition("/")[0]),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=body,
                secrets=settings.vipps_webhook_secrets,
                now=now_utc(),
            )
        except BadSignature as error:
            raise Problem(f"This event is not taken: {error}.", slug="bad-signature") from None
        now = http.request_now()
        http.current_session().rollback()  # nothing is held open while Vipps is asked
        try:
            effect = webhook.receive(
                http.current_sessions(), client, webhook.read(body), msn=settings.vipps_msn, now=now
            )
        except VippsUnavailable as error:
            raise Unavailable("Vipps could not be asked about this; send it again.") from error
        return {"effect": effect}
