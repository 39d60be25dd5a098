"""The stand-in gateway itself: its webhooks, its memory, what it refuses, and what it can be told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from simulator.gateway import GatewayServer
from simulator.gateway.forms import BadForm, decode

ROOT = Path(__file__).resolve().parents[3]


class Inbox:
    """A webhook endpoint that keeps what it gets and answers what it is told."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.bodies: list[bytes] = []
        self.answers: list[int] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                inbox.bodies.append(body)
                inbox.headers.append(self.headers["Stripe-Signature"])
                inbox.got.append(json.loads(body))
                self.send_response(inbox.answers.pop(0) if inbox.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def payments(self) -> list[str]:
        """The payments that were told of, in the order they came."""
        return [one["data"]["object"]["id"] for one in self.got if one["type"] == "payment_intent.succeeded"]


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    yield made
    made.close()


@pytest.fixture
def gateway(inbox: Inbox) -> Iterator[GatewayServer]:
    with GatewayServer(webhook_url=inbox.url, webhook_secrets=["whsec_1", "whsec_2"], first_wait=0.01) as running:
        yield running


def _client(gateway: GatewayServer) -> stripe.StripeClient:
    return stripe.StripeClient(
        "sk_test_1",
        base_addresses={"api": gateway.url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=5),
    )


def _payment(customer: str, card: str) -> Any:
    """What is asked to take NOK 200 from a card."""
    common = {"amount": 20_000, "currency": "nok", "off_session": True, "confirm": True}
    return common | {"customer": customer, "payment_method": card}


def _pay(gateway: GatewayServer, customer: str | None = None, card: str = "consumer") -> str:
    client = _client(gateway)
    customer = customer or client.v1.customers.create({"email": "ola@example.no"}).id
    return client.v1.payment_intents.create(_payment(customer, gateway.add_card(customer, card))).id


def _tell(gateway: GatewayServer, path: str, **asked: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/_control/{path}", json=asked)


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.01)


class TestWebhooks:
    def test_signed_with_every_secret_over_the_raw_body(self, gateway: GatewayServer, inbox: Inbox) -> None:
        paid = _pay(gateway)
        assert gateway.wait_for_webhooks()
        assert inbox.payments() == [paid]
        for secret in ("whsec_1", "whsec_2"):
            event = stripe.Webhook.construct_event(inbox.bodies[-1], inbox.headers[-1], secret)
            assert event.type == "payment_intent.succeeded"
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(inbox.bodies[-1], inbox.headers[-1], "whsec_3")

    def test_a_declined_card_is_told_too(self, gateway: GatewayServer, inbox: Inbox) -> None:
        with pytest.raises(stripe.CardError):
            _pay(gateway, card="lost_card")
        assert gateway.wait_for_webhooks()
        [event] = inbox.got
        assert event["type"] == "payment_intent.payment_failed"
        assert event["data"]["object"]["last_payment_error"]["decline_code"] == "lost_card"

    def test_tried_again_until_accepted(self, gateway: GatewayServer, inbox: Inbox) -> None:
        inbox.answers = [500, 503]
        paid = _pay(gateway)
        assert gateway.wait_for_webhooks()
        assert inbox.payments() == [paid] * 3
        assert len({one["id"] for one in inbox.got}) == 1
        assert gateway.world.courier.counts() == {"waiting": 0, "delivered": 1, "given_up": 0}

    def test_dropped(self, gateway: GatewayServer, inbox: Inbox) -> None:
        gateway.fault("webhook", action="drop")
        _pay(gateway)
        second = _pay(gateway)
        assert gateway.wait_for_webhooks()
        assert inbox.payments() == [second]

    def test_duplicated(self, gateway: GatewayServer, inbox: Inbox) -> None:
        gateway.fault("webhook", action="duplicate", copies=2, types=["payment_intent.succeeded"])
        paid = _pay(gateway)
        assert gateway.wait_for_webhooks()
        assert inbox.payments() == [paid] * 3
        assert len({one["id"] for one in inbox.got}) == 1

    def test_delayed(self, gateway: GatewayServer, inbox: Inbox) -> None:
        gateway.fault("webhook", action="delay", seconds=0.3)
        before = time.monotonic()
        paid = _pay(gateway)
        assert gateway.wait_for_webhooks()
        assert time.monotonic() - before >= 0.3
        assert inbox.payments() == [paid]

    def test_reordered(self, gateway: GatewayServer, inbox: Inbox) -> None:
        gateway.fault("webhook", action="reorder", seconds=30)
        first, second = _pay(gateway), _pay(gateway)
        assert gateway.wait_for_webhooks()
        assert inbox.payments() == [second, first]

    def test_an_event_that_nothing_caused(self, gateway: GatewayServer, inbox: Inbox) -> None:
        _tell(gateway, "events", type="invoice.paid", object={"id": "in_1", "object": "invoice"})
        assert gateway.wait_for_webhooks()
        assert inbox.got[0]["type"] == "invoice.paid"


class TestMemory:
    def test_a_restart_remembers_books_keys_cards_and_undelivered_webhooks(self, tmp_path: Path, inbox: Inbox) -> None:
        data = tmp_path / "gateway.db"
        inbox.answers = [500] * 100
        with GatewayServer(data=data, webhook_url=inbox.url, first_wait=0.2) as first:
            customer = _client(first).v1.customers.create({}).id
            params = _payment(customer, first.add_card(customer))
            paid = _client(first).v1.payment_intents.create(params, {"idempotency_key": "once"}).id
            _until(lambda: len(inbox.got) > 0)
            books = first.books()
        inbox.answers = []
        with GatewayServer(data=data, webhook_url=inbox.url) as second:
            assert second.books() == books
            again = _client(second).v1.payment_intents.create(params, {"idempotency_key": "once"})
            assert again.id == paid
            headers = again.last_response.headers if again.last_response else {}
            assert headers["Idempotent-Replayed"] == "true"
            assert second.books()["count"] == 1
            assert second.wait_for_webhooks()
            assert second.world.courier.counts()["delivered"] == 1

    def test_killed_after_the_effect_the_process_remembers_it(self, tmp_path: Path) -> None:
        data, port = tmp_path / "gateway.db", _free_port()
        call = [sys.executable, "-m", "simulator.gateway", "--port", str(port), "--data", str(data)]
        process = subprocess.Popen(call, cwd=ROOT, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)})
        try:
            assert process.stdout is not None
            assert b"card gateway on" in process.stdout.readline()
            url = f"http://127.0.0.1:{port}"
            client = stripe.StripeClient("sk_test_1", base_addresses={"api": url}, max_network_retries=0)
            customer = client.v1.customers.create({}).id
            card = httpx.post(f"{url}/_control/cards", json={"customer": customer, "card": "consumer"}).json()["id"]
            httpx.post(f"{url}/_control/faults", json={"kind": "timeout", "hold_seconds": 0})
            with pytest.raises(stripe.APIConnectionError):
                client.v1.payment_intents.create(_payment(customer, card))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()
        with GatewayServer(data=data) as again:
            assert again.books()["sum_ore"] == 20_000

    def test_keys_are_forgotten_after_a_day_of_its_clock(self, gateway: GatewayServer) -> None:
        create = _client(gateway).v1.customers.create
        ids = []
        for instant in ("2026-03-01T12:00:00Z", "2026-03-02T11:59:59Z", "2026-03-02T12:00:00Z"):
            assert _tell(gateway, "clock", now=instant, running=False).status_code == 200
            ids.append(create({"name": "Kari"}, {"idempotency_key": "day"}).id)
        assert ids[0] == ids[1] != ids[2]


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported"),
            ({"capture_method": "manual"}, "parameter_unknown"),
            ({"amount": "twenty"}, "parameter_invalid_integer"),
            ({"amount": -5}, "parameter_invalid_integer"),
            ({"amount": 299}, "amount_too_small"),
            ({"currency": "eur"}, None),
            ({"customer": "cus_nobody"}, "resource_missing"),
            ({"payment_method": "pm_nothing"}, "resource_missing"),
            ({"off_session": False}, None),
        ],
    )
    def test_what_stripe_or_it_does_not_take_is_refused_and_the_key_stays_free(
        self, gateway: GatewayServer, change: dict[str, Any], code: str | None
    ) -> None:
        client = _client(gateway)
        customer = client.v1.customers.create({}).id
        good = _payment(customer, gateway.add_card(customer))
        with pytest.raises(stripe.InvalidRequestError) as refused:
            client.v1.payment_intents.create(good | change, {"idempotency_key": "free"})
        assert refused.value.code == code
        assert gateway.books()["count"] == 0
        assert client.v1.payment_intents.create(good, {"idempotency_key": "free"}).status == "succeeded"

    def test_another_customers_card(self, gateway: GatewayServer) -> None:
        create = _client(gateway).v1.customers.create
        mine, other = create({}).id, create({}).id
        with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
            _client(gateway).v1.payment_intents.create(
                {"amount": 500, "currency": "nok", "customer": mine, "payment_method": gateway.add_card(other)}
            )

    def test_no_key_and_no_such_address(self, gateway: GatewayServer) -> None:
        assert httpx.get(f"{gateway.url}/v1/payment_intents").status_code == 401
        key = {"Authorization": "Bearer sk_test_1"}
        assert httpx.get(f"{gateway.url}/v1/nothing", headers=key).status_code == 404
        assert httpx.post(f"{gateway.url}/v1/customers", headers=key, content="a[b=1").status_code == 400
        assert httpx.get(f"{gateway.url}/pay/setup/cs_nothing").status_code == 404

    @pytest.mark.parametrize("text", ["a=1&a[b]=2", "a[b]=2&a=1", "[b]=1", "a[b=1", "a]=1"])
    def test_forms_that_cannot_be_read(self, text: str) -> None:
        with pytest.raises(BadForm):
            decode(text)

    def test_forms(self) -> None:
        text = "metadata[charge]=7&metadata[note]=a%26b&expand[0]=x&expand[1]=y&created[gte]=5&empty="
        assert decode(text) == {
            "metadata": {"charge": "7", "note": "a&b"},
            "expand": ["x", "y"],
            "created": {"gte": "5"},
            "empty": "",
        }


