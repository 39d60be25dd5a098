"""What Stripe's decline codes ask of us: try again later, never again, or wait for the customer.

Source: https://docs.stripe.com/declines/codes (meaning and next steps of each code) and
https://docs.stripe.com/declines/card#retrying-issuer-declines (`advice_code`, which wins over the table where
the issuer gives it). Visa and Mastercard charge for tries after a "never again", so what we do not know is
tried later only when the code is one that says so or says nothing.
"""

from __future__ import annotations

from billing.cards.gateway import Retry

# The customer proves to the bank that it is them; the same card works afterwards.
AUTHENTICATE = frozenset({"authentication_required", "authentication_not_handled", "approve_with_id"})

# The card itself will never work again, or not for us: another card, or another way to pay.
NEVER = frozenset(
    {
        "card_not_supported",
        "currency_not_supported",
        "do_not_try_again",
        "expired_card",
        "fraudulent",
        "incorrect_address",
        "incorrect_cvc",
        "incorrect_number",
        "incorrect_zip",
        "invalid_account",
        "invalid_cvc",
        "invalid_expiry_month",
        "invalid_expiry_year",
        "invalid_number",
        "lost_card",
        "merchant_blacklist",
        "new_account_information_available",
        "no_action_taken",
        "not_permitted",
        "payment_method_missing",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "security_violation",
        "service_not_allowed",
        "stolen_card",
        "stop_payment_order",
        "testmode_decline",
        "transaction_not_allowed",
    }
)

# Our own sum is at fault, not the card: the gateway takes nothing so small or so large.
OUR_SUM = frozenset({"amount_too_small", "amount_too_large"})


def judge(code: str, advice_code: str | None = None) -> tuple[bool, Retry]:
    """Return (needs_customer, retry) for a decline code and, where the issuer gave one, its advice.

    >>> judge("insufficient_funds")
    (False, 'later')
    >>> judge("do_not_honor", "do_not_try_again")
    (True, 'never')
    """
    if code in AUTHENTICATE:
        return True, "never"
    if advice_code in {"do_not_try_again", "confirm_card_data"}:
        return True, "never"
    if code in OUR_SUM:
        return False, "never"
    if code in NEVER:
        return True, "never"
    return False, "later"
