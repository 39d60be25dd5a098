"""What an event is about is read again: what cannot be read comes again, what is others' changes nothing, what is known
costs no request, and the provider is asked at the pace that all share."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections.abc import Mapping
from typing import Any, cast

import pytest
from sqlalchemy import text

from billing.cards import outcome, register, sweep, webhook
from billing.cards.gateway import (
    CardGateway,
    ChargeRequest,
    Event,
    GatewayMisuse,
    GatewayUnavailable,
    Outcome,
    RateLimited,
    SetupNotFinished,
    Succeeded,
    Unknown,
)
from billing.cards.one_turn import OneTurn
from billing.cards.prepare import prepared
from config.clock import now_utc
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, SELLER, Driver
from tests.integration.billing.cards.test_charging import sum_of
from tests.integration.billing.cards.test_confirm import Customer
from tests.integration.billing.cards.test_refund_calls import ask, call, state

NUMBERS = itertools.count(1)
NO_ANSWER = (
    Unknown(reason="no answer (ReadTimeout)", answered=False),
    RateLimited(),
    GatewayMisuse("No such key.", "not_allowed"),
    GatewayMisuse("No such payment.", "resource_missing"),
)


class Reader:
    """The gateway, whose reads are counted, and answered as told."""

    def __init__(self, gateway: CardGateway, answer: Outcome | GatewayMisuse | None = None) -> None:
        self.gateway, self.answer, self.reads = gateway, answer, 0

    def retrieve(self, ref: str) -> Outcome:
        self.reads += 1
        if isinstance(self.answer, GatewayMisuse):
            raise self.answer
        return self.answer or self.gateway.retrieve(ref)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gateway, name)


def event(kind: str, about: Mapping[str, Any]) -> Event:
    """An event about an object of the gateway's, as it is in its books."""
    return Event(
        f"evt_{next(NUMBERS)}", kind, now_utc(), str(about["id"]), str(about["object"]), about, dict(about["metadata"])
    )


def hear(driver: Driver, gateway: object, told: Event, turns: OneTurn | None = None) -> str:
    """Take an event in."""
    return webhook.receive(driver.sessions, cast(CardGateway, gateway), told, seller=SELLER, now=MONDAY, turns=turns)


def lost(driver: Driver, gateway: CardGateway, stand_in: GatewayServer, when: str = "after") -> int:
    """Charge a card; the answer (or the request) is lost. Returns the attempt."""
    driver.drive(20_000, MONDAY)
    stand_in.fault("timeout", when=when, hold_seconds=0.7)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    return driver.attempts()[-1].id


def payment(stand_in: GatewayServer, ref: str | None = None) -> dict[str, Any]:
    """The gateway's only payment, or this one."""
    all_ = stand_in.world.store.everything("payment_intent")
    [one] = [one for one in all_ if ref in (None, one["id"])]
    return dict(one)


def stored(driver: Driver) -> int:
    """How many events are stored."""
    with driver.sessions() as session:
        return int(session.execute(text("SELECT count(*) FROM provider_events")).scalar_one())


