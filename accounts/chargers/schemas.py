"""Shapes of the chargers' HTTP face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields, validate

from accounts.chargers.rules import KINDS, LIST_FORMATS, LISTS, LONGEST_LATENCY, TAKEN_TYPES
from config import http


class ChargerSchema(http.Schema):
    """A toll charger or ferry operator."""

    code = http.text("What files and tokens name it by.", "FJELL", max_length=20, dump_only=True)
    name = http.text("Its name, as customers read it.", "Fjellveien Bompengeselskap AS", max_length=100)
    kind = http.choice("toll or ferry; never changes.", KINDS)
    org_no = http.text("Organisation number.", "988077917", max_length=20, load_default=None, allow_none=True)
    email = http.text("E-mail address.", "post@fjell.example", max_length=254, load_default=None, allow_none=True)
    phone = http.text("Telephone, as +CC….", "+4721000000", max_length=30, load_default=None, allow_none=True)
    bank_account = http.text(
        "Account it is paid to: 11 digits, the last a check digit. Without one it is settled, and not paid.",
        "15030054323",
        max_length=20,
        load_default=None,
        allow_none=True,
    )
    lists = http.choice(
        "How it gets status lists. none: not at all, it is told of every change at once; pull: it fetches them; push: "
        "they are put in its outbox. With lists, a passage is judged by what it had acknowledged. Left out: as it is.",
        LISTS,
        required=False,
    )
    list_types = http.choice("Which lists it takes. Left out: as it is.", TAKEN_TYPES, required=False)
    list_format = http.choice("The form of its lists. Left out: as it is.", LIST_FORMATS, required=False)
    latency_minutes = http.whole(
        "Minutes from its acknowledgement until a list counts, where that is agreed with it; null: as for all.",
        30,
        high=LONGEST_LATENCY,
        required=False,
        allow_none=True,
    )


class Degrees(fields.Float):
    """A number of degrees: 60.39, not "60.39" or true."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


def _degrees(about: str, example: float, most: int) -> Degrees:
    return Degrees(
        required=False,
        allow_none=True,
        validate=validate.Range(-most, most),
        metadata={"description": f"{about} Left out: as it is; null: not known.", "example": example},
    )


class StationSchema(http.Schema):
    """A toll station or ferry connection."""

    code = http.text("Its code in the charger's files.", "101", max_length=40)
    name = http.text("The name customers read.", "Tunnelen nord", max_length=100)
    project = http.text("Code of the project it pays to; a new one becomes a project.", "FJELL-1", max_length=60)
    latitude = _degrees("Where it is, degrees north (WGS 84).", 60.3913, 90)
    longitude = _degrees("Where it is, degrees east (WGS 84); with latitude or not at all.", 5.3221, 180)


class StationsKeptSchema(http.Schema):
    """How many stations are as they were given."""

    stations = http.whole("How many were added or changed.", 2, dump_only=True)


class ProjectSchema(http.Schema):
    """What stations of a charger pay to."""

    code = http.text("Its code at the charger.", "FJELL-1", max_length=60)
    name = http.text("The name customers read.", "Bypakke Bergen", max_length=100)
    from_on = http.date("The first day it collects.", "2019-04-06", load_default=None, allow_none=True)
    to_on = http.date("The last day it collects.", "2038-12-31", load_default=None, allow_none=True)


class ProjectsKeptSchema(http.Schema):
    """How many projects are as they were given."""

    projects = http.whole("How many were added or changed.", 2, dump_only=True)
