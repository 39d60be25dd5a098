"""What the sweep may say of an attempt or a refund that is not known: sent again, looked up, given up not too soon."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any, cast

import pytest
from sqlalchemy import text

from billing.cards import pace, refund_call, sweep
from billing.cards.charge import PUT_OFF
from billing.cards.gateway import CardGateway, ChargeRequest, GatewayMisuse, Outcome, Unknown
from billing.cards.models import Attempt, Refund
from billing.cards.provider import NAME
from config.clock import now_utc
from config.jobs import JobContext
from simulator.gateway import GatewayServer
from simulator.gateway.errors import ApiError
from tests.integration.billing.cards.conftest import MONDAY, Driver, card_settings
from tests.integration.billing.cards.test_confirm import Customer, ref
from tests.integration.billing.cards.test_refund_calls import ask, call, state
from tests.integration.billing.cards.test_refund_calls import sweep as sweep_refund

LATE = dt.timedelta(hours=22, minutes=55)
MINUTES = dt.timedelta(minutes=10)


class Slow:
    """The gateway, which answers nothing to those who ask for money and keeps their requests under way."""

    def __init__(self, gateway: CardGateway) -> None:
        self.gateway = gateway
        self.charges: list[ChargeRequest] = []
        self.refunds: list[dict[str, Any]] = []
        self.slow = True

    def charge(self, request: ChargeRequest) -> Outcome:
        if not self.slow:
            return self.gateway.charge(request)
        self.charges.append(request)
        return Unknown(reason="no answer (ReadTimeout)", answered=False)

    def refund(self, **what: Any) -> Outcome:
        if not self.slow:
            return self.gateway.refund(**what)
        self.refunds.append(what)
        return Unknown(reason="no answer (ReadTimeout)", answered=False)

    def lose(self) -> None:
        """What is under way never arrives."""
        self.charges.clear()
        self.refunds.clear()

    def arrive(self) -> None:
        """What is under way arrives, and the gateway answers from now on."""
        self.slow = False
        for request in self.charges:
            self.gateway.charge(request)
        for what in self.refunds:
            self.gateway.refund(**what)
        self.lose()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


@pytest.fixture
def slow(gateway: CardGateway) -> Slow:
    """The gateway at its slowest."""
    return Slow(gateway)


def older(driver: Driver, by: dt.timedelta) -> None:
    """Let so much real time go by."""
    with driver.sessions.begin() as session:
        for table in ("attempts", "card_refunds"):
            moved = ", ".join(f"{name} = {name} - :by" for name in ("called_at", "asked_at", "sent_at"))
            session.execute(text(f"UPDATE {table} SET {moved} WHERE state = 'unknown'"), {"by": by})


def swept(driver: Driver, slow: Slow) -> str:
    """Ask about the newest attempt, as the sweep does."""
    one = driver.attempts()[-1].id
    return sweep.sweep_one(driver.sessions, cast(CardGateway, slow), one, seller=driver.seller, now=MONDAY)


def charge(driver: Driver, slow: Slow) -> list[str]:
    """Charge what is due."""
    return driver.charge(cast(CardGateway, slow), MONDAY)


def test_a_request_sent_minutes_ago_may_still_take_the_money(
    driver: Driver, slow: Slow, stand_in: GatewayServer
) -> None:
    """The provider is down for most of a day, and just gets up when the key is sent for the last time."""
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    slow.lose()
    older(driver, LATE)
    assert swept(driver, slow) == "unknown"
    assert len(slow.charges) == 1, "sent again, while the key is remembered"
    older(driver, MINUTES)
    assert swept(driver, slow) == "unknown", "looked up in vain, ten minutes after it was sent"
    assert charge(driver, slow) == []
    slow.arrive()
    assert swept(driver, slow) == "succeeded"
    assert stand_in.books()["count"] == 1


def test_it_is_given_up_an_hour_after_the_last_time(driver: Driver, slow: Slow, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    older(driver, LATE)
    assert swept(driver, slow) == "unknown"
    slow.lose()
    older(driver, sweep.REQUEST_LIVES)
    assert swept(driver, slow) == "nothing"
    slow.arrive()
    assert charge(driver, slow) == ["succeeded"]
    assert stand_in.books()["count"] == 1


def test_after_a_repeated_failure_the_last_request_may_still_be_under_way(
    driver: Driver, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    older(driver, dt.timedelta(hours=5))
    failed = Unknown(reason="the gateway failed (500)", same_key_helps=False)
    monkeypatch.setattr(slow, "charge", lambda _request: failed)
    assert [swept(driver, slow) for _ in range(3)] == ["unknown"] * 3
    assert driver.attempts()[-1].lookup
    older(driver, sweep.REQUEST_LIVES)
    assert swept(driver, slow) == "nothing"


def test_a_first_call_that_waited_for_its_turn_may_be_under_way_an_hour_after_that(driver: Driver, slow: Slow) -> None:
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    with driver.sessions.begin() as session:
        session.execute(text("UPDATE attempts SET lookup = true"))
    older(driver, sweep.REQUEST_LIVES)
    assert swept(driver, slow) == "unknown"
    older(driver, PUT_OFF)
    assert swept(driver, slow) == "nothing"


def test_what_is_found_out_meanwhile_is_not_sent(driver: Driver, slow: Slow) -> None:
    """Another sweep has given it up, or found that it must not be sent, between our look and our sending."""
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    slow.lose()
    one = driver.attempts()[0].id
    for change in ("lookup = true", "state = 'nothing', lookup = false"):
        with driver.sessions.begin() as session:
            session.execute(text(f"UPDATE attempts SET {change}"))
        assert not sweep._sending(driver.sessions, one, now_utc())
    assert driver.attempts()[0].sent_at is None


def test_what_was_sent_again_while_it_was_looked_up_is_not_given_up(driver: Driver, slow: Slow) -> None:
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    older(driver, dt.timedelta(hours=22))
    one, looked_at = driver.attempts()[0].id, now_utc()
    assert sweep._sending(driver.sessions, one, looked_at)
    with driver.sessions.begin() as session:
        assert sweep.forget(session, one, real=looked_at + MINUTES, now=MONDAY) == "unknown"
        assert session.get_one(Attempt, one).sent_at == looked_at


def test_a_refund_sent_minutes_ago_may_still_be_made(
    driver: Driver, gateway: CardGateway, slow: Slow, stand_in: GatewayServer
) -> None:
    driver.drive(20_000, MONDAY)
    driver.drive(10_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    number = ask(driver, 10_000)
    beside = cast(CardGateway, slow)
    assert call(driver, beside, number) == "unknown"
    slow.lose()
    older(driver, LATE)
    assert sweep_refund(driver, beside, number) == "unknown"
    assert len(slow.refunds) == 1
    older(driver, MINUTES)
    assert sweep_refund(driver, beside, number) == "unknown", "looked up in vain, ten minutes after it was sent"
    assert call(driver, beside, number) == "skipped"
    slow.arrive()
    assert sweep_refund(driver, beside, number) == "succeeded"
    assert stand_in.books()["refunded_ore"] == 10_000


def test_a_refund_that_is_called_for_anew_meanwhile_is_not_sent_under_its_old_key(
    driver: Driver, gateway: CardGateway, slow: Slow
) -> None:
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    number = ask(driver, 20_000)
    with driver.sessions.begin() as session:
        ready = refund_call.prepare(session, number, now=MONDAY, real=now_utc() - dt.timedelta(hours=2))
    assert ready is not None
    with driver.sessions.begin() as session:
        assert refund_call.forget(session, number, real=now_utc()) == "approved"
    assert isinstance(refund_call.send(driver.sessions, cast(CardGateway, slow), ready), Unknown)
    assert (slow.refunds, state(driver, number)) == ([], "approved")
    with driver.sessions() as session:
        assert session.get_one(Refund, number).sent_at is None


def waits(driver: Driver, gateway: CardGateway, stand_in: GatewayServer, state: str) -> str:
    """Charge a card, whose payment could still go either way; return the provider's id of it."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("pending", on="charge", state=state)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    [payment] = stand_in.world.store.everything("payment_intent")
    assert driver.attempts()[0].provider_ref == payment["id"]
    return str(payment["id"])


