"""The real Stripe client against the stand-in, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import stripe

from billing.cards.gateway import (
    CardGateway,
    ChargeRequest,
    Declined,
    GatewayMisuse,
    GatewayUnavailable,
    RateLimited,
    SetupNotFinished,
    Succeeded,
    Unknown,
)
from billing.cards.stripe.gateway import StripeGateway
from billing.cards.stripe.outcomes import LONGEST_WAIT
from simulator.gateway import GatewayServer

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
TIMEOUT = 0.3


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    with GatewayServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _well(server: GatewayServer) -> Iterator[None]:
    yield
    server.world.faults.clear()
    server.world.latency_ms = 0
    server.move_clock(None)


@pytest.fixture
def gateway(server: GatewayServer) -> CardGateway:
    return StripeGateway(api_key="sk_test_1", api_base=server.url, timeout_seconds=TIMEOUT)


@dataclass
class Desk:
    """A customer at the gateway, and the gateway's insides."""

    server: GatewayServer
    gateway: CardGateway
    customer: str

    def request(self, card: str = "consumer") -> ChargeRequest:
        method = self.server.add_card(self.customer, card)
        charge, attempt = f"for-{self.customer}", f"attempt-{method}"
        return ChargeRequest(self.customer, method, 20_000, f"key-{method}", charge, attempt, "Bompenger")

    def taken(self) -> list[int]:
        """What the gateway's own books say it took from the customer."""
        return [one["amount_ore"] for one in self.server.books()["payments"] if one["customer"] == self.customer]

    def find(self, request: ChargeRequest) -> object:
        return self.gateway.find_charge(
            customer_id=request.customer_id, charge=request.charge, attempt=request.attempt, created_after=LONG_AGO
        )


@pytest.fixture
def desk(server: GatewayServer, gateway: CardGateway, request: pytest.FixtureRequest) -> Desk:
    key = request.node.nodeid[-255:]
    return Desk(server, gateway, gateway.create_customer(ref="10000001", email="k@example.no", idempotency_key=key))


class TestRegistration:
    def _start(self, desk: Desk) -> str:
        setup = desk.gateway.start_setup(
            customer_id=desk.customer,
            success_url="http://my.page/card?setup={CHECKOUT_SESSION_ID}",
            cancel_url="http://my.page/card",
            idempotency_key=f"setup-{desk.customer}",
        )
        assert setup.url.endswith(setup.id)
        return setup.id

    @pytest.mark.parametrize(
        ("card", "segment", "last4"),
        [
            ("consumer", "consumer", "4242"),
            ("commercial", "commercial", "0007"),
            ("mastercard_business", "commercial", "0004"),
            ("unknown_product", "unknown", "0001"),
        ],
    )
    def test_a_card_given_on_the_page_comes_back_with_its_details(
        self, desk: Desk, card: str, segment: str, last4: str
    ) -> None:
        setup_id = self._start(desk)
        with pytest.raises(SetupNotFinished, match="open"):
            desk.gateway.finish_setup(setup_id)
        page = f"{desk.server.url}/pay/setup/{setup_id}"
        assert 'value="commercial"' in httpx.get(page).text
        done = httpx.post(page, data={"card": card})
        assert (done.status_code, done.headers["Location"]) == (303, f"http://my.page/card?setup={setup_id}")
        details = desk.gateway.finish_setup(setup_id)
        assert (details.segment, details.last4, details.customer_id) == (segment, last4, desk.customer)
        assert details == desk.gateway.finish_setup(setup_id)
        paid = desk.gateway.charge(replace(desk.request(), payment_method=details.payment_method))
        assert isinstance(paid, Succeeded)

    def test_a_card_the_bank_refuses_leaves_the_page_open(self, desk: Desk) -> None:
        setup_id = self._start(desk)
        with pytest.raises(Exception, match="declined"):
            desk.server.give_card(setup_id, "setup_declined")
        with pytest.raises(SetupNotFinished, match="open"):
            desk.gateway.finish_setup(setup_id)
        desk.server.give_card(setup_id, "consumer")
        assert desk.gateway.finish_setup(setup_id).brand == "visa"

    def test_the_page_is_over_after_a_day(self, desk: Desk) -> None:
        desk.server.move_clock(NOW)
        setup_id = self._start(desk)
        desk.server.move_clock(NOW + timedelta(days=1))
        with pytest.raises(SetupNotFinished, match="expired"):
            desk.gateway.finish_setup(setup_id)

    def test_the_same_key_makes_one_customer(self, gateway: CardGateway) -> None:
        first = gateway.create_customer(ref="10000002", email=None, idempotency_key="customer-10000002")
        assert first == gateway.create_customer(ref="10000002", email=None, idempotency_key="customer-10000002")

    def test_forgetting_a_card_twice_is_fine_and_it_cannot_be_charged(self, desk: Desk) -> None:
        request = desk.request()
        desk.gateway.detach(request.payment_method)
        desk.gateway.detach(request.payment_method)
        desk.gateway.detach("pm_never")
        outcome = desk.gateway.charge(request)
        assert isinstance(outcome, Declined)
        assert (outcome.code, outcome.needs_customer, outcome.ref) == ("payment_method_missing", True, None)

    def test_no_answer_is_unavailable_not_a_bug(self, server: GatewayServer, gateway: CardGateway) -> None:
        server.fault("rate_limit", on="customer", retry_after=7)
        with pytest.raises(GatewayUnavailable) as turned_away:
            gateway.create_customer(ref="1", email=None, idempotency_key="unavailable")
        assert turned_away.value.retry_after == timedelta(seconds=7)
        server.fault("timeout", on="customer", when="before")
        with pytest.raises(GatewayUnavailable):
            gateway.create_customer(ref="1", email=None, idempotency_key="unavailable")


