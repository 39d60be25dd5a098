"""What chargers knew of an agreement, over HTTP: why a driver got a full-price invoice."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access.guard import principal, require
from accounts.agreements.seen import seen
from accounts.chargers import queries as chargers
from accounts.vehicles.register import check_vehicle
from billing.roadside.lists.schemas import ValidityQuery, ValiditySchema
from billing.roadside.lists.validity import Validity, validity
from config import http

blp = http.Blueprint("validity", __name__, url_prefix="/v1", description="What chargers knew, and when.")


@blp.route("/agreements/<int:number>/validity")
class AgreementValidity(MethodView):
    """What chargers knew of an agreement."""

    @require("customer", "agent", "lead", "operator")
    @blp.arguments(ValidityQuery, location="query")
    @blp.response(200, ValiditySchema)
    def get(self, query: dict[str, Any], number: int) -> Validity:
        """Show what chargers knew at an instant.

        Per charger what it had been told by then, in the words of the answer it got; the vehicles and tags that were
        on the agreement; and records refused within seven days of it that are near: a plate one sign off, with
        another country, or a tag of the agreement in a vehicle that is not on it. To customers only what names their
        very plate or tag, while they had it: another plate may be another person's, and so may theirs, before or
        after. Of a plate that never was theirs they are shown nothing.
        """
        agreement, session = seen(number), http.current_session()
        at = query["at"] or http.request_now()
        vehicle = check_vehicle(query["country"], query["plate"]) if query["plate"] else None
        code = chargers.charger(session, query["charger"]).code if query["charger"] else None
        return validity(session, agreement, at, vehicle=vehicle, charger=code, own=not principal().is_staff)
