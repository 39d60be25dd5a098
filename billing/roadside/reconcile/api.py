"""Reconciliation over HTTP."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access.guard import require
from accounts.chargers import queries as chargers
from billing.roadside.reconcile.check import DAY, reconcile
from billing.roadside.reconcile.keep import figures
from billing.roadside.reconcile.schemas import ReconciliationQuery, ReconciliationSchema
from config import http, metrics
from config.clock import business_date
from config.problems import Invalid

blp = http.Blueprint(
    "reconciliation", __name__, url_prefix="/v1", description="Whether what chargers sent, and what was booked, agree."
)
MOST_DAYS = 62

if figures not in metrics.ALSO:
    metrics.ALSO.append(figures)


@blp.route("/reconciliation")
class Reconciliation(MethodView):
    """Days of arrival."""

    @require("operator", "accountant")
    @blp.arguments(ReconciliationQuery, location="query")
    @blp.response(200, ReconciliationSchema)
    @blp.problems(404)
    def get(self, query: dict[str, Any]) -> dict[str, Any]:
        """Reconcile days of arrival, per charger.

        Received = accepted + other agreement + rejected + deferred + duplicates + conflicts + broken, in records and
        øre, by the batches and by counting what is there; and what is owed for a day = what was booked that day. 200
        also when something differs: see `ok` and `first_difference`. At most 62 days at a time.
        """
        first = query["first"] or business_date(http.request_now()) - DAY
        last = query["last"] or first
        if last < first or (last - first).days >= MOST_DAYS:
            wrong = {"field": "to", "message": f"Must be from {first} on, and within {MOST_DAYS} days."}
            raise Invalid("These days cannot be reconciled together.", errors=[wrong])
        if query["charger"] is not None:
            chargers.charger(http.current_session(), query["charger"])
        # A session of its own: the request's has begun, and this wants one snapshot.
        with http.current_sessions()() as session:
            return reconcile(session, first, last, now=http.request_now(), charger=query["charger"]).as_dict()
