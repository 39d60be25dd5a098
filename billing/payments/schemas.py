"""The HTTP shapes of payments."""

from __future__ import annotations

from config import http

_STATES = ("settled", "suspense", "reversed")


class PaymentSchema(http.Schema):
    """A payment as the bank told of it, and what became of it."""

    id = http.whole("Our number for it.", 4711)
    value_date = http.date("The day it counts as paid.")
    amount_ore = http.ore("The sum; negative when the bank took it back.", 16450)
    kid = http.text("The KID as the payer gave it; null without one.", "100000011000000016", allow_none=True)
    kind = http.text("The bank's transaction type: 10 giro, 13 business terminal, 15 AvtaleGiro, 18 reversal …", "13")
    archive_ref = http.text("The bank's archive reference, if it gave one.", "123456789", allow_none=True)
    text = http.text("What the payer or the bank wrote, if anything.", "Bompenger mars", allow_none=True)
    state = http.choice(
        "`settled`: it paid invoices or became credit. `suspense`: it waits for somebody to place it. `reversed`: it "
        "was taken back before it was placed.",
        _STATES,
    )
    why = http.text("Why it waits, as a stable word; null when it does not.", "unknown_kid", allow_none=True)
    why_text = http.text("The same as a sentence.", "No invoice has this KID.", allow_none=True)
    received_at = http.instant("When we read the bank's file.")
    file = http.text("The name of the bank's file.", "OCR.D030326")
    line = http.whole("The line it begins at in that file.", 3)
    agreement = http.agreement_number("The agreement it belongs to; null while nobody's.", allow_none=True)
    invoice = http.whole("The number of the invoice it was for, if any.", 100000001, allow_none=True)


class OwnPaymentSchema(http.Schema):
    """A payment as its payer sees it."""

    class Meta:
        fields = ("id", "value_date", "amount_ore", "kid", "state", "received_at", "invoice")

    id = http.whole("Our number for it.", 4711)
    value_date = http.date("The day it counts as paid.")
    amount_ore = http.ore("The sum; negative when the bank took it back.", 16450)
    kid = http.text("The KID that was given; null without one.", "100000011000000016", allow_none=True)
    state = http.choice("`settled`, or `suspense` while some of it waits to be placed.", _STATES)
    received_at = http.instant("When it reached us.")
    invoice = http.whole("The number of the invoice it was for, if any.", 100000001, allow_none=True)


class PaymentsQuery(http.PageQuery):
    """Which payments to list."""

    state = http.choice("Only those in this state.", _STATES, "suspense", load_default=None)


class AssignSchema(http.Schema):
    """Where a payment belongs."""

    agreement = http.agreement_number("The agreement it is given to.")
    invoice = http.whole(
        "The invoice it pays; what is too much becomes credit. Left out or null: all of it becomes credit.",
        100000001,
        low=1,
        load_default=None,
        allow_none=True,
    )
    reason = http.text("Why, for the trail.", "The customer sent a screenshot from the bank.", max_length=1000)


class BankFileQuery(http.QuerySchema):
    """About the file."""

    name = http.text("The file's name, kept with it.", "OCR.D030326", max_length=200, load_default="bank-file")


class BankResultSchema(http.Schema):
    """What came of a bank file."""

    state = http.choice(
        "`booked`, or `already`: the same bytes were booked before, and nothing was changed.", ("booked", "already")
    )
    file_id = http.whole("Our number for the file.", 12)
    name = http.text("The file's name.", "OCR.D030326")
    transactions = http.whole("Payments in the file.", 120)
    sum_ore = http.ore("Their net sum, as the file states it.", 1234500)
    payments = http.whole("Payments that were new to us.", 120)
    repeated = http.whole("Payments we knew from another file.", 0)
    matched = http.whole("Payments whose KID is an invoice of ours.", 118)
    matched_ore = http.ore("Their sum.", 1210000)
    credit_ore = http.ore("What of it was too much and became credit.", 0)
    suspense = http.whole("Payments that wait in suspense.", 2)
    suspense_ore = http.ore("Their sum.", 24500)
    taken_back = http.whole("Payments the bank took back.", 0)
    standings = http.whole("Agreements whose standing changed.", 1)
    notes = http.list_of(
        http.text("A note.", "line 2: an account that is not ours"),
        "What an operator should know, by line.",
        ["line 2: account 99991042764 is not one of ours; its 4 payments wait in suspense"],
        at_most=1_000_000,
    )
