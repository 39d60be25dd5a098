"""What is agreed with a charger on odd records, over HTTP."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.chargers import oddities, queries
from config import http

blp = http.Blueprint("oddities", __name__, url_prefix="/v1", description="Records that are odd: accepted or not.")


class OdditiesSchema(http.Schema):
    """Per oddity whether it is accepted, with a flag of its name; else it is refused, answered with its name."""

    too_old = http.flag("Older than `passage_max_age_days`.", required=False)
    unknown_station = http.flag("At a station nobody told us of; it is taken in, to be named.", required=False)
    tag_plate_mismatch = http.flag("A tag read in another vehicle than it is mounted in.", required=False)
    wrong_class = http.flag("Of another class than the vehicle is known to be.", required=False)
    double_read = http.flag("One vehicle read twice in a lane within seconds.", required=False)


@blp.route("/chargers/<string:code>/oddities")
class Oddities(MethodView):
    """What is agreed with a charger."""

    @require("operator", "agent", "lead", "accountant")
    @blp.response(200, OdditiesSchema)
    def get(self, code: str) -> dict[Any, bool]:
        """Show which odd records are accepted from a charger."""
        session = http.current_session()
        return oddities.oddities(session, queries.charger(session, code))

    @require("operator")
    @blp.arguments(OdditiesSchema)
    @blp.response(200, OdditiesSchema)
    def put(self, given: dict[str, bool], code: str) -> dict[Any, bool]:
        """Change which odd records are accepted.

        What is not named stays as it is. Counts for what arrives from now on.
        """
        session, now = http.current_session(), http.request_now()
        kept = oddities.keep_oddities(session, queries.charger(session, code), given)
        trail.record(session, principal(), "charger.oddities", f"charger:{code}", now, detail=dict(given))
        return kept
