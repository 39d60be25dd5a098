"""The audit over HTTP."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access.guard import require
from billing.audit.audit import audit
from billing.audit.schemas import AuditSchema
from config import http

blp = http.Blueprint("audit", __name__, url_prefix="/v1", description="Whether everything agrees.")


@blp.route("/audit")
class Audit(MethodView):
    """The proof of the books."""

    @require("operator", "accountant")
    @blp.response(200, AuditSchema)
    def get(self) -> dict[str, Any]:
        """Check every rule of the books.

        200 also when something differs: see `ok` and `first_difference`. It reads all of the database, so on a large
        one it takes its time.
        """
        # A session of its own: the request's may have begun, and this wants one snapshot.
        with http.current_sessions()() as session:
            return audit(session).as_dict()
