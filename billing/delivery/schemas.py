"""The HTTP shapes of delivery."""

from __future__ import annotations

from billing.delivery.models import STATES
from config import http


class DeliverySchema(http.Schema):
    """A message to the holder of an agreement, as it was or is to be sent."""

    id = http.whole("The delivery's number.", 17, dump_only=True, attribute="delivery_id")
    template = http.text("What it says: invoice, receipt, reminder, blocked, …", "invoice", dump_only=True)
    invoice = http.whole("Number of the document it carries or is about.", 1001, dump_only=True, allow_none=True)
    channel = http.text("How it goes.", "email", dump_only=True)
    recipient = http.text(
        "The address it went to; null until then.", "kari@example.no", dump_only=True, allow_none=True
    )
    state = http.choice(
        "How that stands; `dropped`: no longer true when its turn came.", STATES, "sent", dump_only=True
    )
    attempts = http.whole("How often it was tried.", 1, dump_only=True)
    error = http.text("What went wrong the last time.", "550 no such user", dump_only=True, allow_none=True)
    made_at = http.instant("When it was written.", dump_only=True)
    sent_at = http.instant("When it was sent.", dump_only=True, allow_none=True)
    repeatable = http.flag("Whether it may be sent again.", dump_only=True)


class SentAgainSchema(http.Schema):
    """What sending again came to."""

    id = http.whole("The delivery that was to be sent again.", 17, dump_only=True)
    already = http.flag(
        "Whether it waits to be sent or has been sent again already, so that nothing was done now.",
        False,
        dump_only=True,
    )
