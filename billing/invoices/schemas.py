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
    total_ore = http.ore("What it is for, VAT and fees included; negative on a credit note.")
    credit_used_ore = http.ore("Of that settled by credit when it was issued.", 0)
    open_ore = http.ore("What is left to pay; nothing of an invoice that was credited.", 0)
    kid = http.text("What it is paid with; null on receipts and credit notes.", "100000011000001235", allow_none=True)
    paid_by = http.mapping(
        "On a receipt: the card it was paid with.", {"brand": "visa", "last4": "4242"}, allow_none=True
    )
    credits = http.whole("On a credit note: the document it credits, whole.", 100000122, allow_none=True)
    credited_by = http.whole("The credit note that credits it.", 100000124, allow_none=True)
    replaces = http.whole("The document whose place it took, when that was credited.", 100000122, allow_none=True)
    replaced_by = http.whole("The document that took its place, when it was credited.", 100000125, allow_none=True)


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

    source = http.choice(
        "What it was.", ("payment", "reversal", "credit", "card", "vipps", "write_off", "released", "dispute")
    )
    amount_ore = http.ore("How much; negative where it was taken back, or released into credit.")
    value_date = http.date("When it counts from.")


class WholeInvoiceSchema(InvoiceSchema):
    """An invoice with its lines and what settled it."""

    agreement = http.agreement_number()
    account = http.text("The account it is paid to, 11 digits.", "15030012345")
    vat = http.many(VatSchema, "The sums per VAT rate.")
    lines = http.many(LineSchema, "The lines.")
    settled = http.many(SettledSchema, "What has settled it.")


ODD = http.choice("sum: far above what is usual; large: many large invoices.", ("sum", "large"))


class RunSchema(http.Schema):
    """A monthly run."""

    id = http.whole("The run's id.", 3)
    for_date = http.date("The date it is for.")
    cutoff_at = http.instant("What had arrived by then was taken.")
    kind = http.choice("invoices: the month's; early: of who drives very much.", ("invoices", "early"))
    state = http.choice("running, held (it looks odd and waits for release) or done.", ("running", "held", "done"))
    odd = http.list_of(
        ODD, "What looked odd before it began: sum, large; null before anybody looked.", ["sum"], allow_none=True
    )
    released_by = http.text("Who let it go on though it looked odd.", "lead:eva", allow_none=True)
    actor = http.text("Who began it.", "schedule")
    total = http.whole("Agreements that had something to invoice when it (last) began.", 124)
    looked_at = http.whole("How many of them it has been through.", 124)
    per_second = http.whole("Agreements a second, as of its last chunk.", 1500, allow_none=True)
    seconds_left = http.whole("Seconds left, as of its last chunk.", 0, allow_none=True)
    created = http.whole("Invoices made.", 120)
    credited = http.whole("Credit notes made of sums below zero.", 1)
    credited_ore = http.ore("Their sum, negative.", -2500)
    carried = http.whole("Sums under the smallest invoice, carried to the next.", 4)
    failed = http.whole("Agreements it could not invoice; starting it again tries them again.", 0)
    sum_ore = http.ore("What was invoiced.")
    started_at = http.instant("When it began.")
    finished_at = http.instant("When it was done.", allow_none=True)


class LargeSchema(http.Schema):
    """One of the largest invoices to be."""

    agreement = http.agreement_number()
    name = http.text("Its holder.", "Kari Nordmann")
    ore = http.ore("What it would be.", 2_750_000)


class PreviewSchema(http.Schema):
    """What a run would do now. It is read off the balances, and at most a little too high."""

    for_date = http.date("The date it would be for.")
    invoices = http.whole("Invoices it would make.", 120)
    sum_ore = http.ore("Their sum.", 4_200_000)
    carried = http.whole("Sums under the smallest invoice, which it would carry.", 4)
    below_zero = http.whole("Credit notes it would make.", 1)
    large = http.whole("How many of the invoices are large.", 2)
    usual_ore = http.ore("The mean sum of the last runs; null without any.", 4_000_000, allow_none=True)
    odd = http.list_of(ODD, "What looks odd: sum, large. Then it would wait for a person.", ["sum"])
    largest = http.many(LargeSchema, "The largest invoices.")


class PreviewQuery(http.Schema):
    """Which run to look ahead to."""

    date = http.date("The business date; today when left out.", load_default=None, allow_none=True)


class StartRunSchema(http.Schema):
    """Which run to start."""

    date = http.date("The business date it is for; not ahead of today.")


class FormQuery(http.Schema):
    """In which form a document is asked for."""

    form = http.choice(
        "transfer (with a payment slip) or avtalegiro (drawn from the account, no slip); left out: as it was issued.",
        ("transfer", "avtalegiro"),
        load_default=None,
    )
    details = http.flag("Whether the passages stand on it; they are left out of more than 5,000.", load_default=True)


class ReasonSchema(http.Schema):
    """Why something is asked for."""

    reason = http.text("Why, for the trail and with the credit note.", "The buyer's name was wrong.", max_length=300)


class ReissuedSchema(http.Schema):
    """What came of crediting an invoice whole."""

    credited = http.whole("The invoice or receipt that was credited.", 100000123)
    credit_note = http.whole("The credit note.", 100000124)
    credited_ore = http.ore("Its sum, negative.", -16450)
    invoice = http.whole(
        "What presents the rest: an invoice, a receipt, below zero another credit note; null when nothing is left.",
        100000125,
        allow_none=True,
    )
    total_ore = http.ore("Its sum.", 13950)
    already = http.flag("Whether it had been done before; then nothing was changed.")


class CreditNoteSchema(http.Schema):
    """What came of asking for a credit note."""

    credit_note = http.whole("Its number; null when there was nothing to credit.", 100000124, allow_none=True)
    credit_ore = http.ore("What the agreement has in credit now.", 2500)