class TestControl:
    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            ("faults", {"kind": "explode"}),
            ("faults", {}),
            ("faults", {"kind": "decline", "status": 500}),
            ("faults", {"kind": "error", "status": 404}),
            ("faults", {"kind": "error", "when": "sometime"}),
            ("faults", {"kind": "timeout", "times": 0}),
            ("faults", {"kind": "timeout", "times": True}),
            ("faults", {"kind": "timeout", "hold_seconds": "long"}),
            ("faults", {"kind": "webhook", "types": "all"}),
            ("faults", {"kind": "decline", "customer": 7}),
            ("clock", {"now": "yesterday"}),
            ("clock", {"now": "2026-03-01T12:00:00"}),
            ("clock", {}),
            ("settings", {"latency_ms": -1}),
            ("settings", {"speed": 3}),
            ("settings", {"webhook_url": "ftp://x"}),
            ("settings", {"webhook_secrets": []}),
            ("events", {"type": "x"}),
            ("cards", {"customer": "cus_nobody", "card": "consumer"}),
            ("cards", {"customer": 5}),
            ("setups/cs_nothing", {"card": "no_such_card"}),
        ],
    )
    def test_garbage_is_answered_with_a_sentence_and_changes_nothing(
        self, gateway: GatewayServer, path: str, asked: dict[str, Any]
    ) -> None:
        answer = _tell(gateway, path, **asked)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"]
        assert gateway.world.faults.waiting() == []
        assert (gateway.world.latency_ms, gateway.world.store.setting("clock")) == (0, None)

    @pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b"7", b"x" * 70_000])
    def test_a_body_that_is_no_json_object(self, gateway: GatewayServer, raw: bytes) -> None:
        assert httpx.post(f"{gateway.url}/_control/faults", content=raw).status_code == 400

    def test_unknown_calls(self, gateway: GatewayServer) -> None:
        assert httpx.get(f"{gateway.url}/_control/nothing").status_code == 404
        assert httpx.put(f"{gateway.url}/_control/books").status_code == 404

    def test_faults_are_for_one_customer_and_so_many_times(self, gateway: GatewayServer) -> None:
        create = _client(gateway).v1.customers.create
        mine, other = create({}).id, create({}).id
        assert _tell(gateway, "faults", kind="decline", code="stolen_card", customer=mine, times=2).status_code == 200
        _pay(gateway, other)
        for _ in range(2):
            with pytest.raises(stripe.CardError) as declined:
                _pay(gateway, mine)
            assert declined.value.error is not None
            assert declined.value.error.decline_code == "stolen_card"
        _pay(gateway, mine)
        books = httpx.get(f"{gateway.url}/_control/books").json()
        assert (books["count"], books["sum_ore"], books["net_ore"]) == (2, 40_000, 40_000)
        assert [one["customer"] for one in books["payments"]] == [other, mine]

    def test_a_fault_without_end_lasts_until_cleared(self, gateway: GatewayServer) -> None:
        _tell(gateway, "faults", kind="rate_limit", on="any", times=None)
        for _ in range(3):
            with pytest.raises(stripe.RateLimitError):
                _client(gateway).v1.customers.create({})
        assert httpx.delete(f"{gateway.url}/_control/faults").status_code == 200
        assert _client(gateway).v1.customers.create({}).id

    def test_a_card_that_turns_bad_and_well_again(self, gateway: GatewayServer) -> None:
        client = _client(gateway)
        customer = client.v1.customers.create({}).id
        card = gateway.add_card(customer)

        def charge() -> str:
            return client.v1.payment_intents.create(_payment(customer, card)).status

        assert charge() == "succeeded"
        assert _tell(gateway, f"cards/{card}", card="stolen_card").status_code == 200
        with pytest.raises(stripe.CardError):
            charge()
        assert _tell(gateway, f"cards/{card}", card="consumer").status_code == 200
        assert charge() == "succeeded"

    def test_latency(self, gateway: GatewayServer) -> None:
        _tell(gateway, "settings", latency_ms=120)
        before = time.monotonic()
        _client(gateway).v1.customers.create({})
        assert time.monotonic() - before >= 0.12

    def test_the_page_sends_back_only_where_it_was_told(self, gateway: GatewayServer) -> None:
        client = _client(gateway)
        customer = client.v1.customers.create({}).id
        session = client.v1.checkout.sessions.create(
            {
                "mode": "setup",
                "customer": customer,
                "currency": "nok",
                "locale": "en",
                "success_url": "http://my.page/done?s={CHECKOUT_SESSION_ID}",
                "cancel_url": "http://my.page/cancel?a=1&b=<x>",
            }
        )
        assert session.url is not None
        page = httpx.get(session.url)
        assert "Register a card" in page.text
        assert "a=1&amp;b=&lt;x&gt;" in page.text
        refused = httpx.post(session.url, data={"card": "setup_declined"})
        assert refused.status_code == 402
        assert "declined" in refused.text
        assert httpx.post(session.url, data={"card": "nonsense<"}).status_code == 400
        done = httpx.post(session.url, data={"card": "mastercard"})
        assert (done.status_code, done.headers["Location"]) == (303, f"http://my.page/done?s={session.id}")
        assert httpx.post(session.url, data={"card": "mastercard"}).status_code == 410


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
