"""Shapes of the chargers' HTTP face."""

from __future__ import annotations

from accounts.chargers.rules import KINDS
from config import http


class ChargerSchema(http.Schema):
    """A toll charger or ferry operator."""

    code = http.text("What files and tokens name it by.", "FJELL", max_length=20, dump_only=True)
    name = http.text("Its name, as customers read it.", "Fjellveien Bompengeselskap AS", max_length=100)
    kind = http.choice("toll or ferry; never changes.", KINDS)
    org_no = http.text("Organisation number.", "988077917", max_length=20, load_default=None, allow_none=True)
    email = http.text("E-mail address.", "post@fjell.example", max_length=254, load_default=None, allow_none=True)
    phone = http.text("Telephone, as +CC….", "+4721000000", max_length=30, load_default=None, allow_none=True)


class StationSchema(http.Schema):
    """A toll station or ferry connection."""

    code = http.text("Its code in the charger's files.", "101", max_length=40)
    name = http.text("The name customers read.", "Tunnelen nord", max_length=100)
    project = http.text("The project it pays to.", "FJELL-1", max_length=60)


class StationsKeptSchema(http.Schema):
    """How many stations are as they were given."""

    stations = http.whole("How many were added or changed.", 2, dump_only=True)
