"""Support's acts on charges over HTTP: each once by its Idempotency-Key, each with a reason in the trail."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.queries import by_id
from accounts.agreements.seen import seen
from billing.cards import acts, queries
from billing.cards.models import Charge
from billing.cards.schemas import ChargeNowSchema, ChargeReasonSchema, ChargeSchema, OtherCardSchema, shown
from billing.invoices.seller import seller_of
from config import http

blp = http.Blueprint("charges", __name__, url_prefix="/v1", description="What support does with charges on cards.")

ACTORS = ("agent", "lead")


def _done(charge: Charge, action: str, reason: str, **detail: Any) -> dict[str, Any]:
    """Write in the trail what was done to a charge, and return it with its attempts."""
    session = http.current_session()
    number = by_id(session, charge.agreement_id).number
    trail.record(
        session, principal(), action, f"agreement:{number}", http.request_now(), reason, {"charge": charge.id, **detail}
    )
    return shown(queries.story_of_charge(session, charge))


@blp.route("/charges/<int:charge_id>/retry")
class RetryCharge(MethodView):
    """Trying a charge now."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(ChargeReasonSchema)
    @blp.response(200, ChargeSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Try an open charge now. 409 while an attempt has no answer, and where no card may be tried."""
        charge = acts.retry(http.current_session(), charge_id, now=http.request_now())
        return _done(charge, "charge.retry", args["reason"])


@blp.route("/charges/<int:charge_id>/cancel")
class CancelCharge(MethodView):
    """Calling a charge off."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(ChargeReasonSchema)
    @blp.response(200, ChargeSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Call off a charge whose sum is not fixed yet; its passages are not billed, as before."""
        charge = acts.cancel(http.current_session(), charge_id, now=http.request_now())
        return _done(charge, "charge.cancel", args["reason"])


@blp.route("/charges/<int:charge_id>/card")
class CardOfCharge(MethodView):
    """Taking a charge by another card."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(OtherCardSchema)
    @blp.response(200, ChargeSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Try an open charge now on another card of the agreement; which one is the default stays."""
        charge = acts.by_card(http.current_session(), charge_id, args["card"], now=http.request_now())
        return _done(charge, "charge.card", args["reason"], card=args["card"])


@blp.route("/charges/<int:charge_id>/invoice")
class InvoiceOfCharge(MethodView):
    """Putting a charge on an invoice."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(ChargeReasonSchema)
    @blp.response(200, ChargeSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, Any]:
        """Put an open charge on an invoice now; no fee is on it. 409 while an attempt has no answer."""
        session, seller = http.current_session(), seller_of(http.current_settings())
        charge = acts.to_invoice(session, charge_id, seller=seller, now=http.request_now())
        return _done(charge, "charge.invoice", args["reason"])


@blp.route("/agreements/<int:number>/charges/now")
class ChargeNow(MethodView):
    """Charging without waiting for the sum or the week."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(ChargeNowSchema)
    @blp.response(200, ChargeSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Have what is not billed charged now, by the default card or the one that is named."""
        agreement = seen(number)
        charge = acts.charge_now(http.current_session(), agreement.id, card_id=args["card"], now=http.request_now())
        return _done(charge, "charge.now", args["reason"], card=args["card"])
