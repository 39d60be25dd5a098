"""Deliveries over HTTP: what a customer was told, and sending it again."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.seen import seen
from billing.delivery import desk
from billing.delivery.again import send_again
from billing.delivery.schemas import DeliverySchema, SentAgainSchema
from config import http
from config.clock import now_utc

blp = http.Blueprint("deliveries", __name__, url_prefix="/v1", description="What customers are told, and by what way.")


@blp.route("/agreements/<int:number>/deliveries")
class Deliveries(MethodView):
    """The messages to the holder of an agreement."""

    @require("agent", "lead", "accountant")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(DeliverySchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List what the holder of an agreement was sent, or is to be, the last first."""
        agreement = seen(number, what="look_up_mail")
        return desk.of_agreement(http.current_session(), agreement.id, **query)


@blp.route("/agreements/<int:number>/deliveries/<int:delivery_id>/send-again")
class SendAgain(MethodView):
    """Sending what the customer did not get."""

    @require("agent", "lead")
    @idempotent
    @blp.response(200, SentAgainSchema)
    @blp.problems(404, 409)
    def post(self, number: int, delivery_id: int) -> dict[str, int | bool]:
        """Send a message again, to the address the customer has now.

        What was sent goes as a delivery of its own, once; to send it yet again, send that one again. 409
        `/problems/no-longer-true` for what was dropped.
        """
        session, now = http.current_session(), http.request_now()
        agreement = seen(number)
        done = send_again(session, agreement.id, delivery_id, now=now, real=now_utc())
        if done:
            detail = {"delivery": delivery_id}
            trail.record(session, principal(), "delivery.again", f"agreement:{number}", now, None, detail)
        return {"id": delivery_id, "already": not done}
