"""Passages of an agreement over HTTP: seeing them, and crediting one. Batches come in through billing.roadside."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.agreements.seen import seen
from billing.passages import queries
from billing.passages.credit import credit
from billing.passages.models import Reversal
from billing.passages.schemas import CreditedPassageSchema, CreditPassageSchema, PassageQuery, PassageSchema
from config import http

blp = http.Blueprint("passages", __name__, url_prefix="/v1", description="What was driven and who it belongs to.")


@blp.route("/agreements/<int:number>/passages")
class Passages(MethodView):
    """The passages of an agreement."""

    @require("customer", "agent", "lead")
    @blp.arguments(PassageQuery, location="query")
    @blp.response(200, http.page_of(PassageSchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List passages by when they happened, counter-rows and journeys settled elsewhere among them."""
        session = http.current_session()
        agreement = seen(number)
        period = queries.days(agreement.id, query.pop("since"), query.pop("until"))
        return queries.page(session, period, **query)


@blp.route("/agreements/<int:number>/passages/<int:passage>/credit")
class Credit(MethodView):
    """Taking a passage back."""

    @require("agent", "lead")
    @idempotent
    @blp.arguments(CreditPassageSchema)
    @blp.response(200, CreditedPassageSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int, passage: int) -> Reversal:
        """Credit a passage to the customer.

        A counter-row with the amount negative comes with the next invoice; the charger is still owed. Crediting it
        again changes nothing. 409 for counter-rows, passages moved elsewhere and journeys settled elsewhere.
        """
        session, now = http.current_session(), http.request_now()
        agreement = seen(number)
        who = principal()
        done = credit(session, agreement.id, passage, reason=args["reason"], actor=who.key, now=now)
        detail = {"passage": passage, "counter": done.counter_id}
        trail.record(session, who, "passage.credit", f"agreement:{number}", now, args["reason"], detail)
        return done
