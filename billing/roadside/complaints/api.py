"""Disputes of customers, and complaints to chargers, over HTTP."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.agreements.seen import seen
from accounts.chargers import queries as chargers
from billing.roadside.complaints import answer, make, queries
from billing.roadside.complaints.schemas import (
    ComplaintResponseSchema,
    ComplaintSchema,
    ComplaintsQuery,
    DisputeGivenSchema,
    DisputeSchema,
)
from billing.roadside.complaints.withdraw import withdraw
from config import http
from config.problems import NotFound

blp = http.Blueprint("disputes", __name__, url_prefix="/v1", description="What customers dispute of passages.")


@blp.route("/agreements/<int:number>/disputes")
class Disputes(MethodView):
    """The disputes of an agreement."""

    @require("customer", "agent", "lead")
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(DisputeSchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List an agreement's disputes, the newest first."""
        return queries.of_agreement(http.current_session(), seen(number).id, http.request_now(), **query)

    @require("customer", "agent", "lead")
    @blp.arguments(DisputeGivenSchema)
    @blp.response(201, DisputeSchema)
    @blp.alt_response(  # type: ignore[untyped-decorator]  # the library has no types
        200, schema=DisputeSchema, description="There is one already that is open."
    )
    @blp.problems(409)
    def post(self, given: dict[str, Any], number: int) -> tuple[queries.Shown, int]:
        """Dispute a passage.

        It is sent to the charger, who decides; when it agrees, its correction is booked when it comes. One that is open
        already is answered as it is, with 200. 409 for what was taken back, is settled elsewhere, or was disputed
        before; support can dispute it again, and says why in `text`.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        agreement = seen(number)
        made, new = make.dispute(
            session, agreement.id, given["passage"], given["kind"], given["text"], actor=who.key, now=now,
            again=who.role != "customer",
        )  # fmt: skip
        if new:
            detail = {"passage": given["passage"], "complaint": made.id}
            trail.record(session, who, "passage.dispute", f"agreement:{number}", now, detail=detail)
        return queries.one(session, made.id, now), 201 if new else 200


@blp.route("/agreements/<int:number>/disputes/<int:dispute>/withdrawal")
class Withdrawal(MethodView):
    """That a dispute is withdrawn."""

    @require("customer", "agent", "lead")
    @blp.response(200, DisputeSchema)
    @blp.problems(409)
    def post(self, number: int, dispute: int) -> queries.Shown:
        """Withdraw a dispute that the operator has not answered.

        Its passage is billed as others are. Withdrawn again changes nothing; 409 for one that was answered. What the
        operator answers later counts all the same.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        row, new = withdraw(session, seen(number).id, dispute, now)
        if new:
            trail.record(session, who, "dispute.withdraw", f"agreement:{number}", now, detail={"complaint": row.id})
        return queries.one(session, row.id, now)


def _charger(code: str) -> Any:
    if not principal().may_see_charger(code):
        raise NotFound(f"There is no charger {code}.")
    return chargers.charger(http.current_session(), code)


@blp.route("/chargers/<string:code>/complaints")
class Complaints(MethodView):
    """Complaints to a charger."""

    @require("charger", "operator", "agent", "lead")
    @blp.arguments(ComplaintsQuery, location="query")
    @blp.response(200, http.page_of(ComplaintSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List the complaints to a charger, the newest first.

        What a charger has been shown counts as sent to it.
        """
        session, now, charger = http.current_session(), http.request_now(), _charger(code)
        page = queries.of_charger(session, charger.id, now, **query)
        if principal().role == "charger":
            answer.read_by_charger(session, charger.id, [one.id for one in page.items if one.state == "made"], now)
        else:
            trail.looked_up(session, principal(), f"charger:{code}", now, "look_up_complaints")
        return page


@blp.route("/chargers/<string:code>/complaints/<int:complaint>/response")
class ComplaintResponse(MethodView):
    """A charger's answer."""

    @require("charger", "operator")
    @blp.arguments(ComplaintResponseSchema)
    @blp.response(200, ComplaintSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], code: str, complaint: int) -> queries.Shown:
        """Answer a complaint.

        The customer is told. The same answer again changes nothing; another one is 409.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        row = answer.answer(session, _charger(code), complaint, given["outcome"], given["text"], actor=who.key, now=now)
        trail.record(session, who, "complaint.answer", f"charger:{code}", now, detail={"complaint": row.id})
        return queries.one(session, row.id, now)
