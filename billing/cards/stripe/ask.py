"""Calls to Stripe that move no money, with its errors as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import stripe

from billing.cards.gateway import Declined, GatewayMisuse, GatewayUnavailable, RateLimited, Unknown
from billing.cards.stripe.outcomes import outcome_of_error, retry_after

T = TypeVar("T")


def ask(call: Callable[[], T]) -> T:
    """Make a call that moves no money, turning the library's errors into ours."""
    try:
        return call()
    except stripe.StripeError as error:
        outcome = outcome_of_error(error)  # raises GatewayMisuse where asking again is no use
        if isinstance(outcome, Declined):
            raise GatewayMisuse(outcome.message, outcome.code) from error
        told = f"the gateway gave no answer ({type(error).__name__})"
        if isinstance(outcome, RateLimited):
            raise GatewayUnavailable(told, outcome.retry_after, answered=True) from error
        answered = isinstance(outcome, Unknown) and outcome.answered
        raise GatewayUnavailable(told, retry_after(error), answered=answered) from error
