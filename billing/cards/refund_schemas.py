"""The HTTP shapes of refunds to cards and of disputes."""

from __future__ import annotations

from config import http

STATES = ("requested", "approved", "unknown", "succeeded", "failed", "cancelled")
DISPUTE_STATES = ("opened", "won", "lost")


class _OfCardSchema(http.Schema):
    """What a refund and a dispute have in common."""

    id = http.whole("Our number for it.", 17)
    agreement = http.agreement_number("The agreement whose card paid.")
    charge = http.whole("The charge that the card paid.", 4711)
    amount_ore = http.ore("The sum.", 2500)
    brand = http.text("The card's brand.", "visa")
    last4 = http.text("The card's last four digits.", "4242")
    ended_at = http.instant("When it ended.", allow_none=True)


class CardRefundSchema(_OfCardSchema):
    """A refund to the card that paid a charge."""

    state = http.choice(
        "`requested`: a second person must approve it, or the provider refused it and somebody must stop it or have it "
        "tried once more. `approved`: the provider is asked next. `unknown`: it was "
        "asked, and nobody knows yet. `succeeded`; `failed`, also days later, or `cancelled`: in credit again.",
        STATES,
    )
    reason = http.text("Why it was asked for.", "Wrong vehicle class.")
    requested_by = http.text("Who asked for it.", "agent:kari")
    requested_at = http.instant("When it was asked for.")
    approved_by = http.text(
        "Who approved it; null where the sum is small enough for one person.", "lead:ola", allow_none=True
    )
    approved_at = http.instant("When it was approved.", allow_none=True)
    reference = http.text("The provider's reference.", "re_3Nx", allow_none=True)
    code = http.text("Why it failed, in the provider's word.", "expired_or_canceled_card", allow_none=True)
    message = http.text("What the provider said, or why it is not known.", "no answer", allow_none=True)


class AskRefundSchema(http.Schema):
    """What of a charge to refund: passages that it paid, or so much of what is in credit."""

    passages = http.list_of(
        http.whole("A passage's id.", 4711),
        "Passages of the charge: they are credited, its receipt is issued anew, and what that frees is refunded, the "
        "fee in proportion. All that are left with `everything`.",
        [4711],
        load_default=None,
    )
    everything = http.flag("All passages of the charge that are left.", load_default=False)
    amount_ore = http.ore(
        "Without passages: how much of the agreement's credit; null or left out: all of it that the card paid.", 2500,
        load_default=None, allow_none=True,
    )  # fmt: skip
    reason = http.text("Why, for the trail and the credit note.", "Wrong vehicle class.", max_length=300)


class AskedRefundSchema(http.Schema):
    """What came of asking."""

    refund = http.nested(
        CardRefundSchema,
        "The refund; null where what became credit was used on what else is owed, or stays in credit while a card's "
        "bank disputes a payment of the agreement.",
        allow_none=True,
    )
    credit_note = http.whole("The credit note of the receipt, where passages were given back.", 5, allow_none=True)


class CardRefundsQuery(http.PageQuery):
    """Which refunds to list."""

    state = http.choice("Only those in this state.", STATES, "requested", load_default=None)


class CardDisputeSchema(_OfCardSchema):
    """A payment that its cardholder's bank takes back, or asks about."""

    state = http.choice("`opened`: until the bank has judged. `won`: the money is ours. `lost`.", DISPUTE_STATES)
    withdrawn_ore = http.ore("What the bank has taken of us; nothing while it only asks.", 2500)
    claim_ore = http.ore("When lost: what is owed again, on a new invoice.", 2000)
    credit_ore = http.ore("When lost: what was taken of the agreement's credit.", 500)
    written_off_ore = http.ore("When lost: what is ours to bear.", 0)
    reason = http.text("The card network's word.", "fraudulent")
    reference = http.text("The provider's reference.", "dp_1Nx")
    evidence_due_at = http.instant("Until when the bank takes our answer.", allow_none=True)
    opened_at = http.instant("When we heard of it.")


class CardDisputesQuery(http.PageQuery):
    """Which disputes to list."""

    state = http.choice("Only those in this state.", DISPUTE_STATES, "opened", load_default=None)
