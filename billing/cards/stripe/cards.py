"""Registered cards as Stripe tells of them (PaymentMethods of type card), in our own words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import stripe

from billing.cards.gateway import CardDetails, GatewayMisuse
from billing.cards.stripe.ask import ask
from billing.cards.stripe.products import segment_of


def card(client: stripe.StripeClient, payment_method: str) -> CardDetails | None:
    """Read a card again. One that was detached can never be used again, and reads as None, as one that is not there."""
    try:
        found = ask(lambda: client.v1.payment_methods.retrieve(payment_method)).to_dict()
    except GatewayMisuse as misuse:
        if misuse.code == "resource_missing":
            return None
        raise
    if not isinstance(found.get("customer"), str) or not isinstance(found.get("card"), dict):
        return None
    return details(found, None)


def details(method: Mapping[str, Any], customer: object) -> CardDetails:
    """Return a PaymentMethod's card; ``customer`` is who it was registered for, where the method does not say."""
    read: Mapping[str, Any] = method["card"]
    brand = str(read.get("brand") or "unknown")
    owner = method.get("customer") or customer
    return CardDetails(
        payment_method=str(method["id"]),
        brand=brand,
        last4=str(read.get("last4") or ""),
        exp_month=int(read["exp_month"]),
        exp_year=int(read["exp_year"]),
        funding=str(read.get("funding") or "unknown"),
        country=read.get("country"),
        segment=segment_of(brand, read.get("brand_product"), read.get("description")),
        customer_id=owner if isinstance(owner, str) else None,
        product=read.get("brand_product") or read.get("description") or None,
    )
