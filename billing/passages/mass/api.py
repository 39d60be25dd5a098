"""Mass corrections over HTTP: preview, confirm, watch, undo."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from billing.passages.mass import queries
from billing.passages.mass.preview import Asked, confirm, preview, undo
from billing.passages.mass.schemas import (
    MassAskedSchema,
    MassConfirmSchema,
    MassCorrectionSchema,
    MassUndoSchema,
)
from config import http

blp = http.Blueprint(
    "mass-corrections", __name__, url_prefix="/v1",
    description="What a faulty station charged in a period, taken back from everybody.",
)  # fmt: skip
ACTORS = ("operator", "lead")
READERS = ("operator", "lead", "agent", "accountant")


@blp.route("/mass-corrections")
class MassCorrections(MethodView):
    """Mass corrections."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(MassCorrectionSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List mass corrections, the last first; previews that nobody confirmed among them."""
        page = queries.page(http.current_session(), **query)
        return http.Page([one.as_dict() for one in page.items], page.next)

    @require(*ACTORS)
    @blp.arguments(MassAskedSchema)
    @blp.response(201, MassCorrectionSchema)
    @blp.problems(404)
    def post(self, args: dict[str, Any]) -> dict[str, Any]:
        """Preview a mass correction: count what it would take back.

        Nothing is booked. The answer's `digest` names exactly what was found; confirm it with that.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        row = preview(session, Asked(**args), actor=who.key, now=now)
        detail = {"passages": row.passages, "sum_ore": row.sum_ore}
        trail.record(session, who, "mass.preview", row.name, now, row.reason, detail)
        return queries.one(session, row.id).as_dict()


@blp.route("/mass-corrections/<int:number>")
class OneMassCorrection(MethodView):
    """One mass correction."""

    @require(*READERS)
    @blp.response(200, MassCorrectionSchema)
    def get(self, number: int) -> dict[str, Any]:
        """Show a mass correction and how far it has come."""
        return queries.one(http.current_session(), number).as_dict()


@blp.route("/mass-corrections/<int:number>/confirm")
class ConfirmMassCorrection(MethodView):
    """Having it carried out."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(MassConfirmSchema)
    @blp.response(202, MassCorrectionSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Confirm a preview: what it found is corrected, and each customer told once.

        409 `changed-meanwhile` for another digest than the preview's, and when what would be corrected is no longer
        that (something arrived, was billed, moved or credited): look at a new preview.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        row = confirm(session, number, args["digest"], actor=who.key, now=now)
        detail = {"passages": row.passages, "sum_ore": row.sum_ore, "digest": row.digest}
        trail.record(session, who, "mass.confirm", row.name, now, row.reason, detail)
        return queries.one(session, row.id).as_dict()


@blp.route("/mass-corrections/<int:number>/undo")
class UndoMassCorrection(MethodView):
    """Taking it back."""

    @require(*ACTORS)
    @idempotent
    @blp.arguments(MassUndoSchema)
    @blp.response(202, MassCorrectionSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int) -> dict[str, Any]:
        """Undo a mass correction that is done, by another one, which is the answer.

        What it took back comes back as new passages, but for what has been changed otherwise since. Undoing it again
        gives the undoing that is there. 409 for one that is not done, and for an undoing.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        row = undo(session, number, reason=args["reason"], actor=who.key, now=now)
        trail.record(session, who, "mass.undo", f"mass:{number}", now, row.reason, {"by": row.id})
        return queries.one(session, row.id).as_dict()
