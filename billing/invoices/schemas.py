"""The HTTP shapes of invoices and runs."""

from __future__ import annotations

from config import http

KINDS = ("invoice", "credit_note")


class InvoiceSchema(http.Schema):
    """An invoice or credit note as its holder lists it."""

    number = http.whole("The invoice's number.", 100000123)
    kind = http.choice("invoice or credit_note.", KINDS)
    issued_on = http.date("Date of issue.")
    due_on = http.date("When it is to be paid; null on a receipt.", allow_none=True)
    period_from = http.date("The first day driven on it.", allow_none=True)
    period_to = http.date("The last day driven on it.", allow_none=True)
    total_ore = http.ore("What it is for, VAT and fees included.")
    credit_used_ore = http.ore("Of that settled by credit when it was issued.", 0)
    open_ore = http.ore("What is left to pay.", 0)
    kid = http.text("What it is paid with; null on a receipt.", "100000011000001235", allow_none=True)
    paid_by = http.mapping(
        "On a receipt: the card it was paid with.", {"brand": "visa", "last4": "4242"}, allow_none=True
    )


class LineSchema(http.Schema):
    """A line: one vehicle, service and VAT rate."""

    line = http.whole("Its place, from 1.", 1)
    kind = http.text("toll, ferry or card_fee.", "toll")
    country = http.country("Country of the plate.", allow_none=True)
    plate = http.text("The vehicle.", "EL12345", allow_none=True)
    vat_bp = http.whole("VAT rate in basis points.", 1200)
    count = http.whole("How many passages.", 12)
    gross_ore = http.ore("With VAT.")
    net_ore = http.ore("Without VAT.")
    vat_ore = http.ore("VAT.", 0)


class VatSchema(http.Schema):
    """The sums of one VAT rate."""

    rate_bp = http.whole("VAT rate in basis points; 0 is exempt.", 1200)
    gross_ore = http.ore("With VAT.", 22400)
    net_ore = http.ore("Without VAT.", 20000)
    vat_ore = http.ore("VAT.", 2400)


class SettledSchema(http.Schema):
    """What settled some of it."""

    source = http.choice("What it was.", ("payment", "reversal", "credit", "card", "write_off"))
    amount_ore = http.ore("How much; negative where it was taken back.")
    value_date = http.date("When it counts from.")


class WholeInvoiceSchema(InvoiceSchema):
    """An invoice with its lines and what settled it."""

    agreement = http.agreement_number()
    account = http.text("The account it is paid to, 11 digits.", "15030012345")
    vat = http.many(VatSchema, "The sums per VAT rate.")
    lines = http.many(LineSchema, "The lines.")
    settled = http.many(SettledSchema, "What has settled it.")


class RunSchema(http.Schema):
    """A monthly run."""

    id = http.whole("The run's id.", 3)
    for_date = http.date("The date it is for.")
    cutoff_at = http.instant("What had arrived by then was taken.")
    state = http.choice("running or done.", ("running", "done"))
    actor = http.text("Who began it.", "schedule")
    total = http.whole("Agreements that had something to invoice when it (last) began.", 124)
    looked_at = http.whole("How many of them it has been through.", 124)
    per_second = http.whole("Agreements a second, as of its last chunk.", 1500, allow_none=True)
    seconds_left = http.whole("Seconds left, as of its last chunk.", 0, allow_none=True)
    created = http.whole("Invoices made.", 120)
    carried = http.whole("Sums under the smallest invoice, carried to the next.", 4)
    failed = http.whole("Agreements it could not invoice; starting it again tries them again.", 0)
    sum_ore = http.ore("What was invoiced.")
    started_at = http.instant("When it began.")
    finished_at = http.instant("When it was done.", allow_none=True)


class StartRunSchema(http.Schema):
    """Which run to start."""

    date = http.date("The business date it is for; not ahead of today.")
