"""Calls to Stripe that move no money, with its errors as ours."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import stripe

from billing.cards.gateway import Declined, GatewayMisuse, GatewayUnavailable, RateLimited
from billing.cards.stripe.outcomes import outcome_of_error, retry_after

T = TypeVar("T")
A_MOMENT = timedelta(seconds=1)
"""How long to wait after "too many" that does not say."""


def ask(call: Callable[[], T]) -> T:
    """Make a call that moves no money, turning the library's errors into ours."""
    try:
        return call()
    except stripe.StripeError as error:
        outcome = outcome_of_error(error)  # raises GatewayMisuse where asking again is no use
        if isinstance(outcome, Declined):
            raise GatewayMisuse(outcome.message, outcome.code) from error
        wait = (outcome.retry_after or A_MOMENT) if isinstance(outcome, RateLimited) else retry_after(error)
        raise GatewayUnavailable(f"the gateway gave no answer ({type(error).__name__})", wait) from error
