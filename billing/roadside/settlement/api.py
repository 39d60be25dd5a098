"""Settlement over HTTP: settlements and their orders, and chargers' claims."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.chargers import queries as chargers
from billing.payments.pain001 import Debtor
from billing.roadside.settlement import claim as claims
from billing.roadside.settlement import formats, order, queries
from billing.roadside.settlement.agree import agree
from billing.roadside.settlement.models import ChargerOrder, ClaimDifference, Settlement
from billing.roadside.settlement.schemas import (
    BODY,
    AgreeSchema,
    ChargerOrderSchema,
    ClaimQuery,
    ClaimSchema,
    DifferenceSchema,
    DifferencesQuery,
    OrderSettlementSchema,
    PaidSchema,
    SettlementSchema,
    SettlementsQuery,
    SettleSchema,
    WhySchema,
)
from billing.roadside.settlement.settle import settle_by_code
from config import http
from config.problems import Forbidden, Invalid, NotFound, Unsupported

blp = http.Blueprint(
    "settlement", __name__, url_prefix="/v1", description="What we owe chargers, what they claim, and paying it."
)
KEEPERS = ("accountant", "lead")
READERS = ("accountant", "lead", "operator", "charger")


@blp.route("/settlements")
class Settlements(MethodView):
    """Settlements with chargers."""

    @require(*READERS)
    @blp.arguments(SettlementsQuery, location="query")
    @blp.response(200, http.page_of(SettlementSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List settlements, the last first.

        A charger sees its own, without the names and notes of our people (null).
        """
        session, code, own = http.current_session(), query.pop("charger"), principal().charger
        if own is not None and code not in (None, own):
            raise Forbidden(f"You are {own} and see only your own settlements.")
        page = http.paged(session, queries.settlements(own or code), [Settlement.id], **query, descending=True)
        return http.Page(
            [one.as_dict(to_charger=own is not None) for one in queries.shown(session, page.items)], page.next
        )

    @require("accountant", "lead", "operator")
    @blp.arguments(SettleSchema)
    @blp.response(200, SettlementSchema)
    @blp.problems(404, 409)
    def post(self, given: dict[str, Any]) -> dict[str, Any]:
        """Settle with a charger for days that are over.

        By arrival, from the day after the last settlement. The same days again give the settlement that is there. 409
        while records may still be arriving, for days that overlap or leave others out, and where passages and ledger
        differ.
        """
        session, now = http.current_session(), http.request_now()
        row = settle_by_code(
            session, given["charger"], given["period_from"], given["period_to"], now=now, actor=principal().key
        )
        trail.record(session, principal(), "settlement.make", f"settlement:{row.id}", now)
        return queries.one(session, row.id).as_dict()


@blp.route("/settlements/<int:settlement_id>")
class OneSettlement(MethodView):
    """One settlement."""

    @require(*READERS)
    @blp.response(200, SettlementSchema)
    def get(self, settlement_id: int) -> dict[str, Any]:
        """Show a settlement.

        A charger sees its own, without the names and notes of our people (null).
        """
        own = principal().charger
        return queries.one(http.current_session(), settlement_id, own).as_dict(to_charger=own is not None)


@blp.route("/settlements/<int:settlement_id>/agree")
class AgreeToSettlement(MethodView):
    """Agreeing."""

    @require(*KEEPERS)
    @idempotent
    @blp.arguments(AgreeSchema)
    @blp.response(200, SettlementSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], settlement_id: int) -> dict[str, Any]:
        """Agree to a settlement: our remuneration is booked, and the rest may be ordered.

        With a note where the charger's claim for its days differs.
        """
        session, now = http.current_session(), http.request_now()
        agree(session, settlement_id, note=given["note"], actor=principal().key, now=now)
        trail.record(session, principal(), "settlement.agree", f"settlement:{settlement_id}", now, given["note"])
        return queries.one(session, settlement_id).as_dict()


