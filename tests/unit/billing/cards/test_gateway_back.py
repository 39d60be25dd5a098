"""Refunds and disputes: the real Stripe client against the stand-in, whose own books count them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from billing.cards.gateway import (
    CardGateway,
    ChargeRequest,
    Declined,
    DisputeDetails,
    GatewayMisuse,
    GatewayUnavailable,
    Succeeded,
    Unknown,
)
from billing.cards.stripe.disputes import details
from billing.cards.stripe.gateway import StripeGateway
from simulator.gateway import GatewayServer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[GatewayServer]:
    with GatewayServer() as running:
        running.move_clock(NOW)
        yield running


@pytest.fixture
def gateway(server: GatewayServer) -> CardGateway:
    return StripeGateway(api_key="sk_test_1", api_base=server.url, timeout_seconds=0.3)


@pytest.fixture
def payment(server: GatewayServer, gateway: CardGateway) -> str:
    """A payment of NOK 200, with our metadata; its id."""
    customer = gateway.create_customer(ref="1", email=None, idempotency_key="c")
    method = server.add_card(customer)
    paid = gateway.charge(ChargeRequest(customer, method, 20_000, "k", "7", "9", "Bompenger"))
    assert isinstance(paid, Succeeded)
    return paid.ref


def refund(gateway: CardGateway, payment: str, ore: int, number: str = "1") -> object:
    return gateway.refund(ref=payment, amount_ore=ore, idempotency_key=f"r{number}", refund=number)


def control(server: GatewayServer, path: str, **asked: object) -> httpx.Response:
    return httpx.post(f"{server.url}/_control/{path}", json=asked)


class TestRefunds:
    def test_found_by_our_number_and_only_its_own_payments(self, gateway: CardGateway, payment: str) -> None:
        made = refund(gateway, payment, 5_000)
        assert isinstance(made, Succeeded)
        assert gateway.find_refund(ref=payment, refund="1", created_after=LONG_AGO) == made
        assert gateway.find_refund(ref=payment, refund="1", created_after=NOW) == made
        assert gateway.find_refund(ref=payment, refund="1", created_after=NOW + timedelta(seconds=1)) is None
        assert gateway.find_refund(ref=payment, refund="2", created_after=LONG_AGO) is None
        with pytest.raises(GatewayMisuse):
            gateway.find_refund(ref="pi_none", refund="1", created_after=LONG_AGO)

    def test_found_among_many(self, gateway: CardGateway, payment: str) -> None:
        for number in range(1, 121):
            refund(gateway, payment, 1, str(number))
        found = gateway.find_refund(ref=payment, refund="1", created_after=LONG_AGO)
        assert isinstance(found, Succeeded)
        assert found.amount_ore == 1

    def test_of_two_tries_the_one_that_gave_money_is_found(
        self, server: GatewayServer, gateway: CardGateway, payment: str
    ) -> None:
        """The later one failed and is listed first; the older one has given the money."""
        first = refund(gateway, payment, 5_000)
        assert isinstance(first, Succeeded)
        later = gateway.refund(ref=payment, amount_ore=5_000, idempotency_key="another", refund="1")
        assert isinstance(later, Succeeded)
        server.end_refund(later.ref, "fail")
        found = gateway.find_refund(ref=payment, refund="1", created_after=LONG_AGO)
        assert isinstance(found, Succeeded)
        assert found.ref == first.ref

    def test_never_more_than_is_left(self, server: GatewayServer, gateway: CardGateway, payment: str) -> None:
        refund(gateway, payment, 15_000)
        over = refund(gateway, payment, 5_001, "2")
        assert isinstance(over, Declined)
        assert over.code == "amount_too_large"
        refund(gateway, payment, 5_000, "3")
        none = refund(gateway, payment, 1, "4")
        assert isinstance(none, Declined)
        assert none.code == "charge_already_refunded"
        assert server.books()["net_ore"] == 0

    def test_pending_until_it_ends_and_may_fail_later(
        self, server: GatewayServer, gateway: CardGateway, payment: str
    ) -> None:
        server.fault("pending")
        made = refund(gateway, payment, 5_000)
        assert isinstance(made, Unknown)
        assert made.ref is not None
        assert server.books()["refunded_ore"] == 0
        assert control(server, f"refunds/{made.ref}", do="succeed").status_code == 200
        assert isinstance(gateway.retrieve(made.ref), Succeeded)
        assert server.books()["refunded_ore"] == 5_000
        assert control(server, f"refunds/{made.ref}", do="cancel").status_code == 400
        assert control(server, f"refunds/{made.ref}", do="fail").status_code == 200
        failed = gateway.retrieve(made.ref)
        assert isinstance(failed, Declined)
        assert failed.code == "expired_or_canceled_card"
        assert server.books()["net_ore"] == 20_000
        assert isinstance(refund(gateway, payment, 20_000, "2"), Succeeded), "what failed can be given again"
        assert control(server, f"refunds/{made.ref}", do="fail").status_code == 400
        assert control(server, f"refunds/{made.ref}", do="dance").status_code == 400
        assert control(server, "refunds/re_none", do="fail").status_code == 400

    def test_a_list_that_is_not_answered_is_unknown(
        self, server: GatewayServer, gateway: CardGateway, payment: str
    ) -> None:
        server.fault("error", on="read", when="before")
        assert isinstance(gateway.find_refund(ref=payment, refund="1", created_after=LONG_AGO), Unknown)


class TestDisputes:
    @pytest.mark.parametrize(("end", "status", "returned"), [("win", "won", 20_000), ("lose", "lost", 0)])
    def test_its_money_goes_and_comes(
        self, server: GatewayServer, gateway: CardGateway, payment: str, end: str, status: str, returned: int
    ) -> None:
        number = server.open_dispute(payment)
        opened = gateway.dispute(number)
        assert (opened.status, opened.withdrawn_ore, opened.returned_ore) == ("open", 20_000, 0)
        assert (opened.payment, opened.charge, opened.attempt) == (payment, "7", "9")
        assert opened.evidence_due_at == NOW + timedelta(days=14)
        refused = refund(gateway, payment, 1)
        assert isinstance(refused, Declined)
        assert refused.code == "charge_disputed"
        server.end_dispute(number, "update")
        server.end_dispute(number, end)
        ended = gateway.dispute(number)
        assert (ended.status, ended.withdrawn_ore, ended.returned_ore) == (status, 20_000, returned)
        assert server.books()["net_ore"] == returned
        assert gateway.disputes(created_after=NOW) == [ended]
        assert gateway.disputes(created_after=NOW + timedelta(seconds=1)) == []

    def test_an_inquiry_takes_nothing_until_it_is_escalated(
        self, server: GatewayServer, gateway: CardGateway, payment: str
    ) -> None:
        first = server.open_dispute(payment, 5_000, inquiry=True)
        assert gateway.dispute(first).withdrawn_ore == 0
        server.end_dispute(first, "close")
        assert gateway.dispute(first).status == "won"
        second = control(server, "disputes", payment=payment, amount=6_000, inquiry=True, reason="duplicate").json()[
            "id"
        ]
        assert control(server, f"disputes/{second}", do="win").status_code == 400
        assert control(server, f"disputes/{second}", do="escalate").status_code == 200
        told = gateway.dispute(second)
        assert (told.status, told.withdrawn_ore, told.reason) == ("open", 6_000, "duplicate")
        assert control(server, f"disputes/{second}", do="close").status_code == 400

    def test_never_more_than_is_left(self, server: GatewayServer, gateway: CardGateway, payment: str) -> None:
        refund(gateway, payment, 15_000)
        assert control(server, "disputes", payment=payment, amount=5_001).status_code == 400
        number = server.open_dispute(payment)
        assert gateway.dispute(number).amount_ore == 5_000
        assert control(server, "disputes", payment=payment, amount=1).status_code == 400
        assert control(server, "disputes", payment="pi_none").status_code == 400
        assert control(server, "disputes", payment=payment, amount="x").status_code == 400
        server.end_dispute(number, "lose")
        assert control(server, f"disputes/{number}", do="win").status_code == 400
        assert isinstance(refund(gateway, payment, 1, "2"), Declined)

    def test_what_is_not_there(self, server: GatewayServer, gateway: CardGateway) -> None:
        with pytest.raises(GatewayMisuse):
            gateway.dispute("dp_none")
        server.fault("rate_limit", on="read")
        with pytest.raises(GatewayUnavailable):
            gateway.disputes(created_after=LONG_AGO)

    @pytest.mark.parametrize(
        ("told", "status"),
        [("won", "won"), ("warning_closed", "won"), ("prevented", "open"), ("lost", "lost"), ("under_review", "open"),
         ("appeal_under_review", "open"), ("something_new", "open")],
    )  # fmt: skip
    def test_every_status(self, told: str, status: str) -> None:
        """A word that Stripe makes tomorrow ends nothing."""
        one = details({"id": "dp_1", "amount": 5, "status": told, "payment_intent": "pi_1"})
        assert (one.status, one.payment, one.withdrawn_ore, one.evidence_due_at) == (status, "pi_1", 0, None)

    @pytest.mark.parametrize(("refunded", "status"), [(0, "won"), (5, "open")])
    def test_one_that_was_prevented_by_giving_the_money_back_is_not_won(self, refunded: int, status: str) -> None:
        payment = {"id": "pi_1", "latest_charge": {"id": "ch_1", "amount_refunded": refunded}}
        assert details({"id": "dp_1", "amount": 5, "status": "prevented", "payment_intent": payment}).status == status

    def test_what_was_refunded_is_read_with_it(
        self, server: GatewayServer, gateway: CardGateway, payment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The charge comes with the dispute, read alone and listed."""
        seen: list[object] = []

        def look(one: dict[str, object]) -> DisputeDetails:
            seen.append(one["payment_intent"]["latest_charge"]["amount_refunded"])  # type: ignore[index]
            return details(one)

        monkeypatch.setattr("billing.cards.stripe.disputes.details", look)
        refund(gateway, payment, 1_000)
        number = server.open_dispute(payment, inquiry=True)
        gateway.dispute(number)
        gateway.disputes(created_after=LONG_AGO)
        assert seen == [1_000, 1_000]
