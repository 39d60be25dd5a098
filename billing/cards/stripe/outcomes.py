"""Reading Stripe's answers and errors as one of our outcomes. Pure: no calls, no clock.

What is certain, and why (https://docs.stripe.com/error-low-level,
https://docs.stripe.com/api/idempotent_requests):

- 402 is a decline; 429 is turned away before the request is looked at; 400/401/403/404 changed nothing.
- 409 is another request with the same key under way; 5xx, a lost connection or an unreadable answer say
  nothing.
- Once the work has begun Stripe stores the first answer under the key, **a 500 too**, and repeats it with the
  header `Idempotent-Replayed: true`: asking again with that key will not get any wiser.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from billing.cards.gateway import Declined, GatewayMisuse, Outcome, RateLimited, Succeeded, Unknown
from billing.cards.stripe.declines import AUTHENTICATE, OUR_SUM, judge

LONGEST_WAIT = timedelta(minutes=5)
"""No answer makes us wait longer: it is told to everybody, and might be of something between us and the gateway."""

# A payment in one of these can still go either way.
_UNDER_WAY = {"processing", "requires_action", "requires_capture", "requires_confirmation"}


def outcome_of_intent(intent: Mapping[str, Any]) -> Outcome:
    """Return what a PaymentIntent (as a dict, `latest_charge` expanded or not) says about the money."""
    ref = str(intent["id"])
    status = intent.get("status")
    if status == "succeeded":
        charge = intent.get("latest_charge")
        at = charge.get("created") if isinstance(charge, Mapping) else None
        amount = intent.get("amount_received") or intent["amount"]
        return Succeeded(ref=ref, amount_ore=int(amount), at=_instant(at or intent["created"]))
    if status == "canceled":
        return Declined(ref, "canceled", "The payment was cancelled.", needs_customer=False, retry="later")
    error = intent.get("last_payment_error")
    if status == "requires_payment_method" and isinstance(error, Mapping):
        return _declined(ref, error)
    # Created but not (yet) confirmed, or waiting for somebody: nobody can say. `cancel` settles it.
    return Unknown(reason=f"the payment is {status}", ref=ref)


def outcome_of_refund(refund: Mapping[str, Any]) -> Outcome:
    """Return what a Refund (as a dict) says about the money."""
    ref = str(refund["id"])
    status = refund.get("status")
    if status == "succeeded":
        return Succeeded(ref=ref, amount_ore=int(refund["amount"]), at=_instant(refund["created"]))
    if status in {"failed", "canceled"}:
        code = str(refund.get("failure_reason") or status)
        return Declined(ref, code, f"The refund is {status}.", needs_customer=False, retry="later")
    return Unknown(reason=f"the refund is {status}", ref=ref)


def outcome_of_error(error: stripe.StripeError) -> Outcome:
    """Return what an error of the library says about the money. Raises `GatewayMisuse`."""
    if isinstance(error, stripe.CardError):
        return _outcome_of_card_error(error)
    if isinstance(error, stripe.RateLimitError):
        return RateLimited(retry_after=retry_after(error))
    if isinstance(error, stripe.IdempotencyError):
        raise GatewayMisuse(_text(error), "idempotency_error") from error
    if isinstance(error, stripe.InvalidRequestError):
        return _outcome_of_invalid_request(error)
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        raise GatewayMisuse(_text(error), error.code or "not_allowed") from error
    return Unknown(
        reason=_reason(error),
        retry_after=retry_after(error),
        # A 5xx answer may be kept under the key and a lost one not: only a replayed one is known to be.
        same_key_helps=(fresh := _header(error, "idempotent-replayed") != "true"),
        answered=not fresh or error.http_status == 409,
    )


def retry_after(error: stripe.StripeError) -> timedelta | None:
    """Return how long the gateway asks us to wait, at most ``LONGEST_WAIT``, where its answer says so in seconds."""
    value = _header(error, "retry-after")
    if not (value.isascii() and value.isdigit()):
        return None
    return min(timedelta(seconds=min(int(value[:9]), 86_400)), LONGEST_WAIT)


def _outcome_of_card_error(error: stripe.CardError) -> Outcome:
    body: Mapping[str, Any] = error.error.to_dict() if error.error is not None else {}
    intent = body.get("payment_intent")
    ref = str(intent["id"]) if isinstance(intent, Mapping) else None
    if isinstance(intent, Mapping) and intent.get("status") in _UNDER_WAY | {"succeeded"}:
        return Unknown(reason=f"declined, but the payment is {intent.get('status')}", ref=ref)
    return _declined(ref, body)


def _declined(ref: str | None, error: Mapping[str, Any]) -> Declined:
    code = str(error.get("decline_code") or error.get("code") or "generic_decline")
    if error.get("code") == "authentication_required":
        code = "authentication_required"
    needs_customer, retry = judge(code, error.get("advice_code"))
    return Declined(ref, code, str(error.get("message") or ""), needs_customer, retry, confirm=code in AUTHENTICATE)


def _outcome_of_invalid_request(error: stripe.InvalidRequestError) -> Outcome:
    code = error.code or ""
    if error.param == "payment_method":
        code = "payment_method_missing"  # removed at the gateway behind our back: the customer's, not a bug
    if code in OUR_SUM or code == "payment_method_missing":
        needs_customer, retry = judge(code)
        return Declined(None, code, error.user_message or "", needs_customer, retry)
    raise GatewayMisuse(_text(error), code) from error


def _reason(error: stripe.StripeError) -> str:
    """A short reason without the answer's text, which may hold personal data."""
    if isinstance(error, stripe.APIConnectionError):
        cause = error.__cause__
        return f"no answer ({type(cause).__name__ if cause is not None else 'connection'})"
    if error.http_status == 409:
        return "the same request is under way (409)"
    return f"the gateway failed ({error.http_status})"


def _text(error: stripe.StripeError) -> str:
    return f"{error.user_message or type(error).__name__} (request {error.request_id or 'without id'})"


def _header(error: stripe.StripeError, name: str) -> str:
    for key, value in (error.headers or {}).items():
        if key.lower() == name:
            return str(value).strip()
    return ""


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
