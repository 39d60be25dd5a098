"""Disputes at Stripe, in our words.

What was withdrawn and what came back are the dispute's own balance transactions: its status says who won, they say
where the money is. An inquiry (`warning_…`) takes nothing, and is won when it is closed. One that was `prevented` may
have been by giving the money back, without our knowing: it is won only where nothing of the payment is refunded; else
it stays open here, where somebody sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

import stripe

from billing.cards.gateway import DisputeDetails
from billing.cards.stripe.ask import ask

MAX_LISTED = 1000
_PAGE = 100
_PAYMENT = "payment_intent.latest_charge"
_ENDED: Mapping[str, Literal["won", "lost"]] = {
    "won": "won",
    "warning_closed": "won",
    "lost": "lost",
}


def read(client: stripe.StripeClient, ref: str) -> DisputeDetails:
    """See `CardGateway.dispute`."""
    return details(ask(lambda: client.v1.disputes.retrieve(ref, {"expand": [_PAYMENT]})).to_dict())


def since(client: stripe.StripeClient, created_after: datetime) -> list[DisputeDetails]:
    """See `CardGateway.disputes`."""
    first = int(created_after.timestamp())

    def listed() -> list[DisputeDetails]:
        page = client.v1.disputes.list({"created": {"gte": first}, "limit": _PAGE, "expand": [f"data.{_PAYMENT}"]})
        return [details(one.to_dict()) for one in islice(page.auto_paging_iter(), MAX_LISTED)]

    return ask(listed)


def details(dispute: Mapping[str, Any]) -> DisputeDetails:
    """Return a dispute (as a dict, its payment expanded or not) in our words."""
    payment = dispute.get("payment_intent")
    metadata = payment.get("metadata") or {} if isinstance(payment, Mapping) else {}
    charge = payment.get("latest_charge") if isinstance(payment, Mapping) else None
    untouched = isinstance(charge, Mapping) and charge.get("amount_refunded") == 0
    prevented = dispute.get("status") == "prevented" and untouched
    moved = [int(one.get("amount") or 0) for one in dispute.get("balance_transactions") or []]
    due = (dispute.get("evidence_details") or {}).get("due_by")
    return DisputeDetails(
        ref=str(dispute["id"]),
        payment=str(payment["id"] if isinstance(payment, Mapping) else payment or ""),
        amount_ore=int(dispute["amount"]),
        status="won" if prevented else _ENDED.get(str(dispute.get("status")), "open"),
        reason=str(dispute.get("reason") or "general"),
        withdrawn_ore=-sum(one for one in moved if one < 0),
        returned_ore=sum(one for one in moved if one > 0),
        evidence_due_at=datetime.fromtimestamp(int(due), tz=UTC) if due else None,
        charge=metadata.get("charge"),
        attempt=metadata.get("attempt"),
        customer=payment.get("customer") if isinstance(payment, Mapping) else None,
        key=metadata.get("key"),
    )
