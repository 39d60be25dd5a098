"""Payouts over HTTP: asked for, approved, stopped, and what the bank did."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.seen import seen
from billing.payments import payout_queries, payouts
from billing.payments.payout_schemas import (
    OwnPayoutSchema,
    PaidPayoutSchema,
    PayoutSchema,
    PayoutsQuery,
    RejectedPayoutSchema,
    RequestPayoutSchema,
)
from config import http
from config.problems import Invalid

blp = http.Blueprint("payouts", __name__, url_prefix="/v1", description="What we owe customers, paid out.")


@blp.route("/agreements/<int:number>/payouts")
class AgreementPayouts(MethodView):
    """Payouts of an agreement's credit."""

    @require("customer", "agent", "lead", "accountant")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(OwnPayoutSchema))
    @blp.problems(404)
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List an agreement's payouts, the last first."""
        return payout_queries.page(http.current_session(), agreement_id=seen(number).id, **query)

    @require("customer", "agent", "lead")
    @idempotent
    @blp.arguments(RequestPayoutSchema)
    @blp.response(201, OwnPayoutSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int) -> tuple[dict[str, Any], int]:
        """Ask for credit to be paid to a bank account.

        The sum is set aside at once; what is past due is paid from the credit first. Above a figure a second person
        must approve it, what left of the holder's credit lately over cards and to bank accounts counted in; else it is
        in the next order to the bank. What a card's bank disputes does not leave (`credit-disputed`).
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        if who.is_staff and not (args["reason"] or "").strip():
            raise Invalid("Say why it is paid out.", errors=[{"field": "reason", "message": "is needed"}])
        agreement = seen(number)
        row = payouts.request(session, agreement.id, **args, actor=who.key, now=now)
        detail = {"payout": row.id, "amount_ore": row.amount_ore}
        trail.record(session, who, "payout.request", f"agreement:{number}", now, row.reason, detail)
        return payout_queries.one(session, row.id), 201


@blp.route("/payouts")
class Payouts(MethodView):
    """Payouts of everybody."""

    @require("accountant", "agent", "lead")
    @blp.arguments(PayoutsQuery, location="query")
    @blp.response(200, http.page_of(PayoutSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List payouts, the last first.

        `state=requested` waits for a second person, `state=ordered` for the bank.
        """
        trail.looked_up(http.current_session(), principal(), "payouts", http.request_now())
        return payout_queries.page(http.current_session(), **query)


def _done(payout_id: int, action: str, reason: str | None = None) -> dict[str, Any]:
    """Write in the trail what was done with a payout, and return it."""
    session = http.current_session()
    shown = payout_queries.one(session, payout_id)
    subject = f"agreement:{shown['agreement']}"
    trail.record(session, principal(), action, subject, http.request_now(), reason, {"payout": payout_id})
    return shown


@blp.route("/payouts/<int:payout_id>/approve")
class ApprovePayout(MethodView):
    """The second person."""

    @require("lead")
    @idempotent
    @blp.response(200, PayoutSchema)
    @blp.problems(403, 404, 409)
    def post(self, payout_id: int) -> dict[str, Any]:
        """Approve a payout that somebody else asked for."""
        session = http.current_session()
        payouts.approve(session, payout_id, actor=principal().key, now=http.request_now())
        return _done(payout_id, "payout.approve")


@blp.route("/payouts/<int:payout_id>/cancel")
class CancelPayout(MethodView):
    """Stopping a payout."""

    @require("agent", "lead")
    @idempotent
    @blp.response(200, PayoutSchema)
    @blp.problems(404, 409)
    def post(self, payout_id: int) -> dict[str, Any]:
        """Stop a payout that the bank has not been told of; the sum is in credit again."""
        payouts.cancel(http.current_session(), payout_id, actor=principal().key, now=http.request_now())
        return _done(payout_id, "payout.cancel")


@blp.route("/payouts/<int:payout_id>/paid")
class PaidPayout(MethodView):
    """What the bank has paid."""

    @require("accountant")
    @idempotent
    @blp.arguments(PaidPayoutSchema)
    @blp.response(200, PayoutSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], payout_id: int) -> dict[str, Any]:
        """Confirm that the bank has paid a payout, by its reference; the customer is told.

        409 until its file is out.
        """
        payouts.paid(
            http.current_session(), payout_id, reference=args["reference"], actor=principal().key,
            now=http.request_now(),
        )  # fmt: skip
        return _done(payout_id, "payout.paid", args["reference"])


@blp.route("/payouts/<int:payout_id>/rejected")
class RejectedPayout(MethodView):
    """What the bank has refused."""

    @require("accountant")
    @idempotent
    @blp.arguments(RejectedPayoutSchema)
    @blp.response(200, PayoutSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], payout_id: int) -> dict[str, Any]:
        """Note that the bank refused a payout: the sum is in credit again, and the customer is told.

        409 until its file is out.
        """
        payouts.rejected(
            http.current_session(), payout_id, why=args["why"], actor=principal().key, now=http.request_now()
        )
        return _done(payout_id, "payout.rejected", args["why"])
