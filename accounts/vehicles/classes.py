"""The class a vehicle is known to be of: what chargers charge it as is held against it (billing.passages.odd)."""

from __future__ import annotations

import datetime as dt

from flask.views import MethodView
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.access.guard import principal, require
from accounts.vehicles import queries
from accounts.vehicles.blueprint import WHO, blp, held, note
from accounts.vehicles.models import VehicleClass
from config import http
from config.checks import Checks, one_line


def class_of(session: Session, country: str, plate: str) -> str | None:
    """Return the class a vehicle is known to be of, or None."""
    return session.scalar(
        select(VehicleClass.vehicle_class).where(VehicleClass.country == country, VehicleClass.plate == plate)
    )


def keep_class(
    session: Session, country: str, plate: str, vehicle_class: str | None, *, actor: str, now: dt.datetime
) -> str | None:
    """Write which class a vehicle is of, or with None that it is not known; return it. Raises Invalid.

    Counts for what arrives from now on; what was charged before is for the charger to adjust.
    """
    if vehicle_class is None:
        session.execute(delete(VehicleClass).where(VehicleClass.country == country, VehicleClass.plate == plate))
        return None
    checks = Checks()
    kept = checks.take("vehicle_class", one_line(20), vehicle_class, "")
    checks.done()
    said = {"vehicle_class": kept, "actor": actor, "at": now}
    session.execute(
        insert(VehicleClass)
        .values(country=country, plate=plate, **said)
        .on_conflict_do_update(index_elements=["country", "plate"], set_=said)
    )
    return kept


class VehicleClassSchema(http.Schema):
    """The class of a vehicle."""

    vehicle_class = http.text(
        "Its class as chargers name it; null where it is not known.", "1", max_length=20, allow_none=True
    )


@blp.route("/agreements/<int:number>/vehicles/<int:vehicle>/class")
class Classes(MethodView):
    """The class of a vehicle on an agreement."""

    @require(*WHO)
    @blp.response(200, VehicleClassSchema)
    def get(self, number: int, vehicle: int) -> dict[str, str | None]:
        """Show the class a vehicle is known to be of."""
        session = http.current_session()
        row = queries.registration(session, [held(number).id], vehicle)
        return {"vehicle_class": class_of(session, str(row.country), str(row.plate))}

    @require("agent", "lead")
    @blp.arguments(VehicleClassSchema)
    @blp.response(200, VehicleClassSchema)
    def put(self, given: dict[str, str | None], number: int, vehicle: int) -> dict[str, str | None]:
        """Say which class a vehicle is of.

        Records that charge it as another are flagged `wrong_class`, or refused, as agreed with the charger.
        """
        session = http.current_session()
        row = queries.registration(session, [held(number).id], vehicle)
        kept = keep_class(
            session,
            str(row.country),
            str(row.plate),
            given["vehicle_class"],
            actor=principal().key,
            now=http.request_now(),
        )
        note("vehicle.class", number, None, registration=row.id, vehicle_class=kept)
        return {"vehicle_class": kept}
