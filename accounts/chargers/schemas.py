"""Shapes of the chargers' HTTP face."""

from __future__ import annotations

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


class StationSchema(http.Schema):
    """A toll station or ferry connection."""

    code = http.text("Its code in the charger's files.", "101", max_length=40)
    name = http.text("The name customers read.", "Tunnelen nord", max_length=100)
    project = http.text("The project it pays to.", "FJELL-1", max_length=60)


class StationsKeptSchema(http.Schema):
    """How many stations are as they were given."""

    stations = http.whole("How many were added or changed.", 2, dump_only=True)
