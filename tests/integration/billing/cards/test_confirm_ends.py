"""How pages end on which customers confirm charges: over, left, not wanted any more, paid too late or twice."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import func, select

from billing.cards import confirm, outcome
from billing.cards.charge import prepare
from billing.cards.gateway import CardGateway, GatewayUnavailable
from billing.cards.models import Attempt, Charge
from billing.passages.balances import lock
from config.clock import now_utc
from config.database import SessionFactory
from config.problems import Conflict, NotFound
from simulator.gateway import GatewayServer
from simulator.gateway.errors import ApiError
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver
from tests.integration.billing.cards.test_charging import sum_of
from tests.integration.billing.cards.test_confirm import BACK, LATER, Customer, ref


@pytest.fixture
def customer(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Customer:
    """A customer whose charge waits for them."""
    return Customer(driver, gateway, stand_in)


def test_an_expired_page_is_nothing_and_the_charge_goes_on_waiting(customer: Customer) -> None:
    url = customer.press()
    customer.stand_in.end_page(ref(url))
    page = customer.objects("checkout.session")[-1]
    assert customer.told("checkout.session.expired", page) == "nothing"
    assert (customer.charge().state, customer.charge().waits_for, customer.charge().tries) == ("claimed", "customer", 1)
    other = customer.press()
    assert other != url
    customer.stand_in.pay_page(ref(other))
    assert customer.come_back(other) == "succeeded"
    assert [attempt.number for attempt in customer.driver.attempts()] == [1, 2, 3]
    customer.paid_once()


def test_pressing_again_after_the_page_is_over_makes_another(customer: Customer) -> None:
    url = customer.press()
    customer.stand_in.end_page(ref(url))
    assert customer.press() != url
    assert customer.states() == ["declined", "nothing", "unknown"]


def test_a_page_is_ended_at_the_provider_before_its_attempt_is_nothing(customer: Customer) -> None:
    url = customer.press()
    with pytest.raises(ApiError):
        customer.stand_in.pay_page(ref(url), fails=True)
    customer.sql("UPDATE card_sessions SET expires_at = now() - interval '1 second'")
    customer.stand_in.fault("timeout", on="setup", when="after", hold_seconds=1)
    assert customer.sweep() == "unknown", "it was ended, and nobody has told us"
    assert customer.sweep() == "nothing"
    assert customer.objects("payment_intent")[-1]["status"] == "canceled"
    with pytest.raises(ApiError):
        customer.stand_in.pay_page(ref(url))
    assert customer.stand_in.books()["sum_ore"] == 0


def test_paid_at_the_last_moment_is_paid(customer: Customer) -> None:
    url = customer.press()
    customer.stand_in.pay_page(ref(url))
    customer.sql("UPDATE card_sessions SET expires_at = now() - interval '1 second'")
    assert customer.sweep() == "succeeded"
    customer.paid_once()


def test_paid_twice_is_impossible(customer: Customer) -> None:
    url = customer.press()
    customer.stand_in.pay_page(ref(url))
    with pytest.raises(Conflict) as refused:
        customer.press()
    assert refused.value.type.endswith("charge-not-waiting"), "pressing again finds that it is paid"
    customer.paid_once()
    with pytest.raises(ApiError):
        customer.stand_in.pay_page(ref(url))
    assert customer.driver.charge(customer.gateway, LATER + dt.timedelta(days=30)) == []
    customer.paid_once()


def test_nothing_else_is_tried_while_a_page_is_open(customer: Customer) -> None:
    customer.press()
    customer.sql("UPDATE charges SET waits_for = NULL, next_at = :at", at=MONDAY)  # another card has come, say
    assert customer.driver.charge(customer.gateway, LATER) == []
    with customer.driver.sessions() as session:
        charge_id = customer.charge_id
        assert prepare(session, charge_id, seller=customer.driver.seller, now=LATER, real=now_utc()) is None


def test_a_page_that_is_not_wanted_any_more_is_ended(customer: Customer) -> None:
    url = customer.press()
    with customer.driver.sessions() as session:
        assert outcome.try_now(session, customer.driver.agreement_id, now=LATER)
        session.commit()
    assert customer.sweep() == "nothing"
    assert customer.objects("checkout.session")[-1]["status"] == "expired"
    assert customer.driver.charge(customer.gateway, LATER) == ["succeeded"]
    with pytest.raises(ApiError):
        customer.stand_in.pay_page(ref(url))
    customer.paid_once()


@pytest.mark.parametrize("paid", [False, True])
def test_a_page_that_is_left_is_ended_at_once(customer: Customer, paid: bool) -> None:
    url = customer.press()
    if paid:
        customer.stand_in.pay_page(ref(url))
    left = confirm.leave(
        customer.driver.sessions,
        customer.gateway,
        customer.driver.agreement_id,
        seller=customer.driver.seller,
        now=LATER,
    )
    assert left == ("succeeded" if paid else "nothing")
    if paid:
        customer.paid_once()
    else:
        assert customer.charge().waits_for == "customer"
        assert customer.press() != url


def test_the_banks_question_is_answered_on_the_page(
    sessions: SessionFactory, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    driver = make_driver(sessions, stand_in, gateway, "authentication_required")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    [charge] = driver.charges()
    assert (charge.state, charge.waits_for) == ("claimed", "customer")
    begun = confirm.begin(
        sessions, gateway, charge.id, driver.agreement_id, return_url=BACK, seller=driver.seller, now=LATER
    )
    stand_in.pay_page(ref(begun), "authentication_required")
    done = confirm.finish(
        sessions, gateway, ref(begun), agreement_id=driver.agreement_id, seller=driver.seller, now=LATER
    )
    assert done == "succeeded"
    assert stand_in.books()["sum_ore"] == 20_000


def test_when_its_time_comes_while_the_page_is_open_the_invoice_waits_for_the_page(customer: Customer) -> None:
    url = customer.press()
    due = customer.charge().next_at + dt.timedelta(hours=1)
    assert customer.driver.charge(customer.gateway, due) == []
    customer.stand_in.end_page(ref(url))
    assert customer.sweep() == "nothing"
    assert customer.driver.charge(customer.gateway, due) == ["skipped"]
    assert customer.charge().state == "invoiced"
    assert customer.stand_in.books()["sum_ore"] == 0


def test_no_page_while_another_attempt_is_unknown(customer: Customer) -> None:
    customer.sql("UPDATE attempts SET state = 'unknown', ended_at = NULL")
    with pytest.raises(Conflict) as refused:
        customer.press()
    assert refused.value.type.endswith("charge-unknown")
    assert customer.objects("checkout.session") == []


def test_a_charge_that_waits_for_nobody_has_no_page(customer: Customer) -> None:
    customer.sql("UPDATE charges SET waits_for = NULL")
    with pytest.raises(Conflict) as refused:
        customer.press()
    assert refused.value.type.endswith("charge-not-waiting")
    with pytest.raises(NotFound):
        customer.press(agreement_id=customer.driver.agreement_id + 1)
    assert customer.states() == ["declined"]


def test_paid_after_it_was_given_up_is_credit(customer: Customer) -> None:
    url = customer.press()
    [_, attempt] = customer.driver.attempts()
    with customer.driver.sessions() as session:  # somebody was sure that nothing came of it, and was wrong
        outcome.forget(session, attempt.id, now=LATER)
        lock(session, [customer.driver.agreement_id])
        outcome.give_up(session, session.get_one(Charge, customer.charge_id), seller=customer.driver.seller, now=LATER)
        session.commit()
    customer.stand_in.pay_page(ref(url))
    page = customer.objects("checkout.session")[-1]
    assert customer.told("checkout.session.completed", page) == "succeeded"
    assert customer.charge().state == "invoiced"
    [_, attempt] = customer.driver.attempts()
    assert (attempt.state, attempt.credited) == ("succeeded", True)
    assert sum_of(customer.driver.sessions, "card_clearing") == 20_000
    assert sum_of(customer.driver.sessions, "receivable") == 0, "the credit is used on the charge's own invoice"


def test_a_refusal_of_ours_leaves_no_attempt_that_nobody_knows(customer: Customer) -> None:
    customer.sql("UPDATE card_customers SET provider_customer = 'cus_gone'")
    with pytest.raises(GatewayUnavailable):
        customer.press()
    assert customer.states() == ["declined", "nothing"]
    with customer.driver.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Attempt).where(Attempt.state == "unknown")) == 0
