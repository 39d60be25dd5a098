"""Our Stripe client against localstripe, which somebody else wrote: `make second-opinion`.

Our own stand-in has the same authors as our client, and could share its mistakes. localstripe 1.15.10 knows an older
Stripe and much less of it. What it lacks or does otherwise is asserted in `TestGaps`, so that a gap which closes is
noticed; in each of them our client does what Stripe's own reference says:

- it does not know `allowed_payment_method_types` and `description` of a payment, nor to filter payments by customer and
  time, or refunds, balance transactions and payouts by time (`beside.LEFT_OUT`: the bridge leaves these out, and
  nothing else). So which of all payments is ours is our client's own look at the metadata;
- it ignores idempotency keys: the same charge twice is two payments;
- it has no Checkout Sessions, so cards are made and attached through its own API;
- off-session, a card that wants 3-D Secure is left at `requires_action` where Stripe declines with
  `authentication_required`; a decline is always `card_declined`, without decline code, advice or payment;
- it has no disputes; more is refunded than was paid, and a sum too small is taken, without a word;
- a detached card still pays; what is missing, or has ended and is cancelled, is refused without an error code;
- it takes no restricted keys (rk_…) and sends no events about refunds;
- its balance is one of EUR, as an object where Stripe has a list; payouts are in EUR only, no transaction names its
  payout, and its own fee is always 0;
- it answers in no API version: the header is ignored, and events say 2017-08-15.
"""

from __future__ import annotations

import os
import queue
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from billing.cards.gateway import (
    BadSignature,
    ChargeRequest,
    Declined,
    GatewayMisuse,
    GatewayUnavailable,
    PageRequest,
    Succeeded,
    Unknown,
)
from billing.cards.stripe.gateway import StripeGateway
from tests.second_opinion.beside import KEY, LEFT_OUT, bridge, installed, localstripe

if not installed():
    missing = "NOT RUN: localstripe is not installed here (`make second-opinion` installs it beside and runs this)"
    if "SECOND_OPINION" in os.environ:
        raise RuntimeError(missing)
    pytest.skip(missing, allow_module_level=True)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
GOOD, REFUSED, CONFIRM = "4242424242424242", "4000000000000341", "4000002500003155"


@dataclass(frozen=True)
class Theirs:
    """localstripe, asked directly."""

    url: str

    def ask(self, method: str, path: str, **data: str) -> httpx.Response:
        """Make one request as anybody may."""
        return httpx.request(
            method,
            self.url + path,
            headers={"Authorization": f"Bearer {KEY}"},
            params=data if method == "GET" else None,
            data=data if method == "POST" else None,
        )

    def made(self, path: str, **data: str) -> dict[str, Any]:
        """Make something of theirs."""
        made: dict[str, Any] = self.ask("POST", path, **data).raise_for_status().json()
        return made

    def loose_card(self, number: str) -> str:
        """Make a card that is nobody's yet."""
        card = {"card[number]": number, "card[exp_month]": "12", "card[exp_year]": "2030", "card[cvc]": "123"}
        return str(self.made("/v1/payment_methods", type="card", **card)["id"])

    def card(self, customer: str, number: str) -> str:
        """Give a customer a card, as a Checkout Session would."""
        method = self.loose_card(number)
        self.made(f"/v1/payment_methods/{method}/attach", customer=customer)
        return method


@pytest.fixture(scope="module")
def theirs() -> Iterator[Theirs]:
    with localstripe() as url:
        yield Theirs(url)


@pytest.fixture(scope="module")
def gateway(theirs: Theirs) -> Iterator[StripeGateway]:
    with bridge(theirs.url) as url:
        yield StripeGateway(api_key=KEY, api_base=url)


@pytest.fixture
def customer(gateway: StripeGateway) -> str:
    return gateway.create_customer(ref="10000001", email="kari@example.no", idempotency_key=uuid.uuid4().hex)


def ours(request: ChargeRequest) -> dict[str, str]:
    """What a payment carries of ours."""
    return {"charge": request.charge, "attempt": request.attempt, "key": request.idempotency_key}


def requested(customer: str, method: str, amount_ore: int = 25_000) -> ChargeRequest:
    attempt = uuid.uuid4().hex
    return ChargeRequest(customer, method, amount_ore, f"key-{attempt}", f"charge-{attempt}", attempt, "Bompenger")


def found(gateway: StripeGateway, request: ChargeRequest) -> object:
    return gateway.find_charge(
        customer_id=request.customer_id, charge=request.charge, attempt=request.attempt, created_after=LONG_AGO
    )


