"""The HTTP shapes of mass corrections."""

from __future__ import annotations

from billing.passages.mass.rules import LONGEST_REASON, MOST_STATIONS
from config import http

BEARERS = ("charger", "us")


class MassAskedSchema(http.Schema):
    """What is to be corrected."""

    charger = http.text("Code of the toll charger or ferry operator.", "FJELL", max_length=40)
    stations = http.list_of(
        http.text("Code of a station.", "S12", max_length=40), "Its stations that were wrong.", ["S12"],
        at_most=MOST_STATIONS,
    )  # fmt: skip
    since = http.instant("From this instant on, by when it happened.", "2026-03-01T06:00:00Z")
    until = http.instant("Until this instant, exclusive; at most a month later, and over.", "2026-03-01T18:00:00Z")
    service = http.choice("Only toll or only ferry.", ("toll", "ferry"), load_default=None, allow_none=True)
    vehicle_class = http.text("Only this class of vehicle, as the charger names it.", "2", max_length=40,
                              load_default=None, allow_none=True)  # fmt: skip
    country = http.country("Country of `plate`; NO when left out.", load_default=None, allow_none=True)
    plate = http.plate("Only this vehicle.", load_default=None, allow_none=True)
    bearer = http.choice(
        "Who bears it: the charger, which is then not owed the passages, or us: the customers are freed, the charger "
        "is owed still.",
        BEARERS,
    )
    reason = http.text("What went wrong.", "Antenna 2 read every vehicle twice", max_length=LONGEST_REASON)


class MassConfirmSchema(http.Schema):
    """That exactly what was shown is wanted."""

    digest = http.text("The preview's digest.", "9f2c4b", max_length=64)


class MassUndoSchema(http.Schema):
    """Why a mass correction is undone."""

    reason = http.text("Why.", "The charger found that the reads were right", max_length=LONGEST_REASON)


class MassCorrectionSchema(http.Schema):
    """A mass correction, or (`undoes_id`) the undoing of one."""

    id = http.whole("Its number.", 12)
    undoes_id = http.whole("The mass correction that it undoes.", 11, allow_none=True)
    undone_by = http.whole("The mass correction that undoes it.", 13, allow_none=True)
    state = http.choice("preview (nothing is booked), running or done.", ("preview", "running", "done"))
    charger = http.text("Code of the charger.", "FJELL")
    charger_name = http.text("Its name.", "Fjellbompenger AS")
    stations = http.list_of(http.text("Code of a station.", "S12"), "Its stations.", ["S12"])
    since = http.instant("From this instant on, by when it happened.")
    until = http.instant("Until this instant, exclusive.")
    service = http.text("Only this service.", "toll", allow_none=True)
    vehicle_class = http.text("Only this class of vehicle.", "2", allow_none=True)
    country = http.text("Country of the plate.", "NO", allow_none=True)
    plate = http.text("Only this vehicle.", "EL12345", allow_none=True)
    bearer = http.choice("Who bears it.", BEARERS)
    reason = http.text("Why.", "Antenna 2 read every vehicle twice")
    actor = http.text("Who asked for it.", "lead:lise")
    made_at = http.instant("When it was counted.")
    digest = http.text("Names exactly the passages found, and which of them were billed.", "9f2c4b")
    passages = http.whole("How many passages it is about.", 4711)
    agreements = http.whole("Of how many agreements.", 3200)
    sum_ore = http.ore("Their sum.", 11683280)
    billed = http.whole("How many of them are in a claim already.", 900)
    billed_ore = http.ore("The sum of those.", 2232000)
    confirmed_at = http.instant("When it was confirmed.", allow_none=True)
    confirmed_by = http.text("By whom.", "lead:lise", allow_none=True)
    finished_at = http.instant("When all was done and the customers told.", allow_none=True)
    done = http.whole("How many passages were corrected so far.", 4700)
    done_ore = http.ore("Their sum.", 11656000)
    skipped = http.whole(
        "How many had been changed otherwise, or (of an undoing) sent anew, when their turn came, and were left as "
        "they are.",
        11,
    )
