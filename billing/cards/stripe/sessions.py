"""Pages of Stripe's where a customer pays: Checkout Sessions in payment mode.

The page is Stripe's, does 3-D Secure while the customer is there, and makes a PaymentIntent when they pay. An ended
session cancels its payment, so that one which has expired can never be paid. All cards that the customer has registered
are offered, so that none must be typed anew: where nothing is said Stripe shows only those whose `allow_redisplay` is
`always`, which a card registered for charges while its holder is away need not be. The language is the browser's own:
under one key a page must stay the same, and a customer may change theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import stripe

from billing.cards.gateway import PAGE_TOO_LATE, GatewayMisuse, Outcome, PageRequest, PaymentPage
from billing.cards.stripe.ask import ask
from billing.cards.stripe.outcomes import outcome_of_intent

_PAYMENT = "payment_intent.latest_charge"


def start(client: stripe.StripeClient, request: PageRequest) -> PaymentPage:
    """See `CardGateway.start_payment`."""
    ours = {"charge": request.charge, "attempt": request.attempt, "key": request.idempotency_key}
    try:
        made = ask(
            lambda: client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "customer": request.customer_id,
                    "allowed_payment_method_types": ["card"],
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": "nok",
                                "unit_amount": request.amount_ore,
                                "product_data": {"name": request.description},
                            },
                        }
                    ],
                    "payment_intent_data": {"metadata": ours, "description": request.description},
                    "metadata": ours,
                    "saved_payment_method_options": {"allow_redisplay_filters": ["always", "limited", "unspecified"]},
                    "success_url": request.success_url,
                    "cancel_url": request.cancel_url,
                    "expires_at": int(request.expires_at.timestamp()),
                    "locale": "auto",
                },
                {"idempotency_key": request.idempotency_key},
            )
        )
    except GatewayMisuse as misuse:
        cause = misuse.__cause__
        if isinstance(cause, stripe.InvalidRequestError) and cause.param == "expires_at":
            raise GatewayMisuse(str(misuse), PAGE_TOO_LATE) from misuse
        raise
    return _page(made.to_dict())


def find(
    client: stripe.StripeClient, customer_id: str, attempt: str, created_after: datetime, key: str | None = None
) -> PaymentPage | None:
    """See `CardGateway.find_payment`. By list, which reads the pages themselves, and not by an index that lags."""

    def listed() -> str | None:
        pages = client.v1.checkout.sessions.list(
            {"customer": customer_id, "created": {"gte": int(created_after.timestamp())}, "limit": 100}
        )
        for page in pages.auto_paging_iter():
            found = page.to_dict()
            metadata = found.get("metadata") or {}
            if metadata.get("attempt") == attempt and (key is None or metadata.get("key", key) == key):
                return str(found["id"])
        return None

    ref = ask(listed)
    return read(client, ref) if ref is not None else None


def read(client: stripe.StripeClient, ref: str) -> PaymentPage:
    """See `CardGateway.payment_page`."""
    return _page(ask(lambda: client.v1.checkout.sessions.retrieve(ref, {"expand": [_PAYMENT]})).to_dict())


def end(client: stripe.StripeClient, ref: str) -> PaymentPage:
    """See `CardGateway.end_payment`. Stripe refuses to end what is not open any more: then it is read."""
    try:
        return _page(ask(lambda: client.v1.checkout.sessions.expire(ref, {"expand": [_PAYMENT]})).to_dict())
    except GatewayMisuse:
        return read(client, ref)


def _page(session: Mapping[str, Any]) -> PaymentPage:
    intent = session.get("payment_intent")
    known = isinstance(intent, Mapping)
    payment: Outcome | None = outcome_of_intent(cast(Mapping[str, Any], intent)) if known else None
    card = _card(cast(Mapping[str, Any], intent)) if known else {}
    status = session.get("status")
    return PaymentPage(
        ref=str(session["id"]),
        status="complete" if status == "complete" else "expired" if status == "expired" else "open",
        url=session.get("url"),
        payment=payment,
        brand=card.get("brand"),
        last4=card.get("last4"),
    )


def _card(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    charge = intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, Mapping) else None
    card = details.get("card") if isinstance(details, Mapping) else None
    return card if isinstance(card, Mapping) else {}