@blp.route("/settlements/<int:settlement_id>/order")
class OrderSettlement(MethodView):
    """Ordering its payment."""

    @require(*KEEPERS)
    @idempotent
    @blp.arguments(OrderSettlementSchema)
    @blp.response(200, ChargerOrderSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], settlement_id: int) -> dict[str, Any]:
        """Make the payment order of an agreed settlement; somebody else must release it."""
        session, now = http.current_session(), http.request_now()
        made = order.order(session, settlement_id, actor=principal().key, now=now, execute_on=given["execute_on"])
        trail.record(session, principal(), "settlement.order", f"settlement:{settlement_id}", now)
        return queries.order_dict(made)


@blp.route("/payment-orders/<int:order_id>")
class OneOrder(MethodView):
    """A payment order to a charger."""

    @require(*KEEPERS)
    @blp.response(200, ChargerOrderSchema)
    def get(self, order_id: int) -> dict[str, Any]:
        """Show a payment order."""
        return queries.order_dict(queries.one_order(http.current_session(), order_id))


@blp.route("/payment-orders/<int:order_id>/file")
class OrderFile(MethodView):
    """The file of an order."""

    @require(*KEEPERS)
    @blp.response(200, {"type": "string", "format": "binary"}, content_type="application/xml")
    def get(self, order_id: int) -> Response:
        """Fetch the order's file as the bank gets it (pain.001.001.03); there is one once it is released."""
        row = queries.one_order(http.current_session(), order_id)
        if row.content is None:
            raise NotFound("The order has not been released; there is no file yet.")
        return Response(row.content, mimetype="application/xml")


def _acted(row: ChargerOrder, action: str, why: str | None = None) -> dict[str, Any]:
    session, now = http.current_session(), http.request_now()
    trail.record(session, principal(), f"order.{action}", f"order:{row.id}", now, why)
    return queries.order_dict(row)


@blp.route("/payment-orders/<int:order_id>/release")
class ReleaseOrder(MethodView):
    """Releasing."""

    @require("lead")
    @idempotent
    @blp.response(200, ChargerOrderSchema)
    @blp.problems(409)
    def post(self, order_id: int) -> dict[str, Any]:
        """Release an order that somebody else made; its file goes to the bank's outbox, once."""
        session, now = http.current_session(), http.request_now()
        by = Debtor.of(http.current_settings())
        return _acted(order.release(session, order_id, debtor=by, actor=principal().key, now=now), "release")


@blp.route("/payment-orders/<int:order_id>/withdraw")
class WithdrawOrder(MethodView):
    """Withdrawing."""

    @require(*KEEPERS)
    @idempotent
    @blp.arguments(WhySchema)
    @blp.response(200, ChargerOrderSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], order_id: int) -> dict[str, Any]:
        """Take back an order that nobody has released; the settlement can be ordered again."""
        session, now, why = http.current_session(), http.request_now(), given["why"]
        return _acted(order.withdraw(session, order_id, why=why, actor=principal().key, now=now), "withdraw", why)


@blp.route("/payment-orders/<int:order_id>/rejected")
class RejectedOrder(MethodView):
    """Refused by the bank."""

    @require("accountant")
    @idempotent
    @blp.arguments(WhySchema)
    @blp.response(200, ChargerOrderSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], order_id: int) -> dict[str, Any]:
        """Note that the bank refused an order; the settlement can be ordered again. 409 until its file is out."""
        session, now, why = http.current_session(), http.request_now(), given["why"]
        return _acted(order.rejected(session, order_id, why=why, actor=principal().key, now=now), "rejected", why)


