"""Which card gateway we use: the one place that names it."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from billing.cards.gateway import CardGateway
from billing.cards.stripe.gateway import StripeGateway
from config.settings import Settings

NAME = "stripe"
"""What the provider is called where rows are its own: its pace, its events."""


@lru_cache(maxsize=4)
def _stripe(api_key: str, api_base: str, timeout_seconds: int) -> CardGateway:
    return StripeGateway(api_key=api_key, api_base=api_base or None, timeout_seconds=timeout_seconds)


def gateway_of(settings: Settings) -> CardGateway | None:
    """Return the card gateway of these settings; None where no key is set, and so no cards are offered."""
    if not settings.stripe_api_key:
        return None
    return _stripe(settings.stripe_api_key, settings.stripe_api_base, settings.http_timeout_seconds)


def page_origin(settings: Settings) -> str:
    """Return the origin of the provider's page where a customer gives a card, for a Content-Security-Policy."""
    if not settings.stripe_api_base:
        return "https://checkout.stripe.com"
    parts = urlsplit(settings.stripe_api_base)
    return f"{parts.scheme}://{parts.netloc}"
