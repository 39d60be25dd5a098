"""The HTTP shapes of passages."""

from __future__ import annotations

from config import http


class PassageQuery(http.PageQuery):
    """Which passages of an agreement."""

    since = http.date("From this Oslo date on, by when it happened.", "2026-03-01", load_default=None)
    until = http.date("To this Oslo date, inclusive.", "2026-03-31", load_default=None)


class PassageSchema(http.Schema):
    """A passage, or a counter-row that takes one back (negative amounts, `reverses_id`)."""

    id = http.whole("The passage's number.", 4711)
    passed_at = http.instant("When it happened.", "2026-03-02T08:15:00Z")
    booked_at = http.instant("When it reached us; billing goes by this.", "2026-03-02T09:15:00Z")
    charger = http.text("Code of the toll charger or ferry operator.", "FJELL")
    charger_name = http.text("Its name.", "Fjellbompenger AS")
    station = http.text("Code of the station.", "S12")
    station_name = http.text("The station's name.", "Danmarksplass")
    service = http.choice("Toll or ferry.", ("toll", "ferry"))
    country = http.text("Country of the plate, ISO 3166 alpha-2.", "NO", allow_none=True)
    plate = http.text("Plate of the vehicle; null when only the tag is known.", "EL12345", allow_none=True)
    vehicle_class = http.text("The charger's class of the vehicle.", "1", allow_none=True)
    list_ore = http.ore("Price before discounts, VAT included.", 3100)
    amount_ore = http.ore("What is to be paid, VAT included; negative on a counter-row.", 2480)
    vat_bp = http.whole("VAT rate inside the amounts, in basis points (1200 is 12 %).", 0)
    flags = http.list_of(
        http.text("A word.", "tag_discount"),
        "What is to be said of it: by_plate, tag_plate_mismatch, after_removal, hour_rule, hour_free, monthly_cap, "
        "tag_discount, zero_emission, additional_unavailable (an additional agreement could not take the journey).",
        ["tag_discount"],
    )
    external = http.flag("Whether it is settled with its operator and never billed here.", False)
    reverses_id = http.whole("The passage that this row takes back.", 4700, allow_none=True)
    reversed = http.flag("Whether a counter-row takes this passage back.", False)
    claim_id = http.whole("The claim it is billed with; null while unbilled.", 12, allow_none=True)


class CreditPassageSchema(http.Schema):
    """Why a passage is credited."""

    reason = http.text("Why; the customer and the accountant may read it.", "Vehicle was scrapped the day before")


class CreditedPassageSchema(http.Schema):
    """That a passage was credited."""

    passage_id = http.whole("The passage.", 4711)
    counter_id = http.whole("The counter-row; it comes with the next invoice.", 4811)
    reason = http.text("Why.", "Vehicle was scrapped the day before")
    at = http.instant("When.")