@blp.route("/payment-orders/<int:order_id>/paid")
class PaidOrder(MethodView):
    """Paid by the bank."""

    @require("accountant")
    @idempotent
    @blp.arguments(PaidSchema)
    @blp.response(200, ChargerOrderSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], order_id: int) -> dict[str, Any]:
        """Note that the bank has paid an order: what we owe the charger is booked as paid.

        409 until its file is out.
        """
        session, now = http.current_session(), http.request_now()
        row = order.paid(session, order_id, **given, actor=principal().key, now=now)
        return _acted(row, "paid", f"{given['reference']}, {given['paid_on']}")


def _own(code: str) -> None:
    """Raise NotFound for a charger that asks for another's: others' things do not exist."""
    if not principal().may_see_charger(code):
        raise NotFound(f"There is no charger {code}.")


@blp.route("/chargers/<string:code>/claims")
class Claims(MethodView):
    """Claims of a charger."""

    @require("charger", "operator")
    @blp.doc(requestBody=BODY)  # type: ignore[untyped-decorator]  # the library has no types
    @blp.arguments(ClaimQuery, location="query")
    @blp.response(200, ClaimSchema)
    @blp.problems(409, 413, 415)
    def post(self, query: dict[str, Any], code: str) -> dict[str, Any]:
        """Send a claim; it is checked line by line against what we owe.

        The answer says how many differences there are; they are listed under the claim. The same claim again gets the
        same answer, so no Idempotency-Key is asked for; another one under its number is 409.
        """
        _own(code)
        session, now = http.current_session(), http.request_now()
        charger = chargers.charger(session, code)
        checked = claims.check_claim(session, charger, _read(query, code), now, actor=principal().key)
        trail.record(session, principal(), "charger.claim", f"charger:{code}", now, checked.row.number)
        return _claim(checked.row, checked.kinds, checked.repeated)


def _read(query: dict[str, Any], code: str) -> claims.ChargerClaim:
    content = request.get_data(cache=False)
    if request.mimetype == "application/json":
        return formats.from_json(content)
    if request.mimetype in ("application/xml", "text/xml"):
        claim, sender = formats.from_xml(content)
        if sender != code:
            raise Invalid(f"The message is from {sender}, not from {code}.", slug="other-charger")
        return claim
    if request.mimetype != "text/csv":
        sent = request.mimetype or "no content type"
        raise Unsupported(f"Send application/json, text/csv or application/xml; {sent} is not read here.")
    missing = [name for name in ("number", "period_from", "period_to") if query[name] is None]
    if missing:
        errors = [{"field": name, "message": "Is needed with CSV."} for name in missing]
        raise Invalid("CSV does not say it itself: give number, period_from and period_to.", errors=errors)
    return formats.from_csv(content, **query)


def _claim(row: Any, kinds: dict[str, int], repeated: bool) -> dict[str, Any]:
    names = ("number", "period_from", "period_to", "form", "line_count", "claimed_ore", "ours_count", "ours_ore",
             "difference_count", "received_at")  # fmt: skip
    return {name: getattr(row, name) for name in names} | {"kinds": kinds, "repeated": repeated}


@blp.route("/chargers/<string:code>/claims/<string:number>")
class OneClaim(MethodView):
    """One claim."""

    @require(*READERS)
    @blp.response(200, ClaimSchema)
    def get(self, code: str, number: str) -> dict[str, Any]:
        """Show what came of a claim."""
        _own(code)
        session = http.current_session()
        row = queries.claim(session, code, number)
        return _claim(row, claims.kinds(session, row.id), True)


@blp.route("/chargers/<string:code>/claims/<string:number>/differences")
class ClaimDifferences(MethodView):
    """What differs."""

    @require(*READERS)
    @blp.arguments(DifferencesQuery, location="query")
    @blp.response(200, http.page_of(DifferenceSchema))
    def get(self, query: dict[str, Any], code: str, number: str) -> http.Page:
        """List a claim's differences, in order of its lines; then what it lacks."""
        _own(code)
        session = http.current_session()
        row, kind = queries.claim(session, code, number), query.pop("kind")
        return http.paged(session, queries.differences(row.id, kind), [ClaimDifference.number], **query)
