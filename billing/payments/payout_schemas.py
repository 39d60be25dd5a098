"""The HTTP shapes of payouts."""

from __future__ import annotations

from config import http

STATES = ("requested", "approved", "ordered", "paid", "rejected", "cancelled")


class OwnPayoutSchema(http.Schema):
    """A payout as the holder of the agreement sees it."""

    id = http.whole("Our number for it.", 17)
    agreement = http.agreement_number("The agreement whose credit it is.")
    amount_ore = http.ore("The sum.", 2500)
    account = http.text("The account it goes to; only its last four digits are shown.", "*******2345")
    state = http.choice(
        "`requested`: a second person must approve it. `approved`: it is in the next order to the bank. `ordered`: the "
        "bank has the order. `paid`; `rejected` by the bank, or `cancelled` before it was ordered: in credit again.",
        STATES,
    )
    requested_at = http.instant("When it was asked for.")
    execute_on = http.date("The bank day on which the bank is to pay it; null before it is ordered.", allow_none=True)
    ended_at = http.instant("When it was paid, rejected or cancelled.", allow_none=True)


class PayoutSchema(OwnPayoutSchema):
    """A payout as our own people see it."""

    reason = http.text("Why an agent asked for it.", "The customer has left us.", allow_none=True)
    requested_by = http.text("Who asked for it.", "agent:kari")
    approved_by = http.text(
        "Who approved it; null where the sum is small enough for one person.", "lead:ola", allow_none=True
    )
    approved_at = http.instant("When it was approved.", allow_none=True)
    order = http.text("The file of the order that it is in.", "brikke-payouts-20260302.xml", allow_none=True)
    reference = http.text("The bank's reference, or why it was rejected.", "2026030200017", allow_none=True)


class RequestPayoutSchema(http.Schema):
    """What to pay out, and where to."""

    amount_ore = http.ore(
        "How much of the credit; null or left out: all of it.", 2500, load_default=None, allow_none=True
    )
    account = http.text("A Norwegian account number of 11 digits.", "15030012345", max_length=20)
    reason = http.text(
        "Why, for the trail; our own people must say.", "The customer has left us.", max_length=300,
        load_default=None, allow_none=True,
    )  # fmt: skip


class PayoutsQuery(http.PageQuery):
    """Which payouts to list."""

    state = http.choice("Only those in this state.", STATES, "requested", load_default=None)


class PaidPayoutSchema(http.Schema):
    """What the bank says of a payout that it paid."""

    reference = http.text("The bank's reference.", "2026030200017", max_length=100)


class RejectedPayoutSchema(http.Schema):
    """What the bank says of a payout that it refused."""

    why = http.text("Why, as the bank says it.", "AC04 account closed", max_length=300)
