"""What we need of a card gateway, in our own words; `stripe/` is the one real implementation.

Another provider (Nets, Adyen) is one more file that fulfils `CardGateway`. Nothing here imports a provider's
library.

The point of these types is honesty about what is known. A charge ends in exactly one of four ways:

- `Succeeded`: the money was taken, once.
- `Declined`: the money was certainly not taken, and this attempt will never take it.
- `Unknown`: nobody can say yet. The attempt stays as it is, **no new attempt is made**; ask again with the
  same idempotency key while the gateway remembers it (Stripe: at least 24 hours), afterwards through
  `find_charge`.
- `RateLimited`: the request was turned away at the door; certainly nothing happened. Same key, later.

Calls are never made inside a database transaction. All instants are aware UTC, all amounts øre (NOK).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from billing.cards.gateway_account import ProviderLine, ProviderPayout

KEY_REMEMBERED = timedelta(hours=23)
"""How long a key may be repeated: Stripe keeps it for at least 24 hours; an hour of margin for clocks."""

PAGE_TOO_LATE = "page_too_late"
"""The code of a GatewayMisuse: no page was made, since it would have ended too soon."""

Segment = Literal["consumer", "commercial", "unknown"]
Retry = Literal["never", "later"]


@dataclass(frozen=True, slots=True)
class Setup:
    """A begun registration of a card. Send the customer's browser to `url`; they come back with `id`.

    `client_secret` is for gateways whose form runs in our own page; with a hosted page it is None.
    """

    id: str
    url: str
    client_secret: str | None = None


@dataclass(frozen=True, slots=True)
class CardDetails:
    """A registered card as the gateway describes it; no card number ever comes here.

    `segment` is "unknown" when the gateway does not tell the product: then the holder's own word counts.
    `country` is ISO 3166 alpha-2 of the issuer; `funding` credit, debit, prepaid or unknown; `product` the gateway's
    own word for what card it is, where it gives one.
    """

    payment_method: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    funding: str
    country: str | None
    segment: Segment
    customer_id: str | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """Take `amount_ore` NOK from a registered card while the customer is away.

    `idempotency_key` never changes between tries of one attempt; the other fields must not change either, or the
    gateway refuses (`GatewayMisuse`). `charge` and `attempt` are our ids, stored at the gateway as metadata together
    with the key (`key`): they are how a lost answer is found again. Numbers may be those of another installation too,
    or of a database that was made anew; a key is nobody else's.
    """

    customer_id: str
    payment_method: str
    amount_ore: int
    idempotency_key: str
    charge: str
    attempt: str
    description: str
    currency: Literal["nok"] = "nok"

    def __post_init__(self) -> None:
        if self.amount_ore <= 0:
            raise ValueError(f"a charge takes a positive amount, not {self.amount_ore} øre")
        if not self.idempotency_key:
            raise ValueError("a charge without an idempotency key could be made twice")


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The money was taken. `ref` is the gateway's payment id, `at` when (the gateway's clock)."""

    ref: str
    amount_ore: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Declined:
    """The money was certainly not taken. `code` is the finest code the gateway gives; `message` its own
    English sentence.

    `needs_customer`: nothing will help before the customer does something (confirms with the bank, gives
    another card). `retry` "never": this card must not be tried again for this attempt's reason (card networks
    fine those who do). `ref` is None where the gateway refused before it made a payment object. `confirm`: the same
    card works when its holder has proved to the bank that it is them.
    """

    ref: str | None
    code: str
    message: str
    needs_customer: bool
    retry: Retry
    confirm: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet whether the money was taken. `retry_after`: how long to wait, where the gateway said so.

    `same_key_helps` is False when the gateway has stored its own failure under the key and would only repeat it: then
    only `find_charge` can tell. `ref` is the payment, where we know it. `answered` is False when the gateway gave no
    answer of its own (time-out, 5xx), which closes the door in the end; `sent` False: we did not ask after all.
    """

    reason: str
    retry_after: timedelta | None = None
    ref: str | None = None
    same_key_helps: bool = True
    answered: bool = True
    sent: bool = True


@dataclass(frozen=True, slots=True)
class RateLimited:
    """Turned away before anything happened; the same request with the same key is welcome later."""

    retry_after: timedelta | None = None


Outcome = Succeeded | Declined | Unknown | RateLimited


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Let the customer pay `amount_ore` NOK themselves, on a page of the gateway's, until `expires_at` (real time).

    Key and metadata are as in `ChargeRequest`; under the same key nothing may change. `{CHECKOUT_SESSION_ID}` in
    `success_url` is replaced by the page's id.
    """

    customer_id: str
    amount_ore: int
    idempotency_key: str
    charge: str
    attempt: str
    description: str
    success_url: str
    cancel_url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """A page where a customer pays, as it is now.

    `status`: open (they may still pay, at `url`), complete, or expired (nobody can pay there any more). `payment` is
    what its payment says about the money, None while there is none; `brand` and `last4` are of the card that paid.
    """

    ref: str
    status: Literal["open", "complete", "expired"]
    url: str | None = None
    payment: Outcome | None = None
    brand: str | None = None
    last4: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeDetails:
    """A payment that its cardholder's bank takes back, or asks about, as it is now.

    `payment` is the gateway's payment id; `charge` and `attempt` are the ids we gave it. `withdrawn_ore` is what was
    taken of us in all, `returned_ore` what of that came back: an inquiry takes nothing, and is won when it is closed.
    `evidence_due_at`: until when we can answer. `reason` is the network's word. `customer` and `key` are the payment's,
    as in `ChargeRequest`; what is older has no key.
    """

    ref: str
    payment: str
    amount_ore: int
    status: Literal["open", "won", "lost"]
    reason: str
    withdrawn_ore: int = 0
    returned_ore: int = 0
    evidence_due_at: datetime | None = None
    charge: str | None = None
    attempt: str | None = None
    customer: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A webhook whose signature and age have been checked.

    Its content is only a hint: read the object again with `retrieve` before acting, since events come twice,
    late and out of order. `object_id` and `object_type` name what it is about ("pi_…", "payment_intent");
    `metadata` is that object's own, empty for what is not ours.
    """

    id: str
    type: str
    created: datetime
    object_id: str
    object_type: str
    object: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)


class GatewayMisuse(Exception):
    """We asked for something the gateway will never accept: a bug or wrong settings, not a customer's doing.

    `code` as the gateway names it. This request changed nothing; but with code "idempotency_error" an
    *earlier* request used the same key with other fields, so the attempt must stay unknown and be looked up.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class GatewayUnavailable(Exception):
    """No usable answer (time-out, 429, 5xx) to a call that does not move money; try again later, with the same key.

    `retry_after`: how long to wait, where the gateway said so. `answered`: it is up and said "too many" (429).
    """

    def __init__(self, message: str, retry_after: timedelta | None = None, *, answered: bool = False) -> None:
        super().__init__(message)
        self.retry_after, self.answered = retry_after, answered


