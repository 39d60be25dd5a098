"""Vehicles of an agreement over HTTP. A customer sees and changes their own; support everybody's, and is logged."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from flask.views import MethodView

from accounts.access.guard import principal, require
from accounts.vehicles import api_tags, classes, queries
from accounts.vehicles.blueprint import WHO, blp, held, note, when
from accounts.vehicles.holder import Holder, family
from accounts.vehicles.models import Registration
from accounts.vehicles.register import register
from accounts.vehicles.remove import Removals, remove
from accounts.vehicles.schemas import NewVehicleSchema, RemovalSchema, RemoveSchema, VehicleSchema
from config import http

__all__ = ["api_tags", "blp", "classes"]


@blp.route("/agreements/<int:number>/vehicles")
class Vehicles(MethodView):
    """The vehicles of an agreement."""

    @require(*WHO)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(VehicleSchema))
    def get(self, query: dict[str, Any], number: int) -> http.Page:
        """List vehicles, those of the past and of the future too."""
        statement = queries.registrations_query([held(number).id])
        return http.paged(http.current_session(), statement, [Registration.id], **query)

    @require(*WHO)
    @blp.arguments(NewVehicleSchema)
    @blp.response(201, VehicleSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], number: int) -> tuple[Registration, int]:
        """Put a vehicle on the agreement.

        From now, from a later day, or (support, with a reason) from an earlier instant. From then on its passages
        are the holder's, tag or no tag, whoever drives. 200 when it is on the agreement already; 409 when it is on
        another one.
        """
        agreement, at = held(number), when(given)
        done = register(
            http.current_session(),
            agreement.id,
            **given,
            valid_from=at,
            now=http.request_now(),
            actor=principal().key,
        )
        if not done.already:
            note("vehicle.register", number, given["reason"], registration=done.registration.id)
        return done.registration, 200 if done.already else 201


@blp.route("/agreements/<int:number>/vehicles/<int:vehicle>")
class OneVehicle(MethodView):
    """One vehicle of an agreement."""

    @require(*WHO)
    @blp.response(200, VehicleSchema)
    def get(self, number: int, vehicle: int) -> Registration:
        """Show a vehicle."""
        return queries.registration(http.current_session(), [held(number).id], vehicle)

    @require(*WHO)
    @blp.response(200, RemovalSchema)
    def delete(self, number: int, vehicle: int) -> dict[str, Any]:
        """Remove a vehicle from now.

        The same as `remove` with an empty body.
        """
        return _remove(number, vehicle, {"day": None, "at": None, "reason": None, "also": []})


@blp.route("/agreements/<int:number>/vehicles/<int:vehicle>/remove")
class RemoveVehicle(MethodView):
    """Removing a vehicle."""

    @require(*WHO)
    @blp.arguments(RemoveSchema)
    @blp.response(200, RemovalSchema)
    def post(self, given: dict[str, Any], number: int, vehicle: int) -> dict[str, Any]:
        """Remove a vehicle.

        From now, a later day, or (support, with a reason) an earlier instant: passages since then move to the
        agreement that has the vehicle. The answer names every additional agreement that still has it; `also` ends
        those too. A repeat is answered as done.
        """
        return _remove(number, vehicle, given)


def _remove(number: int, vehicle: int, given: dict[str, Any]) -> dict[str, Any]:
    agreement = held(number)
    queries.registration(http.current_session(), [agreement.id], vehicle)  # a vehicle, not an additional agreement
    return take_off(agreement, vehicle, given)


def take_off(agreement: Holder, vehicle: int, given: dict[str, Any]) -> dict[str, Any]:
    """Remove a registration of an agreement as a request says, and return the answer (RemovalSchema)."""
    at = when(given)
    done = remove(
        http.current_session(),
        agreement.id,
        vehicle,
        ends_at=at,
        reason=given["reason"],
        also=given["also"],
        now=http.request_now(),
        actor=principal().key,
    )
    for one in (done.removed, *done.also):
        if not one.already:
            note("vehicle.remove", agreement.number, given["reason"], registration=one.registration.id)
    return _removal(agreement, done, at, given["reason"])


def _removal(agreement: Holder, done: Removals, at: dt.datetime, reason: str | None) -> dict[str, Any]:
    row = done.removed.registration
    shown = additional_rows(agreement.id, [*(one.registration for one in done.also), *done.still])
    also, still = shown[: len(done.also)], shown[len(done.also) :]
    assert row.valid_to is not None
    path = "vehicles" if row.scope == "" else "additional-agreements"
    body: dict[str, Any] = {}
    if at != http.request_now():  # "from now" is said again by saying nothing
        body = {"at": at.isoformat().replace("+00:00", "Z")} | ({"reason": reason} if reason else {})
    offer = {"method": "POST", "href": f"/v1/agreements/{agreement.number}/{path}/{row.id}/remove"}
    return {
        "id": row.id,
        "valid_to": row.valid_to,
        "already": done.removed.already,
        "also": also,
        "still_on": [{**one, "remove": {**offer, "body": {**body, "also": [one["id"]]}}} for one in still],
    }


def additional_rows(agreement_id: int, rows: Sequence[Registration]) -> list[dict[str, Any]]:
    """Return additional registrations of an agreement's family as AdditionalRegistrationSchema shows them."""
    numbers = {one.id: one.number for one in family(http.current_session(), agreement_id)}
    return [
        {
            "id": row.id,
            "agreement": numbers[row.agreement_id],
            "operator": row.scope,
            "settlement": row.settlement,
            "external_ref": row.external_ref,
            "country": row.country,
            "plate": row.plate,
            "pan": row.pan,
            "valid_from": row.valid_from,
            "valid_to": row.valid_to,
        }
        for row in rows
    ]