class TestCharge:
    def test_success_says_when_and_how_much_by_the_gateways_clock(self, desk: Desk) -> None:
        desk.server.move_clock(NOW)
        request = desk.request()
        outcome = desk.gateway.charge(request)
        assert isinstance(outcome, Succeeded)
        assert (outcome.amount_ore, outcome.at) == (20_000, NOW)
        assert desk.gateway.retrieve(outcome.ref) == outcome == desk.find(request)
        assert desk.taken() == [20_000]

    @pytest.mark.parametrize(
        ("card", "needs_customer", "retry"),
        [
            ("insufficient_funds", False, "later"),
            ("do_not_honor", False, "later"),
            ("processing_error", False, "later"),
            ("expired_card", True, "never"),
            ("lost_card", True, "never"),
            ("stolen_card", True, "never"),
            ("authentication_required", True, "never"),
        ],
    )
    def test_a_decline_is_certain_and_says_what_helps(
        self, desk: Desk, card: str, needs_customer: bool, retry: str
    ) -> None:
        request = desk.request(card)
        outcome = desk.gateway.charge(request)
        assert isinstance(outcome, Declined)
        assert (outcome.code, outcome.needs_customer, outcome.retry) == (card, needs_customer, retry)
        assert outcome.ref is not None
        assert desk.gateway.charge(request) == outcome == desk.gateway.retrieve(outcome.ref) == desk.find(request)
        assert desk.taken() == []

    def test_the_same_key_takes_the_money_once(self, desk: Desk) -> None:
        request = desk.request()
        outcomes = {desk.gateway.charge(request) for _ in range(3)}
        assert len(outcomes) == 1
        assert desk.taken() == [20_000]

    def test_the_same_key_with_another_sum_is_misuse(self, desk: Desk) -> None:
        request = desk.request()
        desk.gateway.charge(request)
        with pytest.raises(GatewayMisuse) as misuse:
            desk.gateway.charge(replace(request, amount_ore=20_001))
        assert misuse.value.code == "idempotency_error"
        assert desk.taken() == [20_000]

    def test_a_lost_answer_is_unknown_until_asked_again(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("timeout", when="after")
        lost = desk.gateway.charge(request)
        assert isinstance(lost, Unknown)
        assert lost.same_key_helps
        found = desk.find(request)
        again = desk.gateway.charge(request)
        assert isinstance(again, Succeeded)
        assert found == again
        assert desk.taken() == [20_000]

    def test_a_lost_answer_is_found_after_the_key_is_forgotten(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("timeout", when="after", hold_seconds=0)
        assert isinstance(desk.gateway.charge(request), Unknown)
        desk.server.forget_keys()
        assert isinstance(desk.find(request), Succeeded)
        # The proof that the look-up is needed: the forgotten key takes the money again.
        assert isinstance(desk.gateway.charge(request), Succeeded)
        assert desk.taken() == [20_000, 20_000]

    def test_a_request_lost_on_the_way_took_nothing(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("timeout", when="before")
        assert isinstance(desk.gateway.charge(request), Unknown)
        assert desk.find(request) is None
        assert desk.taken() == []
        assert isinstance(desk.gateway.charge(request), Succeeded)

    def test_429_is_certain_that_nothing_happened(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("rate_limit", retry_after=3)
        desk.server.fault("rate_limit")
        assert desk.gateway.charge(request) == RateLimited(retry_after=timedelta(seconds=3))
        assert desk.gateway.charge(request) == RateLimited(retry_after=None)
        desk.server.fault("rate_limit", retry_after=86_400)
        assert desk.gateway.charge(request) == RateLimited(retry_after=LONGEST_WAIT), "not for a day"
        assert desk.taken() == []
        assert isinstance(desk.gateway.charge(request), Succeeded)

    def test_500_before_any_effect(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("error", when="before", status=503)
        assert isinstance(desk.gateway.charge(request), Unknown)
        assert desk.taken() == []
        assert isinstance(desk.gateway.charge(request), Succeeded)
        assert desk.taken() == [20_000]

    def test_500_after_the_effect_is_repeated_by_the_key_and_seen_through_by_looking(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("error", when="after")
        first = desk.gateway.charge(request)
        assert isinstance(first, Unknown)
        again = desk.gateway.charge(request)
        assert isinstance(again, Unknown)
        assert not again.same_key_helps
        assert isinstance(desk.find(request), Succeeded)
        assert desk.taken() == [20_000]

    def test_two_at_once_under_one_key_take_the_money_once(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.world.latency_ms = 100
        outcomes: list[object] = []
        threads = [threading.Thread(target=lambda: outcomes.append(desk.gateway.charge(request))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(isinstance(one, Succeeded) for one in outcomes) == 1
        assert [one.reason for one in outcomes if isinstance(one, Unknown)] == [
            "the same request is under way (409)"
        ] * 2
        assert desk.taken() == [20_000]

    def test_nobody_there_is_unknown(self, desk: Desk) -> None:
        with GatewayServer() as gone:
            address = gone.url
        outcome = StripeGateway(api_key="sk_test_1", api_base=address, timeout_seconds=TIMEOUT).charge(desk.request())
        assert isinstance(outcome, Unknown)

    def test_too_small_a_sum_is_declined_for_good(self, desk: Desk) -> None:
        outcome = desk.gateway.charge(replace(desk.request(), amount_ore=299))
        assert isinstance(outcome, Declined)
        assert (outcome.code, outcome.needs_customer, outcome.retry) == ("amount_too_small", False, "never")

    def test_wrong_settings_are_misuse(self, desk: Desk) -> None:
        with pytest.raises(GatewayMisuse):
            StripeGateway(api_key="pk_wrong", api_base=desk.server.url, timeout_seconds=TIMEOUT).charge(desk.request())
        with pytest.raises(GatewayMisuse) as nobody:
            desk.gateway.charge(replace(desk.request(), customer_id="cus_nobody"))
        assert nobody.value.code == "resource_missing"
        with pytest.raises(GatewayMisuse):
            desk.gateway.retrieve("pi_nothing")

    @pytest.mark.parametrize("wrong", [{"amount_ore": 0}, {"amount_ore": -1}, {"idempotency_key": ""}])
    def test_a_request_that_makes_no_sense_is_never_sent(self, wrong: dict[str, Any]) -> None:
        good = ChargeRequest("cus_1", "pm_1", 20_000, "key", "charge", "attempt", "Bompenger")
        with pytest.raises(ValueError):
            replace(good, **wrong)


class TestLookingUp:
    def test_a_success_outweighs_later_declines_and_other_charges_are_not_ours(self, desk: Desk) -> None:
        first = desk.request("insufficient_funds")
        second = desk.request()
        third = desk.request("lost_card")
        for request in (first, second, third):
            desk.gateway.charge(request)
        desk.gateway.charge(replace(desk.request(), charge="another"))
        found = desk.gateway.find_charge(customer_id=desk.customer, charge=first.charge, created_after=LONG_AGO)
        assert isinstance(found, Succeeded)
        assert isinstance(desk.find(first), Declined)
        assert desk.gateway.find_charge(customer_id=desk.customer, charge="never made", created_after=LONG_AGO) is None

    def test_beyond_the_first_page(self, desk: Desk) -> None:
        wanted = desk.request()
        desk.gateway.charge(wanted)
        for number in range(101):
            desk.gateway.charge(
                replace(wanted, charge=f"later-{number}", attempt="", idempotency_key=f"{desk.customer}-{number}")
            )
        assert isinstance(desk.find(wanted), Succeeded)

    def test_only_what_was_made_since(self, desk: Desk) -> None:
        desk.server.move_clock(NOW)
        request = desk.request()
        desk.gateway.charge(request)
        for since, seen in ((NOW, True), (NOW + timedelta(seconds=1), False)):
            found = desk.gateway.find_charge(customer_id=desk.customer, charge=request.charge, created_after=since)
            assert isinstance(found, Succeeded) is seen

    def test_no_answer_is_not_taken_for_nothing_there(self, desk: Desk) -> None:
        request = desk.request()
        desk.server.fault("error", on="read", when="before")
        assert isinstance(desk.find(request), Unknown)
        desk.server.fault("timeout", on="read")
        assert isinstance(desk.find(request), Unknown)
        desk.server.fault("rate_limit", on="read")
        assert isinstance(desk.find(request), RateLimited)
        assert desk.find(request) is None


class TestCancel:
    def test_an_unfinished_payment_is_settled_by_cancelling_it(self, desk: Desk) -> None:
        client = stripe.StripeClient("sk_test_1", base_addresses={"api": desk.server.url}, max_network_retries=0)
        method = desk.server.add_card(desk.customer)
        intent = client.v1.payment_intents.create(
            {"amount": 500, "currency": "nok", "customer": desk.customer, "payment_method": method}
        )
        assert desk.gateway.retrieve(intent.id) == Unknown(reason="the payment is requires_confirmation", ref=intent.id)
        outcome = desk.gateway.cancel(intent.id)
        assert isinstance(outcome, Declined)
        assert outcome.code == "canceled"
        assert desk.gateway.cancel(intent.id) == outcome

    def test_too_late(self, desk: Desk) -> None:
        paid = desk.gateway.charge(desk.request())
        assert isinstance(paid, Succeeded)
        assert desk.gateway.cancel(paid.ref) == paid


class TestRefund:
    def test_in_parts_once_each_and_never_more_than_was_paid(self, desk: Desk) -> None:
        paid = desk.gateway.charge(desk.request())
        assert isinstance(paid, Succeeded)

        def give(amount_ore: int, name: str) -> object:
            return desk.gateway.refund(ref=paid.ref, amount_ore=amount_ore, idempotency_key=name, refund=name)

        first = give(5_000, f"{desk.customer}-r1")
        assert isinstance(first, Succeeded)
        assert first == give(5_000, f"{desk.customer}-r1") == desk.gateway.retrieve(first.ref)
        too_much = give(15_001, f"{desk.customer}-r2")
        assert isinstance(too_much, Declined)
        assert (too_much.code, too_much.retry) == ("amount_too_large", "never")
        desk.server.fault("timeout", on="refund", when="after")
        assert isinstance(give(15_000, f"{desk.customer}-r3"), Unknown)
        assert isinstance(give(15_000, f"{desk.customer}-r3"), Succeeded)
        over = give(1, f"{desk.customer}-r4")
        assert isinstance(over, Declined)
        assert over.code == "charge_already_refunded"
        refunds = [one["amount_ore"] for one in desk.server.books()["refunds"] if one["payment"] == paid.ref]
        assert refunds == [5_000, 15_000]