class TestFlow:
    """The card flow, from customer to money back, as the product walks it."""

    def test_a_customer_is_ours_there(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        there = theirs.ask("GET", f"/v1/customers/{customer}").json()
        assert (there["metadata"], there["email"]) == ({"ref": "10000001"}, "kari@example.no")
        nameless = gateway.create_customer(ref="10000002", email=None, idempotency_key=uuid.uuid4().hex)
        assert theirs.ask("GET", f"/v1/customers/{nameless}").json()["email"] is None

    def test_a_card_is_read_and_forgotten(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        method = theirs.card(customer, GOOD)
        card = gateway.card(method)
        assert card is not None
        assert (card.payment_method, card.customer_id, card.last4) == (method, customer, "4242")
        assert (card.brand, card.exp_month, card.exp_year, card.funding) == ("visa", 12, 2030, "credit")
        assert (card.country, card.segment, card.product) == ("FR", "unknown", None)
        gateway.detach(method)
        gateway.detach(method)
        assert gateway.card(method) is None

    def test_money_is_taken_off_session_and_found_again(
        self, gateway: StripeGateway, theirs: Theirs, customer: str
    ) -> None:
        request = requested(customer, theirs.card(customer, GOOD))
        outcome = gateway.charge(request)
        assert isinstance(outcome, Succeeded)
        assert outcome.amount_ore == 25_000
        assert abs(outcome.at - datetime.now(UTC)) < timedelta(minutes=1)
        there = theirs.ask("GET", f"/v1/payment_intents/{outcome.ref}").json()
        assert (there["amount"], there["currency"], there["customer"]) == (25_000, "nok", customer)
        assert there["metadata"] == ours(request)
        assert found(gateway, request) == gateway.retrieve(outcome.ref) == outcome
        by_charge = gateway.find_charge(customer_id=customer, charge=request.charge, created_after=LONG_AGO)
        assert by_charge == outcome
        assert found(gateway, requested(customer, request.payment_method)) is None

    def test_a_decline_is_certain_and_found_again(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        request = requested(customer, theirs.card(customer, REFUSED))
        outcome = gateway.charge(request)
        assert isinstance(outcome, Declined)
        assert (outcome.code, outcome.retry, outcome.needs_customer) == ("card_declined", "later", False)
        again = found(gateway, request)
        assert isinstance(again, Declined)
        assert again.ref is not None
        assert (again.code, gateway.retrieve(again.ref)) == ("card_declined", again)

    def test_one_of_more_than_a_page_of_payments_is_found(
        self, gateway: StripeGateway, theirs: Theirs, customer: str
    ) -> None:
        method = theirs.card(customer, GOOD)
        for _ in range(101):
            gateway.charge(requested(customer, method, 300))
        last = requested(customer, method, 301)
        assert found(gateway, last) is None
        outcome = gateway.charge(last)
        assert isinstance(outcome, Succeeded)
        first_page = theirs.ask("GET", "/v1/payment_intents", limit="100").json()  # theirs begins with the oldest
        assert outcome.ref not in {one["id"] for one in first_page["data"]}
        assert found(gateway, last) == outcome

    def test_an_unfinished_payment_is_ended(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        request = requested(customer, theirs.card(customer, CONFIRM))
        outcome = gateway.charge(request)
        assert isinstance(outcome, Unknown)
        assert outcome.ref is not None
        ended = gateway.cancel(outcome.ref)
        assert isinstance(ended, Declined)
        assert (ended.code, found(gateway, request)) == ("canceled", ended)

    def test_a_payment_the_customer_confirms(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        request = requested(customer, theirs.card(customer, CONFIRM))
        outcome = gateway.charge(request)
        assert isinstance(outcome, Unknown)
        secret = theirs.ask("GET", f"/v1/payment_intents/{outcome.ref}").json()["client_secret"]
        theirs.made(f"/v1/payment_intents/{outcome.ref}/_authenticate", client_secret=secret, success="true")
        paid = found(gateway, request)
        assert isinstance(paid, Succeeded)
        assert (paid.ref, paid.amount_ore) == (outcome.ref, 25_000)

    def test_money_goes_back_in_parts_until_nothing_is_left(
        self, gateway: StripeGateway, theirs: Theirs, customer: str
    ) -> None:
        paid = gateway.charge(requested(customer, theirs.card(customer, GOOD)))
        assert isinstance(paid, Succeeded)
        part = gateway.refund(ref=paid.ref, amount_ore=10_001, idempotency_key="part", refund=f"part-{paid.ref}")
        rest = gateway.refund(ref=paid.ref, amount_ore=14_999, idempotency_key="rest", refund=f"rest-{paid.ref}")
        assert isinstance(part, Succeeded)
        assert isinstance(rest, Succeeded)
        assert (part.amount_ore, rest.amount_ore) == (10_001, 14_999)
        for name, one in (("part", part), ("rest", rest)):
            refund = f"{name}-{paid.ref}"
            assert gateway.find_refund(ref=paid.ref, refund=refund, created_after=LONG_AGO) == one
            assert gateway.retrieve(one.ref) == one
        assert gateway.find_refund(ref=paid.ref, refund="another", created_after=LONG_AGO) is None
        charge = theirs.ask("GET", f"/v1/payment_intents/{paid.ref}").json()["latest_charge"]
        assert (charge["amount_refunded"], charge["refunded"]) == (25_000, True)
        assert gateway.retrieve(paid.ref) == paid

    def test_all_of_a_payment_goes_back_at_once(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        paid = gateway.charge(requested(customer, theirs.card(customer, GOOD)))
        assert isinstance(paid, Succeeded)
        whole = gateway.refund(ref=paid.ref, amount_ore=25_000, idempotency_key="all", refund=f"all-{paid.ref}")
        assert isinstance(whole, Succeeded)
        assert gateway.find_refund(ref=paid.ref, refund=f"all-{paid.ref}", created_after=LONG_AGO) == whole

    def test_what_failed_cannot_be_refunded(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        request = requested(customer, theirs.card(customer, REFUSED))
        gateway.charge(request)
        declined = found(gateway, request)
        assert isinstance(declined, Declined)
        with pytest.raises(GatewayMisuse):
            gateway.refund(ref=str(declined.ref), amount_ore=1, idempotency_key="none", refund="none")

    def test_the_account_tells_of_payments_and_refunds(
        self, gateway: StripeGateway, theirs: Theirs, customer: str
    ) -> None:
        paid = gateway.charge(requested(customer, theirs.card(customer, GOOD), 12_345))
        assert isinstance(paid, Succeeded)
        back = gateway.refund(ref=paid.ref, amount_ore=345, idempotency_key="345", refund=f"345-{paid.ref}")
        assert isinstance(back, Succeeded)
        lines = {line.source: line for line in gateway.transactions(LONG_AGO)}
        assert (lines[paid.ref].kind, lines[paid.ref].amount_ore, lines[paid.ref].fee_ore) == ("payment", 12_345, 0)
        assert (lines[back.ref].kind, lines[back.ref].amount_ore) == ("refund", -345)

    def test_an_event_of_theirs_is_believed(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        with PostBox() as (url, box):
            hook = {"url": url, "secret": "whsec_theirs", "events": ["payment_intent.succeeded"]}
            httpx.post(f"{theirs.url}/_config/webhooks/ours", json=hook).raise_for_status()
            request = requested(customer, theirs.card(customer, GOOD))
            paid = gateway.charge(request)
            assert isinstance(paid, Succeeded)
            body, signature = box.get(timeout=15)
            while paid.ref.encode() not in body:  # each comes a second late: others' are on their way too
                body, signature = box.get(timeout=15)
            none = {**hook, "events": ["none"]}  # it has no way to forget an address
            httpx.post(f"{theirs.url}/_config/webhooks/ours", json=none).raise_for_status()
        secrets, now = ["whsec_new", "whsec_theirs"], datetime.now(UTC)
        event = gateway.parse_event(body, signature, secrets=secrets, tolerance_seconds=300, now=now)
        about = ("payment_intent.succeeded", paid.ref, "payment_intent")
        assert (event.type, event.object_id, event.object_type) == about
        with pytest.raises(BadSignature):
            gateway.parse_event(body + b" ", signature, secrets=secrets, tolerance_seconds=300, now=now)
        assert event.metadata == ours(request)
        assert '"api_version": "2017-08-15"' in body.decode()


class TestGaps:
    """What localstripe does otherwise than Stripe, as far as we meet it. One that fails here has closed."""

    @pytest.mark.parametrize(
        ("method", "path", "field", "value"),
        [(*place, field, value) for place, fields in LEFT_OUT.items() for field, value in fields.items()],
    )
    def test_what_the_bridge_leaves_out_is_refused(
        self, theirs: Theirs, customer: str, method: str, path: str, field: str, value: str
    ) -> None:
        needed = {"amount": "300", "currency": "nok"} if method == "POST" else {}
        assert theirs.ask(method, path, **needed).status_code == 200
        value = customer if field == "customer" else value
        assert theirs.ask(method, path, **needed, **{field: value}).status_code in {400, 500}

    def test_idempotency_keys_are_ignored(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        request = requested(customer, theirs.card(customer, GOOD))
        first, second = gateway.charge(request), gateway.charge(request)
        assert isinstance(first, Succeeded)
        assert isinstance(second, Succeeded)
        assert first.ref != second.ref

    def test_there_are_no_pages(self, gateway: StripeGateway, customer: str) -> None:
        there = "https://example.no/"
        with pytest.raises(GatewayUnavailable):
            gateway.start_setup(customer_id=customer, success_url=there, cancel_url=there, idempotency_key="setup")
        page = PageRequest(customer, 300, "page", "charge", "attempt", "Bompenger", there, there, datetime.now(UTC))
        with pytest.raises(GatewayUnavailable):
            gateway.start_payment(page)

    def test_a_setup_intent_attaches_no_card(self, theirs: Theirs, customer: str) -> None:
        method = theirs.loose_card(GOOD)
        intent = theirs.made("/v1/setup_intents", customer=customer, usage="off_session")["id"]
        assert theirs.made(f"/v1/setup_intents/{intent}/confirm", payment_method=method)["status"] == "succeeded"
        assert theirs.ask("GET", f"/v1/payment_methods/{method}").json()["customer"] is None

    def test_what_needs_the_customer_is_not_declined_off_session(
        self, gateway: StripeGateway, theirs: Theirs, customer: str
    ) -> None:
        outcome = gateway.charge(requested(customer, theirs.card(customer, CONFIRM)))
        assert isinstance(outcome, Unknown)
        assert outcome.reason == "the payment is requires_action"

    def test_a_decline_names_no_payment(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        outcome = gateway.charge(requested(customer, theirs.card(customer, REFUSED)))
        assert isinstance(outcome, Declined)
        assert outcome.ref is None

    def test_what_is_not_there_has_no_code(self, gateway: StripeGateway) -> None:
        with pytest.raises(GatewayMisuse) as missing:
            gateway.card("pm_that_never_was")
        assert missing.value.code == ""

    def test_what_has_ended_cannot_be_cancelled_and_has_no_code(
        self, gateway: StripeGateway, theirs: Theirs, customer: str
    ) -> None:
        paid = gateway.charge(requested(customer, theirs.card(customer, GOOD)))
        assert isinstance(paid, Succeeded)
        with pytest.raises(GatewayMisuse) as refused:
            gateway.cancel(paid.ref)
        assert refused.value.code == ""

    def test_a_detached_card_still_pays(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        method = theirs.card(customer, GOOD)
        gateway.detach(method)
        assert isinstance(gateway.charge(requested(customer, method)), Succeeded)

    def test_more_is_given_back_than_was_paid(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        paid = gateway.charge(requested(customer, theirs.card(customer, GOOD)))
        assert isinstance(paid, Succeeded)
        over = gateway.refund(ref=paid.ref, amount_ore=25_001, idempotency_key="over", refund=f"over-{paid.ref}")
        assert isinstance(over, Succeeded)

    def test_a_sum_too_small_is_taken(self, gateway: StripeGateway, theirs: Theirs, customer: str) -> None:
        assert isinstance(gateway.charge(requested(customer, theirs.card(customer, GOOD), 1)), Succeeded)

    def test_a_restricted_key_is_refused(self, theirs: Theirs) -> None:
        with pytest.raises(GatewayMisuse):
            StripeGateway(api_key="rk_test_1", api_base=theirs.url).card("pm_1")

    def test_there_are_no_disputes(self, gateway: StripeGateway) -> None:
        with pytest.raises(GatewayUnavailable):
            gateway.disputes(created_after=LONG_AGO)
        with pytest.raises(GatewayUnavailable):
            gateway.dispute("du_1")

    def test_the_balance_is_no_list_and_payouts_are_not_in_nok(self, gateway: StripeGateway, theirs: Theirs) -> None:
        balance = theirs.ask("GET", "/v1/balance").json()
        assert balance["available"]["currency"] == "eur"
        assert theirs.ask("POST", "/v1/payouts", amount="300", currency="nok").status_code == 400
        theirs.made("/v1/payouts", amount="300", currency="eur")
        assert gateway.payouts(LONG_AGO) == []  # what is not in NOK is none of ours
        with pytest.raises(GatewayMisuse):
            gateway.transactions_of("po_1")


class PostBox:
    """Where their events come."""

    def __init__(self) -> None:
        self.came: queue.Queue[tuple[bytes, str]] = queue.Queue()
        came = self.came

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                came.put((body, self.headers["Stripe-Signature"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))

    def __enter__(self) -> tuple[str, queue.Queue[tuple[bytes, str]]]:
        self.thread.start()
        return f"http://127.0.0.1:{self.server.server_address[1]}/", self.came

    def __exit__(self, *_error: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
