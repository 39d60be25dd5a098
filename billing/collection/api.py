"""Collection over HTTP: support reopens an agreement."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from billing.collection.reopen import Reopened, reopen
from billing.collection.schemas import ReopenedSchema, ReopenSchema
from config import http

blp = http.Blueprint("collection", __name__, url_prefix="/v1", description="When an invoice is not paid.")


@blp.route("/agreements/<int:number>/reopen")
class Reopen(MethodView):
    """The end of a block."""

    @require("agent", "lead")
    @idempotent
    @blp.arguments(ReopenSchema)
    @blp.response(200, ReopenedSchema)
    @blp.problems(404, 409)
    def post(self, args: dict[str, Any], number: int) -> Reopened:
        """Reopen a blocked agreement.

        Takes everything past due paid; else 409 `/problems/still-due` lists in `due` what is not: invoice, KID, øre,
        due date. An agreement that is not blocked is answered 409 `/problems/not-blocked`.
        """
        session, now = http.current_session(), http.request_now()
        done = reopen(session, number, args, now, principal().key)
        if not done.already:
            trail.record(
                session,
                principal(),
                "agreement.reopen",
                f"agreement:{number}",
                now,
                args["note"] or None,
                {"channel": args["channel"], "block": done.block_id},
            )
        return done
