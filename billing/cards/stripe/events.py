"""Checking and reading Stripe's webhooks. Pure: the caller gives the secrets and the time.

The signature (`Stripe-Signature: t=…,v1=…[,v1=…]`, HMAC-SHA256 over `t.body`) is over the bytes as they came:
parsing and writing them again would break it (facts/lessons.md 10).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import stripe

from billing.cards.gateway import BadSignature, Event


def parse_event(
    raw_body: bytes,
    signature_header: str | None,
    *,
    secrets: Sequence[str],
    tolerance_seconds: int,
    now: datetime,
) -> Event:
    """Return the event if one of `secrets` signed exactly these bytes within `tolerance_seconds` of `now`.

    Raises `BadSignature` with a reason. An event of a kind we do not know is returned like any other:
    ignoring it is the caller's to do, with a 200, or the gateway would send it for days.
    """
    header = signature_header or ""
    try:
        body = raw_body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadSignature("the body is not UTF-8") from error
    if not any(_signed_with(body, header, secret) for secret in secrets):
        raise BadSignature("no secret of ours made this signature")
    age = now.timestamp() - _signed_at(header)
    if abs(age) > tolerance_seconds:
        raise BadSignature(f"signed {int(age)} seconds ago; {tolerance_seconds} are allowed")
    return read(body)


def _signed_with(body: str, header: str, secret: str) -> bool:
    try:
        # Its own check of the age reads the wall clock, so it is left out here (tolerance None).
        stripe.WebhookSignature.verify_header(body, header, secret, tolerance=None)
    except stripe.SignatureVerificationError:
        return False
    return True


def _signed_at(header: str) -> int:
    """Return the header's time; the same, first, `t` that the signature was made with."""
    return int(next(part.split("=", 1)[1] for part in header.split(",") if part.startswith("t=")))


def read(body: str) -> Event:
    """Return the event that a body is. Raises `BadSignature` for what is none."""
    try:
        data = json.loads(body)
        event_id, kind, created = str(data["id"]), str(data["type"]), data.get("created")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadSignature("the body is signed but is not an event") from error
    holder = data.get("data")
    thing: Any = holder.get("object") if isinstance(holder, Mapping) else None
    about: Mapping[str, Any] = thing if isinstance(thing, Mapping) else {}
    metadata = about.get("metadata")
    return Event(
        id=event_id,
        type=kind,
        created=datetime.fromtimestamp(created if isinstance(created, int) else 0, tz=UTC),
        object_id=str(about.get("id") or ""),
        object_type=str(about.get("object") or ""),
        object=about,
        metadata={str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, Mapping) else {},
    )
