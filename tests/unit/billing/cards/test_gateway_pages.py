"""Pages where a customer pays: our client against the stand-in, and the page as a browser sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from billing.cards.gateway import (
    PAGE_TOO_LATE,
    CardGateway,
    ChargeRequest,
    Declined,
    GatewayMisuse,
    PageRequest,
    Succeeded,
)
from billing.cards.stripe.gateway import StripeGateway
from config.clock import now_utc
from simulator.gateway import GatewayServer


@pytest.fixture
def server() -> Iterator[GatewayServer]:
    with GatewayServer() as running:
        yield running


@pytest.fixture
def gateway(server: GatewayServer) -> CardGateway:
    return StripeGateway(api_key="sk_test_1", api_base=server.url, timeout_seconds=2)


@pytest.fixture
def request_(gateway: CardGateway) -> PageRequest:
    return PageRequest(
        customer_id=gateway.create_customer(ref="1", email=None, idempotency_key="c"),
        amount_ore=20_450,
        idempotency_key="page-1",
        charge="7",
        attempt="9",
        description="Agreement 10000001",
        success_url="http://localhost/back?confirmed={CHECKOUT_SESSION_ID}",
        cancel_url="http://localhost/back",
        expires_at=now_utc() + timedelta(minutes=35),
    )


def test_a_page_is_open_until_it_is_paid(server: GatewayServer, gateway: CardGateway, request_: PageRequest) -> None:
    made = gateway.start_payment(request_)
    assert (made.status, made.payment, made.brand) == ("open", None, None)
    assert gateway.start_payment(request_) == made, "the same key is the same page"
    assert gateway.payment_page(made.ref) == made
    server.pay_page(made.ref, "commercial")
    paid = gateway.payment_page(made.ref)
    assert (paid.status, paid.url, paid.brand, paid.last4) == ("complete", None, "visa", "0007")
    assert isinstance(paid.payment, Succeeded)
    assert paid.payment.amount_ore == 20_450
    assert gateway.end_payment(made.ref) == paid, "one that is paid cannot be ended"
    found = gateway.find_charge(
        customer_id=request_.customer_id, charge="7", attempt="9", created_after=now_utc() - timedelta(hours=1)
    )
    assert found == paid.payment, "the payment has our metadata"


def test_an_ended_page_takes_no_money(server: GatewayServer, gateway: CardGateway, request_: PageRequest) -> None:
    made = gateway.start_payment(request_)
    assert made.url is not None
    refused = httpx.post(made.url, data={"card": "consumer", "do": "fail"})
    assert refused.status_code == 402
    assert isinstance(gateway.payment_page(made.ref).payment, Declined)
    ended = gateway.end_payment(made.ref)
    assert (ended.status, ended.url) == ("expired", None)
    assert isinstance(ended.payment, Declined)
    assert ended.payment.code == "canceled"
    assert httpx.post(made.url, data={"card": "consumer"}).status_code == 410
    assert server.books()["count"] == 0


def test_a_page_whose_time_is_over_is_expired(
    server: GatewayServer, gateway: CardGateway, request_: PageRequest
) -> None:
    made = gateway.start_payment(request_)
    server.move_clock(request_.expires_at + timedelta(seconds=1))
    assert gateway.payment_page(made.ref).status == "expired"


def test_the_customer_pays_or_leaves_in_the_browser(gateway: CardGateway, request_: PageRequest) -> None:
    made = gateway.start_payment(request_)
    assert made.url is not None
    page = httpx.get(made.url, headers={"Accept-Language": "en"})
    assert "Pay NOK 204,50" in page.text
    assert 'href="http://localhost/back"' in page.text
    assert "Betal 204,50 kr" in httpx.get(made.url).text
    # The bank's question is answered where the customer is there.
    paid = httpx.post(made.url, data={"card": "authentication_required", "do": "pay"})
    assert (paid.status_code, paid.headers["Location"]) == (303, f"http://localhost/back?confirmed={made.ref}")
    assert gateway.payment_page(made.ref).status == "complete"


def test_what_the_gateway_does_not_make(gateway: CardGateway, request_: PageRequest) -> None:
    soon = replace(request_, expires_at=now_utc() + timedelta(minutes=10), idempotency_key="page-2")
    with pytest.raises(GatewayMisuse) as refused:
        gateway.start_payment(soon)
    assert refused.value.code == PAGE_TOO_LATE
    with pytest.raises(GatewayMisuse):
        gateway.start_payment(replace(request_, customer_id="cus_none", idempotency_key="page-3"))
    gateway.start_payment(request_)
    with pytest.raises(GatewayMisuse) as other:
        gateway.start_payment(replace(request_, amount_ore=1_000))
    assert other.value.code == "idempotency_error"


def test_control_pays_fails_and_ends(server: GatewayServer, gateway: CardGateway, request_: PageRequest) -> None:
    made = gateway.start_payment(request_)
    there = f"{server.url}/_control/pages/{made.ref}"
    assert httpx.post(there, json={"do": "fail", "card": "consumer"}).status_code == 402
    assert httpx.post(there, json={"do": "dance"}).status_code == 400
    assert httpx.post(there, json={"do": "expire"}).json()["status"] == "expired"
    assert httpx.post(there, json={"do": "pay", "card": "consumer"}).status_code == 400
    assert httpx.post(f"{server.url}/_control/pages/cs_none", json={"do": "expire"}).status_code == 404


@pytest.mark.parametrize(
    ("mode", "said", "answer"),
    [
        ("payment", {}, ["always"]),
        ("payment", {"saved_payment_method_options[allow_redisplay_filters][0]": "limited"}, ["limited"]),
        ("payment", {"saved_payment_method_options[allow_redisplay_filters][0]": "often"}, 400),
        ("payment", {"saved_payment_method_options[payment_method_save]": "enabled"}, 400),
        ("setup", {"saved_payment_method_options[allow_redisplay_filters][0]": "always"}, 400),
    ],
)
def test_which_cards_the_stand_in_offers(
    server: GatewayServer, request_: PageRequest, mode: str, said: dict[str, str], answer: list[str] | int
) -> None:
    form = {
        "mode": mode, "customer": request_.customer_id, "allowed_payment_method_types[0]": "card",
        "success_url": "http://localhost/back", **said,
    }  # fmt: skip
    if mode == "payment":
        form |= {
            "line_items[0][quantity]": "1", "line_items[0][price_data][currency]": "nok",
            "line_items[0][price_data][unit_amount]": "20000", "line_items[0][price_data][product_data][name]": "A",
        }  # fmt: skip
    told = httpx.post(f"{server.url}/v1/checkout/sessions", data=form, auth=("sk_test_1", ""))
    if isinstance(answer, int):
        assert told.status_code == answer
        assert told.json()["error"]["param"].startswith("saved_payment_method_options")
    else:
        assert told.json()["saved_payment_method_options"] == {"allow_redisplay_filters": answer}


def test_the_stand_in_pays_out_by_hand(server: GatewayServer, gateway: CardGateway) -> None:
    customer = gateway.create_customer(ref="2", email=None, idempotency_key="c2")
    gateway.charge(ChargeRequest(customer, server.add_card(customer), 20_000, "key", "1", "1", "A"))
    control = f"{server.url}/_control/payouts"
    for wrong in ({"amount": "5000"}, {}, {"amount": 20_000}):
        assert httpx.post(control, json=wrong).status_code == 400
    made = httpx.post(control, json={"amount": 5_000}).json()
    assert (made["automatic"], made["amount"], made["status"]) == (False, 5_000, "in_transit")
    assert httpx.post(f"{control}/{made['id']}", json={"do": "fail"}).status_code == 200
    assert [one.state for one in gateway.payouts(now_utc() - timedelta(hours=1))] == ["failed"]