@pytest.mark.parametrize("answer", NO_ANSWER, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("given_up", [True, False])
def test_a_payment_that_cannot_be_read_is_told_of_again(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, answer: Outcome | GatewayMisuse, given_up: bool
) -> None:
    attempt_id = lost(driver, gateway, stand_in)
    if given_up:
        with driver.sessions.begin() as session:
            outcome.forget(session, attempt_id, now=MONDAY)
    told = event("payment_intent.succeeded", payment(stand_in))
    with pytest.raises(GatewayUnavailable):
        hear(driver, Reader(gateway, answer), told)
    assert stored(driver) == 0
    assert hear(driver, gateway, told) == "succeeded"
    assert sum_of(driver.sessions, "card_clearing") == stand_in.books()["net_ore"] == 20_000


def test_what_is_under_way_still_is_left_to_the_sweep_but_not_where_nobody_asks_any_more(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = lost(driver, gateway, stand_in)
    processing = Reader(gateway, Unknown(reason="the payment is processing"))
    assert hear(driver, processing, event("payment_intent.succeeded", payment(stand_in))) == "unknown"
    with driver.sessions.begin() as session:
        outcome.forget(session, attempt_id, now=MONDAY)
    with pytest.raises(GatewayUnavailable):
        hear(driver, processing, event("payment_intent.succeeded", payment(stand_in)))


@pytest.mark.parametrize("answer", NO_ANSWER, ids=lambda one: type(one).__name__)
def test_a_refund_that_failed_and_cannot_be_read_is_told_of_again(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, answer: Outcome | GatewayMisuse
) -> None:
    driver.drive(20_000, MONDAY)
    driver.drive(10_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    number = ask(driver, 10_000)
    assert call(driver, gateway, number) == "succeeded"
    [made] = stand_in.books()["refunds"]
    stand_in.end_refund(made["id"], "fail")
    [about] = stand_in.world.store.everything("refund")
    told = event("refund.failed", about)
    with pytest.raises(GatewayUnavailable):
        hear(driver, Reader(gateway, answer), told)
    assert (stored(driver), state(driver, number)) == (0, "succeeded")
    assert hear(driver, gateway, told) == "failed"
    assert sum_of(driver.sessions, "card_clearing") == stand_in.books()["net_ore"] == 30_000


def foreign(driver: Driver, gateway: CardGateway, stand_in: GatewayServer, **other: object) -> dict[str, Any]:
    """A payment at the provider with the numbers of our last attempt, of somebody else's customer unless told."""
    customer = gateway.create_customer(ref="elsewhere", email=None, idempotency_key="elsewhere")
    ours = driver.attempts()[-1]
    request = ChargeRequest(
        customer_id=customer, payment_method="", amount_ore=20_000, idempotency_key="foreign",
        charge=str(ours.charge_id), attempt=str(ours.id), description="x",
    )  # fmt: skip
    request = dataclasses.replace(request, **other)  # type: ignore[arg-type]
    made = gateway.charge(dataclasses.replace(request, payment_method=stand_in.add_card(request.customer_id)))
    assert isinstance(made, Succeeded)
    return payment(stand_in, made.ref)


@pytest.mark.parametrize("ore", [20_000, 34_500])
def test_somebody_elses_payment_with_our_numbers_settles_nothing(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, ore: int
) -> None:
    lost(driver, gateway, stand_in, "before")
    told = event("payment_intent.succeeded", foreign(driver, gateway, stand_in, amount_ore=ore))
    reader = Reader(gateway)
    assert hear(driver, reader, told) == "ignored"
    assert (driver.charges()[0].state, driver.attempts()[0].state, reader.reads) == ("claimed", "unknown", 0)


def test_our_own_payment_is_in_the_books_beside_somebody_elses(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    lost(driver, gateway, stand_in)
    own = payment(stand_in)
    other = foreign(driver, gateway, stand_in)
    assert hear(driver, gateway, event("payment_intent.succeeded", other)) == "ignored"
    assert hear(driver, gateway, event("payment_intent.succeeded", own)) == "succeeded"
    assert driver.attempts()[0].provider_ref == own["id"]


def test_a_payment_of_our_customer_under_another_key_is_not_ours(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    """The database came back from a copy: the numbers of what was charged after it are given out anew."""
    attempt_id = lost(driver, gateway, stand_in, "before")
    other = foreign(driver, gateway, stand_in, customer_id=driver.provider_customer)
    assert hear(driver, gateway, event("payment_intent.succeeded", other)) == "ignored"
    with driver.sessions.begin() as session:
        session.execute(text("UPDATE attempts SET lookup = true, called_at = called_at - interval '2 hours'"))
    assert sweep.sweep_one(driver.sessions, gateway, attempt_id, seller=SELLER, now=MONDAY) == "nothing"


def test_a_payment_from_before_the_key_was_told_is_ours(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    attempt_id = lost(driver, gateway, stand_in)
    own = payment(stand_in)
    del own["metadata"]["key"]
    stand_in.world.store.put("payment_intent", own)
    with driver.sessions() as session:
        request = prepared(session, attempt_id).request
    since = now_utc() - dt.timedelta(hours=1)
    assert gateway.find_charge(
        customer_id=request.customer_id, charge=request.charge, key=request.idempotency_key, created_after=since
    )
    assert hear(driver, gateway, event("payment_intent.succeeded", own)) == "succeeded"


def test_a_dispute_of_somebody_elses_payment_with_our_numbers_is_ignored(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    lost(driver, gateway, stand_in, "before")
    other = foreign(driver, gateway, stand_in)
    about = {"id": stand_in.open_dispute(other["id"]), "object": "dispute", "metadata": {}}
    reader = Reader(gateway)
    assert hear(driver, reader, event("charge.dispute.created", about)) == "ignored"
    assert (driver.attempts()[0].state, reader.reads) == ("unknown", 0)


def test_a_dispute_of_our_payment_whose_answer_was_lost_is_ours(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    lost(driver, gateway, stand_in)
    about = {"id": stand_in.open_dispute(payment(stand_in)["id"]), "object": "dispute", "metadata": {}}
    assert hear(driver, gateway, event("charge.dispute.created", about)) == "opened"
    assert driver.attempts()[0].state == "succeeded"


def test_what_is_recorded_costs_no_request(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    reader = Reader(gateway)
    for kind in ("payment_intent.succeeded", "payment_intent.payment_failed"):
        assert hear(driver, reader, event(kind, payment(stand_in))) == "succeeded"
    assert reader.reads == 0


def begun(driver: Driver, gateway: CardGateway) -> dict[str, Any]:
    """Begin a registration; the page's object."""
    register.begin(
        driver.sessions, gateway, driver.agreement_id, return_url="http://localhost/x", declared_commercial=False,
        now=MONDAY,
    )  # fmt: skip
    with driver.sessions() as session:
        setup = session.execute(text("SELECT provider_ref FROM card_setups ORDER BY id DESC LIMIT 1")).scalar_one()
    return {"id": setup, "object": "checkout.session", "metadata": {}}


def test_a_card_is_taken_over_with_its_event_or_not_at_all(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = begun(driver, gateway)
    stand_in.give_card(page["id"], "commercial")
    told = event("checkout.session.completed", page)

    def cards() -> int:
        with driver.sessions() as session:
            return int(session.execute(text("SELECT count(*) FROM cards")).scalar_one())

    with monkeypatch.context() as patched:
        patched.setattr(webhook, "insert", lambda _table: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            hear(driver, gateway, told)
    assert (cards(), stored(driver)) == (1, 0)
    assert [hear(driver, gateway, told) for _ in range(2)] == ["finished", "repeated"]
    assert (cards(), stored(driver)) == (2, 1)


def test_a_registration_that_has_expired_is_over(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    del stand_in
    page = begun(driver, gateway)

    def ended(status: str) -> str:
        def finish(_setup: str) -> None:
            raise SetupNotFinished(status)

        monkeypatch.setattr(gateway, "finish_setup", finish, raising=False)
        assert hear(driver, gateway, event("checkout.session.expired", page)) == "ignored"
        with driver.sessions() as session:
            return str(session.execute(text("SELECT state FROM card_setups")).scalar_one())

    assert [ended(status) for status in ("open", "expired", "open")] == ["started", "failed", "failed"]


def test_a_registration_that_is_replaced_has_the_provider_forget_the_card_before(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    first, second = (begun(driver, gateway) for _ in range(2))
    for page in (first, second):
        stand_in.give_card(page["id"], "commercial")
        assert hear(driver, gateway, event("checkout.session.completed", page)) == "finished"
    with driver.sessions() as session:
        gone = session.execute(text("SELECT payment_method FROM cards WHERE removed_at IS NOT NULL")).scalar_one()
    assert gateway.card(gone) is None


def test_a_registration_of_somebody_elses_is_ignored_without_asking(driver: Driver) -> None:
    page = {"id": "cs_other", "object": "checkout.session", "metadata": {}}
    assert hear(driver, object(), event("checkout.session.completed", page)) == "ignored"


def test_a_page_of_our_customer_under_another_key_is_not_ours(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    customer = Customer(driver, gateway, stand_in)
    page = customer.press().rsplit("/", 1)[-1].split("?")[0]
    [attempt] = [one for one in driver.attempts() if one.kind == "on_session"]
    about: dict[str, Any] = {
        "customer_id": driver.provider_customer, "attempt": str(attempt.id),
        "created_after": now_utc() - dt.timedelta(hours=1),
    }  # fmt: skip
    found = gateway.find_payment(**about, key=attempt.idempotency_key)
    assert found is not None
    assert found.ref == page
    assert gateway.find_payment(**about, key="another") is None
    stand_in.pay_page(page)
    own = payment(stand_in, [one["id"] for one in stand_in.world.store.everything("payment_intent")][-1])
    other = {**own, "metadata": own["metadata"] | {"key": "another"}}
    assert hear(driver, gateway, event("payment_intent.succeeded", other)) == "ignored"
    assert hear(driver, gateway, event("payment_intent.succeeded", own)) == "succeeded"
