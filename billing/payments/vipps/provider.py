"""Whether and where Vipps is used: the one place that reads its settings."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from billing.payments.vipps.client import VippsClient
from config.settings import Settings

NAME = "vipps"
"""What Vipps is called where rows are its own: its events, what it ended, what settled a claim."""


@lru_cache(maxsize=4)
def _client(url: str, client_id: str, client_secret: str, subscription_key: str, msn: str, seconds: int) -> VippsClient:
    return VippsClient(
        url=url,
        client_id=client_id,
        client_secret=client_secret,
        subscription_key=subscription_key,
        msn=msn,
        timeout_seconds=seconds,
    )


def client_of(settings: Settings) -> VippsClient | None:
    """Return our client of Vipps; None where no address is set, and so nobody is offered it."""
    if not settings.vipps_url:
        return None
    return _client(
        settings.vipps_url, settings.vipps_client_id, settings.vipps_client_secret,
        settings.vipps_subscription_key, settings.vipps_msn, settings.http_timeout_seconds,
    )  # fmt: skip


def page_origins(settings: Settings) -> tuple[str, ...]:
    """Return the origins of the pages where a customer approves, for a Content-Security-Policy."""
    parts = urlsplit(settings.vipps_url)
    if (parts.hostname or "").endswith(".vipps.no"):
        return ("https://*.vipps.no", "https://*.vippsmobilepay.com")
    return (f"{parts.scheme}://{parts.netloc}",)
