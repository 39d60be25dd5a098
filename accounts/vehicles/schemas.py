"""Shapes of the vehicles' and tags' HTTP face."""

from __future__ import annotations

from accounts.vehicles.rules import TAG_STATES
from config import http

_REASON = "Why; needed for an earlier instant."


class WhenSchema(http.Schema):
    """From when something counts: nothing for now, a later Oslo day, or (support) an instant, also an earlier one."""

    day = http.date("From the start of this Oslo day; today is from now.", load_default=None, allow_none=True)
    at = http.instant("From this instant.", load_default=None, allow_none=True)
    reason = http.text(_REASON, "Sold; the papers were seen.", max_length=500, load_default=None, allow_none=True)


class VehicleSchema(http.Schema):
    """A vehicle on an agreement for a time."""

    id = http.whole("The registration's id.", 42, dump_only=True)
    country = http.country("Where it is registered, ISO 3166 alpha-2.", dump_only=True)
    plate = http.text("Its plate, as we key it.", "EL12345", dump_only=True)
    valid_from = http.instant("From when it is on the agreement.", dump_only=True)
    valid_to = http.instant("Until when, exclusive; null while it lasts.", dump_only=True, allow_none=True)


class NewVehicleSchema(WhenSchema):
    """A vehicle to put on an agreement."""

    country = http.text("Where it is registered.", "NO", max_length=2, min_length=2, load_default="NO")
    plate = http.text("Its plate, as one writes it; any format.", "EL 12345", max_length=30)


class AdditionalRegistrationSchema(http.Schema):
    """What an additional agreement is on: a plate or a tag, with a ferry operator."""

    id = http.whole("The registration's id.", 43, dump_only=True)
    agreement = http.agreement_number(
        "The agreement it is on: the ferry agreement, or where it is shown.", dump_only=True
    )
    operator = http.text("The ferry operator's code.", "FJORD", dump_only=True)
    settlement = http.choice(
        "own: on our ferry agreement; external: at the other company.", ("own", "external"), dump_only=True
    )
    external_ref = http.text("The other company's reference.", "FK-77-1", dump_only=True, allow_none=True)
    country = http.country(dump_only=True, allow_none=True)
    plate = http.text("The plate, when it is on a vehicle.", "EL12345", dump_only=True, allow_none=True)
    pan = http.text("The tag's PAN, when it is on a tag.", "9578000100000000123", dump_only=True, allow_none=True)
    valid_from = http.instant("From when.", dump_only=True)
    valid_to = http.instant("Until when, exclusive; null while it lasts.", dump_only=True, allow_none=True)


class RemoveSchema(WhenSchema):
    """From when to remove a vehicle, and from which additional agreements with it."""

    also = http.list_of(
        http.whole("A registration's id.", 43, low=1),
        "Ids of additional registrations to end at the same instant.",
        [43],
        load_default=list,
    )


class OfferSchema(http.Schema):
    """How to take the vehicle off there too: this request, as it stands."""

    method = http.text("The method.", "POST", dump_only=True)
    href = http.text("The address.", "/v1/agreements/10000001/vehicles/42/remove", dump_only=True)
    body = http.json("The body.", {"also": [43]}, dump_only=True)


class StillOnSchema(AdditionalRegistrationSchema):
    """An additional agreement that still has the vehicle, and how to remove it there."""

    remove = http.nested(OfferSchema, "The request that removes it there.", dump_only=True)


class RemovalSchema(http.Schema):
    """What a removal came to."""

    id = http.whole("The registration's id.", 42, dump_only=True)
    valid_to = http.instant("When it ends.", dump_only=True)
    already = http.flag("Whether it had ended by then before.", False, dump_only=True)
    also = http.many(AdditionalRegistrationSchema, "What was ended with it.", dump_only=True)
    still_on = http.many(
        StillOnSchema, "Additional agreements that still have the vehicle; its journeys settle there.", dump_only=True
    )


class MountSchema(http.Schema):
    """A tag in a vehicle for a time."""

    country = http.country(dump_only=True)
    plate = http.text("The vehicle's plate.", "EL12345", dump_only=True)
    valid_from = http.instant("From when.", dump_only=True)
    valid_to = http.instant("Until when, exclusive; null while it lasts.", dump_only=True, allow_none=True)


class TagSchema(http.Schema):
    """A tag and the vehicles it was in."""

    id = http.whole("The tag's id.", 7, dump_only=True)
    printed_number = http.text("The number printed on it.", "NO12345678", dump_only=True)
    pan = http.text("The account number inside it, 19 digits.", "9578000100000000123", dump_only=True)
    issuer = http.text(
        "Who issues such tags, where the PAN's beginning is known.", "Norge", dump_only=True, allow_none=True
    )
    obu_id = http.text("Its OBU id.", "AB12", dump_only=True, allow_none=True)
    state = http.choice("active, lost, stolen or returned.", tuple(TAG_STATES), dump_only=True)
    issued_at = http.instant("When it was issued.", dump_only=True)
    mounts = http.many(MountSchema, "Where it was, is and will be, oldest first.", dump_only=True)


class NewTagSchema(http.Schema):
    """A tag to issue."""

    printed_number = http.text("The number printed on it.", "NO 1234 5678", max_length=60)
    pan = http.text("Its PAN: 19 digits, with or without the pad F.", "9578000100000000123", max_length=40)
    obu_id = http.text("Its OBU id, hexadecimal.", "AB12", max_length=60, load_default=None, allow_none=True)


class MoveTagSchema(WhenSchema):
    """Which vehicle a tag goes into."""

    vehicle = http.whole(
        "Id of the vehicle on this agreement; null takes the tag out of any. Its passages stay the holder's.",
        42,
        low=1,
        allow_none=True,
    )


class TagStateSchema(http.Schema):
    """What became of a tag."""

    state = http.choice("lost, stolen, returned, or active when it was found.", tuple(TAG_STATES), "lost")
