"""The HTTP shapes of settlement."""

from __future__ import annotations

from typing import Any

from billing.roadside.settlement.claim import LONGEST_NUMBER
from billing.roadside.settlement.rules import DIFFERENCES, ORDER_STATES, STATES
from config import http


class SettlementLineSchema(http.Schema):
    """A project's part of a settlement."""

    project = http.text("The project.", "FJELL-1")
    accepted_count = http.whole("Passages that were accepted.", 12000)
    accepted_ore = http.ore("Their sum.", 29760000)
    reversed_count = http.whole("Passages that were taken back.", 3)
    reversed_ore = http.ore("Their sum, positive.", 7440)
    net_ore = http.ore("Accepted less taken back.", 29752560)


class ChargerOrderSchema(http.Schema):
    """A payment order to a charger."""

    id = http.whole("Our number for it.", 7)
    settlement_id = http.whole("The settlement it pays.", 12)
    end_to_end_id = http.text("What it is called at the bank and at the charger.", "S12-1")
    amount_ore = http.ore("The sum.", 29231890)
    creditor_name = http.text("Who is paid.", "Fjellveien Bompengeselskap AS")
    account = http.text("The account, 11 digits.", "15030054323")
    execute_on = http.date("The bank day it is for.")
    state = http.choice(
        "waiting for a second person; released; written (to the bank's outbox); paid; rejected (by the bank); "
        "withdrawn.",
        ORDER_STATES,
    )
    made_at = http.instant("When it was made.")
    made_by = http.text("By whom; null to a charger.", "accountant:kari", allow_none=True)
    released_at = http.instant("When it was released; null before.", allow_none=True)
    released_by = http.text("By whom; null to a charger.", "lead:ola", allow_none=True)
    written_at = http.instant("When its file was put in the bank's outbox.", allow_none=True)
    sha256 = http.text("SHA-256 of its file, in hex.", "9f86d081884c7d65", allow_none=True)
    reference = http.text("The bank's reference of the payment.", "0415-778", allow_none=True)
    paid_on = http.date("The day it was paid.", allow_none=True)
    ended_at = http.instant("When that it was paid, rejected or withdrawn was noted.", allow_none=True)
    why = http.text("Why it was rejected or withdrawn; null to a charger.", "AC01", allow_none=True)


class SettlementSchema(http.Schema):
    """What we owe a charger for a period of arrival."""

    id = http.whole("Our number for it.", 12)
    charger = http.text("The charger's code.", "FJELL")
    period_from = http.date("The first day of arrival (Oslo).", "2026-03-01")
    period_to = http.date("The last day, in it.", "2026-03-31")
    cutoff_at = http.instant("The instant the last day ended.", "2026-03-31T22:00:00Z")
    state = http.choice(
        "draft; agreed (our remuneration is booked); ordered; paid; carried (nothing to pay out: what is negative goes "
        "into the next one).",
        STATES,
    )
    accepted_count = http.whole("Passages that were accepted.", 12000)
    accepted_ore = http.ore("Their sum.", 29760000)
    reversed_count = http.whole("Passages that were taken back.", 3)
    reversed_ore = http.ore("Their sum, positive.", 7440)
    claim_ore = http.ore("Accepted less taken back: what the charger is owed.", 29752560)
    remuneration_bp = http.whole("Our remuneration, in basis points.", 175)
    remuneration_ore = http.ore("Our remuneration.", 520670)
    remuneration_vat_ore = http.ore("VAT on it.", 0)
    brought_ore = http.ore("What the settlement before had too little of; 0 or negative.", 0)
    payout_ore = http.ore("What is paid out.", 29231890)
    made_at = http.instant("When it was made.")
    made_by = http.text("By whom; null to a charger.", "schedule", allow_none=True)
    agreed_at = http.instant("When it was agreed; null for a draft.", allow_none=True)
    agreed_by = http.text("By whom; null to a charger.", "accountant:kari", allow_none=True)
    note = http.text(
        "Why it stands although the charger's claim differs; null to a charger.",
        "The rest comes in May.",
        allow_none=True,
    )
    lines = http.many(SettlementLineSchema, "By project.")
    orders = http.many(ChargerOrderSchema, "Its payment orders, the last first.")


class SettlementsQuery(http.PageQuery):
    """Which settlements to list."""

    charger = http.text("Only this charger's; a charger sees its own.", "FJELL", max_length=20, load_default=None)