@pytest.mark.parametrize(("end", "word"), [("succeed", "succeeded"), ("fail", "declined")])
def test_a_payment_that_could_go_either_way_is_read_since_the_key_repeats_the_first_answer(
    driver: Driver, gateway: CardGateway, slow: Slow, stand_in: GatewayServer, end: str, word: str
) -> None:
    payment = waits(driver, gateway, stand_in, "processing")
    slow.slow = False
    assert swept(driver, slow) == "unknown"
    stand_in.forget_keys()
    assert swept(driver, slow) == "unknown", "it is not sent again"
    older(driver, LATE + MINUTES)
    assert swept(driver, slow) == "unknown", "what the bank is working on cannot be cancelled"
    stand_in.end_charge(payment, end)
    assert swept(driver, slow) == word
    assert len(stand_in.world.store.everything("payment_intent")) == 1
    assert stand_in.books()["sum_ore"] == (20_000 if end == "succeed" else 0)


def test_one_that_waits_for_a_customer_who_is_not_there_is_ended(
    driver: Driver, gateway: CardGateway, slow: Slow, stand_in: GatewayServer
) -> None:
    payment = waits(driver, gateway, stand_in, "requires_action")
    slow.slow = False
    assert swept(driver, slow) == "unknown"
    older(driver, sweep.REQUEST_LIVES + PUT_OFF)
    assert swept(driver, slow) == "declined"
    assert (driver.attempts()[0].code, driver.charges()[0].state) == ("canceled", "claimed")
    with pytest.raises(ApiError):
        stand_in.end_charge(payment)
    assert driver.charge(gateway, driver.charges()[0].next_at) == ["succeeded"]
    assert stand_in.books()["count"] == 1


