"""The HTTP shapes of payments and refunds by Vipps."""

from __future__ import annotations

from billing.payments.vipps.models import STATES
from config import http

REFUND_STATES = ("requested", "approved", "unknown", "succeeded", "failed", "cancelled")
_REFERENCE = "brikke-100000001-3f2a90c1d4e5b6f7"


class BeginVippsPaymentSchema(http.Schema):
    """How the customer comes back."""

    return_url = http.text(
        "Where the customer's browser comes back to, on our own address; `{reference}` in it becomes the payment's.",
        "/mypage/10000001/vipps/{reference}",
        max_length=500,
    )


class VippsPaymentSchema(http.Schema):
    """A payment of an invoice by Vipps."""

    reference = http.text("Our reference of it, which Vipps knows it by.", _REFERENCE)
    agreement = http.agreement_number("The agreement whose invoice it pays.")
    invoice = http.whole("The invoice's number.", 100000001)
    amount_ore = http.ore("What was open when it began.", 12345)
    state = http.choice(
        "`created`: the customer may approve it at `url`. `capturing`: approved, the money is being taken. "
        "`captured`: paid. `cancelling`, `cancelled`: given up, or what was reserved is released. `aborted`: the "
        "customer said no. `expired`. `unknown`: Vipps has not answered yet. `nothing`: it was never made.",
        STATES,
        "created",
    )
    url = http.text(
        "Send the customer's browser there; null when it is too late.", "https://pay.vipps.no/x", allow_none=True
    )
    captured_ore = http.ore("What was taken.", 0)
    refunded_ore = http.ore("What has gone back of it.", 0)
    started_at = http.instant("When the customer began.")
    captured_at = http.instant("When the money was taken.", allow_none=True)
    ended_at = http.instant("When nothing more could become of it.", allow_none=True)


class VippsRefundSchema(http.Schema):
    """A refund to a payment by Vipps."""

    id = http.whole("Our number for it.", 17)
    agreement = http.agreement_number("The agreement whose payment it was.")
    reference = http.text("The payment that it goes back to.", _REFERENCE)
    invoice = http.whole("The invoice that was paid.", 100000001)
    amount_ore = http.ore("The sum.", 2500)
    state = http.choice(
        "`requested`: a second person must approve it. `approved`: Vipps is asked next. `unknown`: it was asked, and "
        "nobody knows yet. `succeeded`; `failed` or `cancelled`: in credit again.",
        REFUND_STATES,
    )
    reason = http.text("Why it was asked for.", "Wrong vehicle class.")
    requested_by = http.text("Who asked for it.", "agent:kari")
    requested_at = http.instant("When it was asked for.")
    approved_by = http.text(
        "Who approved it; null where the sum is small enough for one person.", "lead:ola", allow_none=True
    )
    approved_at = http.instant("When it was approved.", allow_none=True)
    code = http.text("Why it failed, in Vipps's word.", "Not possible", allow_none=True)
    message = http.text("Why it is not known yet.", "no answer", allow_none=True)
    ended_at = http.instant("When it ended.", allow_none=True)


class AskVippsRefundSchema(http.Schema):
    """How much of the agreement's credit goes back to a payment."""

    amount_ore = http.ore(
        "So much; null or left out: all that is in credit and left of the payment.", 2500, load_default=None,
        allow_none=True,
    )  # fmt: skip
    reason = http.text("Why, for the trail.", "Wrong vehicle class.", max_length=300)


class VippsRefundsQuery(http.PageQuery):
    """Which refunds to list."""

    state = http.choice("Only those in this state.", REFUND_STATES, "requested", load_default=None)


class VippsWebhookAnswerSchema(http.Schema):
    """What became of an event."""

    effect = http.text("The payment's state then, `ignored` or `repeated`.", "captured")