class SetupNotFinished(Exception):
    """The customer has not (or not successfully) given a card yet. `status`: "open" (may still), "expired" or
    "failed"."""

    def __init__(self, status: str) -> None:
        super().__init__(f"the card registration is {status}")
        self.status = status


class BadSignature(Exception):
    """A webhook that is not from the gateway, is too old, or cannot be read. The text says which; answer
    400."""


class CardGateway(Protocol):
    """What every card gateway offers. Methods that move money return an `Outcome` and raise only
    `GatewayMisuse`; the others raise `GatewayUnavailable` when there is no usable answer and `GatewayMisuse`
    when there never will be."""

    def create_customer(self, *, ref: str, email: str | None, idempotency_key: str) -> str:
        """Make the gateway's customer for our `ref` (agreement number); returns its id."""
        ...

    def start_setup(
        self,
        *,
        customer_id: str,
        success_url: str,
        cancel_url: str,
        idempotency_key: str,
        language: str = "nb",
    ) -> Setup:
        """Begin registering a card. `{CHECKOUT_SESSION_ID}` in `success_url` is replaced by the setup's
        id."""
        ...

    def finish_setup(self, setup_id: str) -> CardDetails:
        """Read the card a finished setup gave. Raises `SetupNotFinished`. Harmless to repeat."""
        ...

    def charge(self, request: ChargeRequest) -> Outcome:
        """Take money. Repeating with the same key returns the same outcome and never takes it twice."""
        ...

    def find_charge(
        self,
        *,
        customer_id: str,
        charge: str,
        created_after: datetime,
        attempt: str | None = None,
        key: str | None = None,
    ) -> Outcome | None:
        """Look a payment up by the metadata we gave it; None when the gateway has none *now*.

        One that says that it was made under another key than `key` is not the one.

        A call of ours may still be under way at the gateway: conclude "never happened" only when the attempt
        is older than any request can live. `created_after` is inclusive; leave room for clocks that differ.
        Without `attempt`, every attempt of the charge is looked at and a success wins, then what is unknown,
        then the newest decline.
        """
        ...

    def retrieve(self, ref: str) -> Outcome:
        """Read a payment again by the gateway's id."""
        ...

    def cancel(self, ref: str) -> Outcome:
        """Make sure an unfinished payment never takes money: `Declined` with code "canceled", or `Succeeded`
        if it was too late."""
        ...

    def card(self, payment_method: str) -> CardDetails | None:
        """Read a registered card as it is now; None once it belongs to no customer there and can pay no more."""
        ...

    def start_payment(self, request: PageRequest) -> PaymentPage:
        """Make a page where the customer pays. The same key returns the page as it was made: read it again.

        Raises GatewayMisuse with code `PAGE_TOO_LATE` where the gateway has no page under this key and makes none
        that ends so soon.
        """
        ...

    def find_payment(
        self, *, customer_id: str, attempt: str, created_after: datetime, key: str | None = None
    ) -> PaymentPage | None:
        """Look a page up by the metadata we gave it; None when the gateway has none *now*, as in `find_charge`."""
        ...

    def payment_page(self, ref: str) -> PaymentPage:
        """Read a page again, with its payment."""
        ...

    def end_payment(self, ref: str) -> PaymentPage:
        """Make sure that nobody can pay on a page any more; one that has ended already is returned as it is."""
        ...

    def detach(self, payment_method: str) -> None:
        """Forget a card. Already forgotten is fine."""
        ...

    def refund(self, *, ref: str, amount_ore: int, idempotency_key: str, refund: str) -> Outcome:
        """Give `amount_ore` of the payment `ref` back; `refund` is our id (metadata). `Succeeded.ref` is the
        refund's id; `Unknown.ref` too, while it is under way: read it again with `retrieve`. One that succeeded may
        still come back as `Declined` days later, when the cardholder's bank could not take it."""
        ...

    def find_refund(self, *, ref: str, refund: str, created_after: datetime) -> Outcome | None:
        """Look a refund of the payment `ref` up by our id; None when the gateway has none *now*, as `find_charge`."""
        ...

    def dispute(self, ref: str) -> DisputeDetails:
        """Read a dispute again by the gateway's id."""
        ...

    def disputes(self, *, created_after: datetime) -> list[DisputeDetails]:
        """List the disputes made since (inclusive), the newest first."""
        ...

    def transactions(self, since: datetime, until: datetime | None = None) -> list[ProviderLine]:
        """Return the lines of the gateway's account of us, made from `since` on and before `until` (its clock)."""
        ...

    def payouts(self, since: datetime) -> list[ProviderPayout]:
        """Return the payouts made from `since` on, as they stand now."""
        ...

    def transactions_of(self, payout: str) -> list[ProviderLine]:
        """Return the lines that went into a payout, its own line among them."""
        ...

    def balance(self) -> int:
        """Return what the gateway holds of ours in øre: what is on its way to us is not in it."""
        ...

    def parse_event(
        self,
        raw_body: bytes,
        signature_header: str | None,
        *,
        secrets: Sequence[str],
        tolerance_seconds: int,
        now: datetime,
    ) -> Event:
        """Check a webhook's signature over the raw body with each secret in turn (two are valid while one is
        rolled over), and its age against `now` (real time, not the business clock). Raises `BadSignature`."""
        ...
