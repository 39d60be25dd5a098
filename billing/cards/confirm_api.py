"""Confirming a charge over HTTP: the address of the page where the customer pays it."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.agreements.models import Agreement
from billing.cards import confirm
from billing.cards.api import return_address
from billing.cards.gateway import GatewayUnavailable
from billing.cards.models import Charge
from billing.cards.provider import gateway_of
from billing.invoices.seller import seller_of
from config import http
from config.problems import Conflict, NotFound, Unavailable

blp = http.Blueprint(
    "card_confirmations", __name__, url_prefix="/v1", description="Charges that a bank wants confirmed."
)


class ConfirmChargeSchema(http.Schema):
    """How a customer goes to confirm a charge."""

    return_url = http.text(
        "Where the customer's browser comes back to; `confirmed` is added to its query where it was paid. On our own "
        "address.",
        "/mypage/10000001/card/confirmed",
        max_length=500,
    )


class PaymentAddressSchema(http.Schema):
    """The provider's page where a charge is paid."""

    url = http.text("Send the customer's browser there.", "https://checkout.example/c/cs_1")


@blp.route("/charges/<int:charge_id>/confirm")
class ConfirmCharge(MethodView):
    """A charge whose bank wants the customer to confirm it."""

    @require("customer")
    @blp.arguments(ConfirmChargeSchema)
    @blp.response(200, PaymentAddressSchema)
    @blp.problems(404, 409, 503)
    def post(self, args: dict[str, Any], charge_id: int) -> dict[str, str]:
        """Begin paying a charge on the provider's page; again, the page that is open. No business-card fee is on it."""
        session, now = http.current_session(), http.request_now()
        charge = session.get(Charge, charge_id)
        agreement = None if charge is None else session.get_one(Agreement, charge.agreement_id)
        if agreement is None or not principal().may_see_customer(agreement.customer_id):
            raise NotFound("There is no such charge.")
        agreement_id, number, settings = agreement.id, agreement.number, http.current_settings()
        gateway = gateway_of(settings)
        if gateway is None:
            raise Conflict("No card gateway is configured here, so cards cannot be used.", slug="no-card-gateway")
        back = return_address(args["return_url"])
        session.rollback()  # nothing is held open while the provider is asked
        try:
            url = confirm.begin(
                http.current_sessions(),
                gateway,
                charge_id,
                agreement_id,
                return_url=back,
                seller=seller_of(settings),
                now=now,
            )
        except GatewayUnavailable as error:
            raise Unavailable("The card provider does not answer just now. Try again in a minute.") from error
        trail.record(http.current_session(), principal(), "confirm_charge", f"agreement:{number}", now)
        return {"url": url}
