"""The HTTP shapes of reconciliation."""

from __future__ import annotations

from config import http


class ReconciliationQuery(http.QuerySchema):
    """Which days."""

    charger = http.text("Only this charger.", "FJELL", max_length=20, load_default=None)
    first = http.date("The first day of arrival; left out: yesterday.", data_key="from", load_default=None)
    last = http.date("The last day, in it; left out: the first.", data_key="to", load_default=None)


class ReconciledDaySchema(http.Schema):
    """A charger's day of arrival (Oslo)."""

    charger = http.text("The charger's code.", "FJELL")
    day = http.date("The day.")
    ok = http.flag("Whether everything holds.")
    batches = http.whole("Batches that arrived.", 3)
    unfinished = http.whole("Of these, how many are still being received.", 0)
    received = http.whole("Records in them.", 1200)
    sorts = http.mapping(
        "Records and øre by sort of answer: accepted, other_agreement, rejected, deferred, duplicates, conflicts, "
        "broken.",
        {"accepted": {"count": 1200, "ore": 2976000}},
    )
    owed_ore = http.ore("What the charger is owed for what was booked that day.", 2976000)
    differences = http.list_of(
        http.text("A difference.", "batch 17 (file.jsonl): 10 answered accepted, 9 are there"),
        "What does not hold; empty where all does.",
        [],
        at_most=100_000,
    )


class GapSchema(http.Schema):
    """File numbers that have not come though later ones have."""

    charger = http.text("The charger's code.", "FJELL")
    sender = http.text("Who sends the files: the charger itself, or a hub; empty where the files do not say.", "HUB")
    first = http.whole("The first number that is missing.", 17)
    last = http.whole("The last one, in it.", 17)


class ReconciliationSchema(http.Schema):
    """Whether what arrived, what was answered and what was booked agree."""

    ok = http.flag("Whether everything holds.")
    first_difference = http.text(
        "The first difference; null when there is none.", "FJELL 2026-03-02: …", allow_none=True
    )
    days = http.many(ReconciledDaySchema, "Day by day, by charger. Days on which nothing arrived are left out.")
    gaps = http.many(GapSchema, "File numbers that are missing, whenever.")
