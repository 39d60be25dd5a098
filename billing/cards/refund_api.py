"""Refunds to cards over HTTP: asked for, approved, stopped; and the disputes that banks opened."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from billing.cards import refund, refund_queries
from billing.cards.models import Refund
from billing.cards.refund_schemas import (
    AskedRefundSchema,
    AskRefundSchema,
    CardDisputeSchema,
    CardDisputesQuery,
    CardRefundSchema,
    CardRefundsQuery,
)
from billing.invoices.seller import seller_of
from config import http
from config.problems import Invalid

blp = http.Blueprint("card_refunds", __name__, url_prefix="/v1", description="What cards paid, given back or disputed.")

READERS = ("agent", "lead", "accountant")
ACTORS = ("agent", "lead")


@blp.route("/charges/<int:charge_id>/refunds")
class ChargeRefunds(MethodView):
    """Refunds of a charge."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(CardRefundSchema))
    @blp.problems(404)
    def get(self, query: dict[str, Any], charge_id: int) -> http.Page:
        """List a charge's refunds, the last first."""
        session = http.current_session()
        number = refund_queries.number_of(session, charge_id)
        trail.looked_up(session, principal(), f"agreement:{number}", http.request_now())
        return refund_queries.refunds(session, charge_id=charge_id, **query)

    @require(*ACTORS)
    @idempotent
    @blp.arguments(AskRefundSchema)
    @blp.response(201, AskedRefundSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], charge_id: int) -> tuple[dict[str, Any], int]:
        """Refund to the card that paid a charge: passages that it paid, or what is in credit.

        Credit pays what is past due first; passages that are given back pay all that has a due date. Above a figure a
        second person must approve it: what one person let leave of the holder's credit lately, over cards and to bank
        accounts, counts together. While a card's bank disputes a payment nothing of it is refunded
        (`charge-disputed`), and so much of the credit does not leave (`credit-disputed`).
        """
        session = http.current_session()
        number = refund_queries.number_of(session, charge_id)
        passages = args["passages"] is not None
        if passages + args["everything"] + (args["amount_ore"] is not None) > 1:
            wrong = {"field": "passages", "message": "passages, everything or amount_ore"}
            raise Invalid("Say one of passages, everything and a sum.", errors=[wrong])
        note, made = (_give_back if passages or args["everything"] else _of_credit)(args, charge_id)
        detail = {"charge": charge_id, "refund": made.id if made else None, "credit_note": note}
        trail.record(
            session, principal(), "card_refund.request", f"agreement:{number}", http.request_now(), args["reason"],
            detail,
        )  # fmt: skip
        shown = refund_queries.refund(session, made.id) if made else None
        return {"refund": shown, "credit_note": note}, 201


def _of_credit(args: dict[str, Any], charge_id: int) -> tuple[int | None, Refund | None]:
    made = refund.request(
        http.current_session(), charge_id, amount_ore=args["amount_ore"], reason=args["reason"],
        actor=principal().key, now=http.request_now(),
    )  # fmt: skip
    return None, made


def _give_back(args: dict[str, Any], charge_id: int) -> tuple[int | None, Refund | None]:
    done = refund.give_back(
        http.current_session(), charge_id, args["passages"], reason=args["reason"],
        seller=seller_of(http.current_settings()), actor=principal().key, now=http.request_now(),
    )  # fmt: skip
    return done.reissued.credit_note, done.refund


@blp.route("/card-refunds")
class CardRefunds(MethodView):
    """Refunds of everybody."""

    @require(*READERS)
    @blp.arguments(CardRefundsQuery, location="query")
    @blp.response(200, http.page_of(CardRefundSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List refunds to cards, the last first. `state=requested` waits for a second person."""
        trail.looked_up(http.current_session(), principal(), "card_refunds", http.request_now())
        return refund_queries.refunds(http.current_session(), **query)


def _done(refund_id: int, action: str) -> dict[str, Any]:
    """Write in the trail what was done with a refund, and return it."""
    session = http.current_session()
    shown = refund_queries.refund(session, refund_id)
    about = f"agreement:{shown['agreement']}"
    trail.record(session, principal(), action, about, http.request_now(), None, {"refund": refund_id})
    return shown


@blp.route("/card-refunds/<int:refund_id>/approve")
class ApproveCardRefund(MethodView):
    """The second person."""

    @require(*ACTORS)
    @idempotent
    @blp.response(200, CardRefundSchema)
    @blp.problems(403, 404, 409)
    def post(self, refund_id: int) -> dict[str, Any]:
        """Approve a refund that somebody else asked for."""
        refund.approve(http.current_session(), refund_id, actor=principal().key, now=http.request_now())
        return _done(refund_id, "card_refund.approve")


@blp.route("/card-refunds/<int:refund_id>/cancel")
class CancelCardRefund(MethodView):
    """Stopping a refund."""

    @require(*ACTORS)
    @idempotent
    @blp.response(200, CardRefundSchema)
    @blp.problems(404, 409)
    def post(self, refund_id: int) -> dict[str, Any]:
        """Stop a refund that the provider has not been asked for; the sum is in credit again."""
        refund.cancel(http.current_session(), refund_id, actor=principal().key, now=http.request_now())
        return _done(refund_id, "card_refund.cancel")


@blp.route("/card-disputes")
class CardDisputes(MethodView):
    """Disputes of everybody."""

    @require(*READERS)
    @blp.arguments(CardDisputesQuery, location="query")
    @blp.response(200, http.page_of(CardDisputeSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List disputes of card payments, the last opened first. `state=opened` waits for our answer to the bank."""
        trail.looked_up(http.current_session(), principal(), "card_disputes", http.request_now())
        return refund_queries.disputes(http.current_session(), **query)