class SettleSchema(http.Schema):
    """What to settle."""

    charger = http.text("The charger's code.", "FJELL", max_length=20)
    period_from = http.date(
        "The first day; left out: the day after the last settlement.", "2026-03-01", load_default=None, allow_none=True
    )
    period_to = http.date(
        "The last day; left out: the end of the week or month, as settlements are made by themselves.",
        "2026-03-31",
        load_default=None,
        allow_none=True,
    )


class AgreeSchema(http.Schema):
    """That a settlement is agreed to."""

    note = http.text(
        "Why it stands; needed where the charger's claim differs.",
        "The two records come in the next period.",
        max_length=500,
        load_default=None,
        allow_none=True,
    )


class OrderSettlementSchema(http.Schema):
    """How a settlement shall be paid."""

    execute_on = http.date("The bank day; left out: the next one.", load_default=None, allow_none=True)


class PaidSchema(http.Schema):
    """That the bank has paid an order."""

    reference = http.text("The bank's reference.", "0415-778", max_length=64)
    paid_on = http.date("The day it was paid.")


class WhySchema(http.Schema):
    """Why an order ends unpaid."""

    why = http.text("Why, for the trail.", "The account is closed (AC04).", max_length=300)


class DifferenceSchema(http.Schema):
    """What differs between a claim and what we owe."""

    number = http.whole("Its place in the list, from 1.", 1)
    kind = http.choice(
        "missing_here (no such record has come); not_accepted (we refused it: `code`); amount_differs; missing_there "
        "(we owe it, it is not claimed); reversed_here; other_period (it came on other days); claimed_twice.",
        DIFFERENCES,
    )
    line = http.whole("The claim's line; null where it has none.", 17, allow_none=True)
    source_id = http.text("The record.", "FJ-2026-000001", allow_none=True)
    project = http.text("The project, in a claim by project.", "FJELL-1", allow_none=True)
    claimed_ore = http.ore("What is claimed for it.", 2480)
    ours_ore = http.ore("What we owe for it.", 0)
    code = http.text("Our answer to the record.", "unknown_vehicle", allow_none=True)
    detail = http.text("What differs, in words.", "no such record has come")


class ClaimSchema(http.Schema):
    """What came of a charger's claim. `claimed_ore` less `ours_ore` is the sum over its differences."""

    number = http.text("The charger's number for it.", "2026-03")
    period_from = http.date("The first day of arrival.", "2026-03-01")
    period_to = http.date("The last day, in it.", "2026-03-31")
    form = http.choice("Whether its lines are by record or by project.", ("records", "projects"))
    line_count = http.whole("Lines.", 11999)
    claimed_ore = http.ore("Their sum.", 29755040)
    ours_count = http.whole("Records (or projects) we owe something for.", 11998)
    ours_ore = http.ore("What we owe for those days.", 29752560)
    difference_count = http.whole("How many differences there are.", 1)
    kinds = http.mapping("Differences by kind.", {"missing_here": 1})
    received_at = http.instant("When it came.")
    repeated = http.flag("Whether it had come before.", False)


class DifferencesQuery(http.PageQuery):
    """Which differences to list."""

    kind = http.choice("Only this kind.", DIFFERENCES, load_default=None)


class ClaimQuery(http.QuerySchema):
    """About a claim sent as CSV; JSON and XML say it themselves."""

    number = http.text("The charger's number for it.", "2026-03", max_length=LONGEST_NUMBER, load_default=None)
    period_from = http.date("The first day of arrival.", "2026-03-01", load_default=None)
    period_to = http.date("The last day, in it.", "2026-03-31", load_default=None)
    total_ore = http.ore("What the lines sum up to, to be checked.", 29755040, load_default=None)


BODY: dict[str, Any] = {
    "description": "A claim as docs/formats.md describes it: JSON, CSV, or PaymentClaim of our profile of ISO 12855.",
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "object", "description": "A claim."},
            "example": {
                "number": "2026-03",
                "period_from": "2026-03-01",
                "period_to": "2026-03-31",
                "currency": "NOK",
                "total_ore": 2480,
                "lines": [{"record": "FJ-2026-000001", "amount_ore": 2480}],
            },
        },
        "text/csv": {"schema": {"type": "string", "description": "A header, then a line a record or project."}},
        "application/xml": {"schema": {"type": "string", "description": "A PaymentClaim."}},
    },
}
"""The body of a claim in the OpenAPI document."""
