"""The card gateway as Stripe: the only file that knows the `stripe` library (16, API version
2026-10-28.endive).

Choices, and why:

- **Registration is a Checkout Session in setup mode.** Stripe hosts the page, does 3-D Secure and makes a
  SetupIntent with usage=off_session, so that later charges count as agreed with the bank. No card number and
  no script of theirs or ours comes near My Page.
- **A charge is one PaymentIntent, created and confirmed in one call**, off-session, so it either succeeds or
  is declined at once; it never waits for a customer who is not there.
- **The library's own retries are off.** A retry is ours to decide, since the attempt row must tell what
  happened.
- `allowed_payment_method_types` = card: `payment_method_types` is refused by this API version, and without a
  limit a confirmed intent can ask for a `return_url`.
- A lost payment is looked up by **listing** the customer's PaymentIntents and filtering on metadata. Stripe's
  search takes metadata in the query, but reads an index that lags (minutes, in trouble hours): a payment it
  does not find yet would be taken twice. The list reads the payments themselves.

Nothing here logs: requests and answers hold personal data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import stripe
from stripe.params import CustomerCreateParams

from billing.cards.gateway import (
    CardDetails,
    ChargeRequest,
    Declined,
    DisputeDetails,
    Event,
    GatewayMisuse,
    GatewayUnavailable,
    Outcome,
    PageRequest,
    PaymentPage,
    Setup,
    SetupNotFinished,
    Succeeded,
    Unknown,
)
from billing.cards.gateway_account import ProviderLine, ProviderPayout
from billing.cards.stripe import account as stripe_account
from billing.cards.stripe import cards as stripe_cards
from billing.cards.stripe import disputes as stripe_disputes
from billing.cards.stripe import events as stripe_events
from billing.cards.stripe import refunds as stripe_refunds
from billing.cards.stripe import sessions as stripe_sessions
from billing.cards.stripe.ask import ask as _ask
from billing.cards.stripe.outcomes import outcome_of_error, outcome_of_intent, outcome_of_refund

# A driver is charged weekly at most, and every charge tried a few times: a thousand is decades.
MAX_LISTED = 1000
_PAGE = 100


class StripeGateway:
    """`CardGateway` over Stripe's API. Safe to share between threads (each keeps its own connection).

    `api_key`: secret or restricted key. `api_base`: another address for the stand-in, without a path.
    `timeout_seconds`: for connecting and for each wait for bytes; a longer silence is `Unknown`.
    """

    def __init__(self, *, api_key: str, api_base: str | None = None, timeout_seconds: float = 20.0) -> None:
        # Telemetry would write a file under the home folder and tell Stripe how fast we are.
        stripe.enable_telemetry = False
        self._client = stripe.StripeClient(
            api_key,
            base_addresses={"api": api_base.rstrip("/")} if api_base else None,
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=timeout_seconds),
        )

    def create_customer(self, *, ref: str, email: str | None, idempotency_key: str) -> str:
        """See `CardGateway`."""
        params: CustomerCreateParams = {"metadata": {"ref": ref}}
        if email:
            params["email"] = email
        customers = self._client.v1.customers
        return _ask(lambda: customers.create(params, {"idempotency_key": idempotency_key})).id

    def start_setup(
        self,
        *,
        customer_id: str,
        success_url: str,
        cancel_url: str,
        idempotency_key: str,
        language: str = "nb",
    ) -> Setup:
        """See `CardGateway`. The page lives for 24 hours; the key must be new for each press of the
        button."""
        session = _ask(
            lambda: self._client.v1.checkout.sessions.create(
                {
                    "mode": "setup",
                    "customer": customer_id,
                    "allowed_payment_method_types": ["card"],
                    "success_url": success_url,
                    "cancel_url": cancel_url,
                    "locale": "nb" if language == "nb" else "en",
                },
                {"idempotency_key": idempotency_key},
            )
        )
        if not session.url:
            raise GatewayUnavailable("the gateway made a card page without an address")
        return Setup(id=session.id, url=session.url, client_secret=None)

    def finish_setup(self, setup_id: str) -> CardDetails:
        """See `CardGateway`."""
        found = _ask(
            lambda: self._client.v1.checkout.sessions.retrieve(setup_id, {"expand": ["setup_intent.payment_method"]})
        )
        session: dict[str, Any] = found.to_dict()
        if session.get("status") != "complete":
            raise SetupNotFinished("expired" if session.get("status") == "expired" else "open")
        intent = session.get("setup_intent") or {}
        method = intent.get("payment_method") if intent.get("status") == "succeeded" else None
        if not isinstance(method, dict) or not isinstance(method.get("card"), dict):
            raise SetupNotFinished("failed")
        return stripe_cards.details(method, session.get("customer"))

    def charge(self, request: ChargeRequest) -> Outcome:
        """See `CardGateway`."""
        try:
            intent = self._client.v1.payment_intents.create(
                {
                    "amount": request.amount_ore,
                    "currency": request.currency,
                    "customer": request.customer_id,
                    "payment_method": request.payment_method,
                    "allowed_payment_method_types": ["card"],
                    "off_session": True,
                    "confirm": True,
                    "description": request.description,
                    "metadata": {
                        "charge": request.charge,
                        "attempt": request.attempt,
                        "key": request.idempotency_key,
                    },
                    "expand": ["latest_charge"],
                },
                {"idempotency_key": request.idempotency_key},
            )
        except stripe.StripeError as error:
            return outcome_of_error(error)
        return outcome_of_intent(intent.to_dict())

    def find_charge(
        self,
        *,
        customer_id: str,
        charge: str,
        created_after: datetime,
        attempt: str | None = None,
        key: str | None = None,
    ) -> Outcome | None:
        """See `CardGateway`; why by list and not by search: see the top of this file."""
        try:
            page = self._client.v1.payment_intents.list(
                {
                    "customer": customer_id,
                    "created": {"gte": int(created_after.timestamp())},
                    "limit": _PAGE,
                    "expand": ["data.latest_charge"],
                }
            )
            intents = [one.to_dict() for one in islice(page.auto_paging_iter(), MAX_LISTED + 1)]
        except stripe.StripeError as error:
            return outcome_of_error(error)
        if len(intents) > MAX_LISTED:
            return Unknown(reason=f"more than {MAX_LISTED} payments to look through", same_key_helps=False)
        ours = [one for one in intents if _is_ours(one, charge, attempt, key)]
        # Newest first, as Stripe lists them; the sort keeps that order within a rank.
        outcomes = sorted((outcome_of_intent(one) for one in ours), key=_rank)
        return outcomes[0] if outcomes else None

    def retrieve(self, ref: str) -> Outcome:
        """See `CardGateway`. Takes the id of a payment (pi_…) or of a refund (re_…)."""
        try:
            if ref.startswith("re_"):
                return outcome_of_refund(self._client.v1.refunds.retrieve(ref).to_dict())
            intent = self._client.v1.payment_intents.retrieve(ref, {"expand": ["latest_charge"]})
        except stripe.StripeError as error:
            return outcome_of_error(error)
        return outcome_of_intent(intent.to_dict())

    def cancel(self, ref: str) -> Outcome:
        """See `CardGateway`."""
        try:
            intent = self._client.v1.payment_intents.cancel(ref)
        except stripe.InvalidRequestError as error:
            if error.code == "payment_intent_unexpected_state":  # it already ended, one way or the other
                return self.retrieve(ref)
            return outcome_of_error(error)
        except stripe.StripeError as error:
            return outcome_of_error(error)
        return outcome_of_intent(intent.to_dict())

    def card(self, payment_method: str) -> CardDetails | None:
        """See `CardGateway`."""
        return stripe_cards.card(self._client, payment_method)

    def start_payment(self, request: PageRequest) -> PaymentPage:
        """See `CardGateway`."""
        return stripe_sessions.start(self._client, request)

    def find_payment(
        self, *, customer_id: str, attempt: str, created_after: datetime, key: str | None = None
    ) -> PaymentPage | None:
        """See `CardGateway`."""
        return stripe_sessions.find(self._client, customer_id, attempt, created_after, key)

    def payment_page(self, ref: str) -> PaymentPage:
        """See `CardGateway`."""
        return stripe_sessions.read(self._client, ref)

    def end_payment(self, ref: str) -> PaymentPage:
        """See `CardGateway`."""
        return stripe_sessions.end(self._client, ref)

    def detach(self, payment_method: str) -> None:
        """See `CardGateway`."""
        methods = self._client.v1.payment_methods
        try:
            _ask(lambda: methods.detach(payment_method))
        except GatewayMisuse as misuse:
            # Refused: because it is gone or loose already, or for another reason? Look.
            if misuse.code == "resource_missing":
                return
            if _ask(lambda: methods.retrieve(payment_method)).to_dict().get("customer") is not None:
                raise

    def refund(self, *, ref: str, amount_ore: int, idempotency_key: str, refund: str) -> Outcome:
        """See `CardGateway`."""
        return stripe_refunds.make(
            self._client, ref=ref, amount_ore=amount_ore, idempotency_key=idempotency_key, refund=refund
        )

    def find_refund(self, *, ref: str, refund: str, created_after: datetime) -> Outcome | None:
        """See `CardGateway`."""
        return stripe_refunds.find(self._client, ref=ref, refund=refund, created_after=created_after)

    def dispute(self, ref: str) -> DisputeDetails:
        """See `CardGateway`."""
        return stripe_disputes.read(self._client, ref)

    def disputes(self, *, created_after: datetime) -> list[DisputeDetails]:
        """See `CardGateway`."""
        return stripe_disputes.since(self._client, created_after)

    def transactions(self, since: datetime, until: datetime | None = None) -> list[ProviderLine]:
        """See `CardGateway`."""
        return stripe_account.transactions(self._client, since, until)

    def payouts(self, since: datetime) -> list[ProviderPayout]:
        """See `CardGateway`."""
        return stripe_account.payouts(self._client, since)

    def transactions_of(self, payout: str) -> list[ProviderLine]:
        """See `CardGateway`."""
        return stripe_account.transactions_of(self._client, payout)

    def balance(self) -> int:
        """See `CardGateway`."""
        return stripe_account.balance(self._client)

    def parse_event(
        self,
        raw_body: bytes,
        signature_header: str | None,
        *,
        secrets: Sequence[str],
        tolerance_seconds: int,
        now: datetime,
    ) -> Event:
        """See `CardGateway`."""
        return stripe_events.parse_event(
            raw_body, signature_header, secrets=secrets, tolerance_seconds=tolerance_seconds, now=now
        )


def _is_ours(intent: Mapping[str, Any], charge: str, attempt: str | None, key: str | None) -> bool:
    metadata = intent.get("metadata") or {}
    return (
        metadata.get("charge") == charge
        and (attempt is None or metadata.get("attempt") == attempt)
        and (key is None or metadata.get("key", key) == key)
    )


def _rank(outcome: Outcome) -> int:
    """Money taken outweighs what is not known, which outweighs a decline."""
    if isinstance(outcome, Succeeded):
        return 0
    return 2 if isinstance(outcome, Declined) else 1
