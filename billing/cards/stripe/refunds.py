"""Refunds at Stripe: made for a part of a PaymentIntent, and found again by listing that payment's refunds."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

import stripe

from billing.cards.gateway import Declined, GatewayMisuse, Outcome, Unknown
from billing.cards.stripe.declines import judge
from billing.cards.stripe.outcomes import outcome_of_error, outcome_of_refund

MAX_LISTED = 1000
_PAGE = 100
# Nothing was given, and asking again would not help: the credit comes back. The codes are of the library's list
# (stripe/_setup_intent.py, LastSetupError.code); https://docs.stripe.com/error-codes says what they mean. Any other
# leaves it unknown.
_REFUSED = {
    "amount_too_large",
    "amount_too_small",
    "balance_insufficient",  # of our account there: somebody fills it up, and asks again
    "charge_already_refunded",
    "charge_disputed",
    "charge_not_refundable",
    "refund_disputed_payment",
}


def make(client: stripe.StripeClient, *, ref: str, amount_ore: int, idempotency_key: str, refund: str) -> Outcome:
    """See `CardGateway.refund`. More than is left of the payment is `Declined` with code "amount_too_large"."""
    if amount_ore <= 0:
        raise ValueError(f"a refund gives a positive amount, not {amount_ore} øre")
    try:
        made = client.v1.refunds.create(
            {"payment_intent": ref, "amount": amount_ore, "metadata": {"refund": refund}},
            {"idempotency_key": idempotency_key},
        )
    except stripe.InvalidRequestError as error:
        refused = error.code or ("amount_too_large" if error.param == "amount" else "")
        if refused in _REFUSED:
            return Declined(None, refused, error.user_message or "", *judge("amount_too_large"))
        return outcome_of_error(error)
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise GatewayMisuse(
            f"{type(error).__name__} (request {error.request_id or 'without id'})", "not_allowed"
        ) from error
    except stripe.StripeError as error:
        return outcome_of_error(error)
    return outcome_of_refund(made.to_dict())


def find(client: stripe.StripeClient, *, ref: str, refund: str, created_after: datetime) -> Outcome | None:
    """See `CardGateway.find_refund`. Listed, not searched: an index may lag, the list is the refunds themselves."""
    try:
        page = client.v1.refunds.list(
            {"payment_intent": ref, "created": {"gte": int(created_after.timestamp())}, "limit": _PAGE}
        )
        refunds = [one.to_dict() for one in islice(page.auto_paging_iter(), MAX_LISTED + 1)]
    except stripe.StripeError as error:
        return outcome_of_error(error)
    if len(refunds) > MAX_LISTED:
        return Unknown(reason=f"more than {MAX_LISTED} refunds to look through", same_key_helps=False)
    ours = [one for one in refunds if (one.get("metadata") or {}).get("refund") == refund]
    # Newest first. One that failed may have been made anew under another key: what may have given money counts first.
    outcomes = sorted((outcome_of_refund(one) for one in ours), key=lambda one: isinstance(one, Declined))
    return outcomes[0] if outcomes else None