def test_one_that_is_paid_at_the_last_moment_is_paid(
    driver: Driver, gateway: CardGateway, slow: Slow, stand_in: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our reading and our cancelling."""
    payment = waits(driver, gateway, stand_in, "requires_action")
    older(driver, sweep.REQUEST_LIVES + PUT_OFF)

    def read(ref: str) -> Outcome:
        told = gateway.retrieve(ref)
        stand_in.end_charge(payment)
        return told

    monkeypatch.setattr(slow, "retrieve", read, raising=False)
    assert swept(driver, slow) == "succeeded"
    assert stand_in.books()["count"] == 1


def test_one_that_is_found_by_its_metadata_is_ended_too(driver: Driver, slow: Slow, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    assert charge(driver, slow) == ["unknown"]
    older(driver, LATE + MINUTES)
    stand_in.fault("pending", on="charge", state="requires_action")
    slow.arrive()
    assert [swept(driver, slow) for _ in range(2)] == ["unknown", "declined"]


def test_while_it_cannot_be_read_nothing_is_cancelled(
    driver: Driver, gateway: CardGateway, slow: Slow, stand_in: GatewayServer
) -> None:
    waits(driver, gateway, stand_in, "requires_action")
    older(driver, sweep.REQUEST_LIVES + PUT_OFF)
    for fault in ({"kind": "error", "when": "before"}, {"kind": "rate_limit"}):
        stand_in.fault(**fault, on="read")
        assert swept(driver, slow) == "unknown"
    for misuse in (GatewayMisuse("No such key.", "not_allowed"), GatewayMisuse("No such payment.", "resource_missing")):

        def refused(ref: str, misuse: GatewayMisuse = misuse) -> Outcome:
            del ref
            raise misuse

        slow.retrieve = refused  # type: ignore[attr-defined]
        assert swept(driver, slow) == "unknown"
    assert driver.attempts()[0].state == "unknown"


def test_a_page_is_asked_about_in_turn(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, tmp_path: object
) -> None:
    customer = Customer(driver, gateway, stand_in)
    stand_in.pay_page(ref(customer.press()))
    customer.sql("INSERT INTO card_pace (provider, next_at) VALUES ('stripe', clock_timestamp() + interval '1 second')")
    began = time.monotonic()
    context = JobContext(driver.sessions, card_settings(tmp_path, stand_in))
    assert sweep.sweep(context, asked_before=now_utc())["succeeded"] == 1
    assert time.monotonic() - began > 0.7


def test_a_page_tries_whether_the_provider_is_back_where_nothing_else_asks(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, tmp_path: object
) -> None:
    customer = Customer(driver, gateway, stand_in)
    stand_in.pay_page(ref(customer.press()))
    context = JobContext(driver.sessions, card_settings(tmp_path, stand_in))
    customer.sql("INSERT INTO card_pace (provider, next_at, failures) VALUES ('stripe', clock_timestamp(), 5)")
    stand_in.fault("error", status=503, when="before", times=None, on="any")
    assert sweep.sweep(context, asked_before=now_utc())["unknown"] == 1
    with driver.sessions() as session:
        assert pace.state(session, NAME).resting > 30, "left alone for longer"
    stand_in.world.faults.clear()
    customer.sql("UPDATE card_pace SET down_until = clock_timestamp() - interval '1 second'")
    assert sweep.sweep(context, asked_before=now_utc())["succeeded"] == 1
    with driver.sessions() as session:
        assert not pace.state(session, NAME).probe, "it is up"
