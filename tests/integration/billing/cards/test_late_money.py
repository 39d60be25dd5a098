"""Money that a card paid after we had given it up: in the books once, the customer's, used on what is owed."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.cards import webhook
from billing.cards.charge import prepare
from billing.cards.due import decide
from billing.cards.gateway import CardGateway, Declined, Event, Succeeded
from billing.cards.models import Attempt, Card, CardCustomer, Charge
from billing.cards.outcome import apply, forget, give_up
from billing.cards.queries import ChargeStory
from billing.collection.overdue import find_reach, step
from billing.passages.balances import lock
from config.clock import now_utc
from migrations.run import migrate
from simulator.gateway import GatewayServer
from tests.integration.billing.books import DAY, OURS, SELLER, Books, noon
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.billing.cards.test_charging import sum_of
from web.mypage.explain import charge_story

CHARGED = dt.date(2026, 2, 2)
NOW = noon(CHARGED)


class Payer:
    """An agreement that pays by card in whole books; outcomes are told to it, no provider is asked."""

    def __init__(self, books: Books, segment: str = "consumer") -> None:
        self.books, self.session = books, books.session
        self.agreement = books.agreement()
        self.session.execute(text("UPDATE agreements SET payment_method = 'card' WHERE id = :a"), {"a": self.agreement})
        self.session.add(
            Card(
                agreement_id=self.agreement, payment_method="pm_1", brand="visa", last4="4242", exp_month=12,
                exp_year=2034, funding="debit", country="NO", segment=segment, segment_source="provider",
                is_default=True, registered_at=NOW,
            )
        )  # fmt: skip
        self.session.add(CardCustomer(agreement_id=self.agreement, provider_customer="cus_1", created_at=NOW))
        self.session.flush()

    def charge(self, *ores: int, now: dt.datetime = NOW) -> Charge:
        """Drive until a charge is due."""
        self.books.passages(self.agreement, *ores)
        lock(self.session, [self.agreement])
        assert decide(self.session, [self.agreement], now=now) == 1
        return self.charges()[-1]

    def charges(self) -> list[Charge]:
        """The charges, oldest first."""
        return list(self.session.query(Charge).order_by(Charge.id))

    def attempt(self, charge: Charge, now: dt.datetime = NOW) -> Attempt:
        """Begin an attempt."""
        ready = prepare(self.session, charge.id, seller=SELLER, now=now, real=now_utc())
        assert ready is not None
        return self.session.get_one(Attempt, ready.attempt_id)

    def nothing(self, attempt: Attempt) -> None:
        """Give an attempt up: it never happened."""
        forget(self.session, attempt.id, now=NOW)
        self.session.refresh(attempt)

    def give_up(self, charge: Charge, now: dt.datetime = NOW) -> None:
        """Put the charge on an invoice."""
        give_up(self.session, charge, seller=SELLER, now=now)

    def paid(self, attempt: Attempt, ref: str = "pi_late", now: dt.datetime = NOW) -> str:
        """Tell that the card has paid."""
        late = Succeeded(ref, attempt.amount_ore, now_utc())
        return apply(self.session, attempt.id, late, seller=SELLER, now=now)

    def declined(self, attempt: Attempt) -> str:
        """Tell that the card does not pay and will not."""
        no = Declined(f"pi_{attempt.id}", "insufficient_funds", "No.", needs_customer=True, retry="never")
        return apply(self.session, attempt.id, no, seller=SELLER, now=NOW)

    def account(self, kind: str) -> int:
        """An account's balance, debit positive, øre."""
        return self.books.one(
            "SELECT coalesce(sum(CASE WHEN debit = :kind THEN amount_ore ELSE 0 END "
            "- CASE WHEN credit = :kind THEN amount_ore ELSE 0 END), 0) FROM transfers",
            kind=kind,
        )

    def open_ore(self, charge: Charge) -> int:
        """What is open of a charge's claim."""
        return self.books.one("SELECT amount_ore - settled_ore FROM claims WHERE id = :id", id=charge.claim_id)


def test_a_charge_paid_by_another_attempt_leaves_the_late_money_as_credit(books: Books) -> None:
    payer = Payer(books, "commercial")
    charge = payer.charge(20_000)
    first = payer.attempt(charge)
    payer.nothing(first)
    second = payer.attempt(charge)
    for _ in range(2):  # the answer, the sweep, any number of webhooks
        assert payer.paid(second, "pi_2") == "succeeded"
        assert payer.paid(first) == "succeeded"
    assert not second.credited, "what paid the charge is not credit, however often it is told"
    assert (first.state, first.provider_ref, first.credited) == ("succeeded", "pi_late", True)
    assert payer.account("card_clearing") == 2 * 20_450, "as the gateway's books say"
    assert payer.account("card_fees") == -450, "no fee is owed on money that paid nothing"
    assert books.credit(payer.agreement) == 20_450
    books.prove(NOW)
    invoice = books.invoice(payer.agreement, 15_000)
    assert (books.open_ore(invoice), books.credit(payer.agreement)) == (0, 5_450)
    books.prove(NOW)


def test_an_invoiced_charge_is_paid_by_the_late_money_first(books: Books) -> None:
    payer = Payer(books, "commercial")
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    payer.nothing(attempt)
    payer.give_up(charge)
    other = books.invoice(payer.agreement, 9_000, due=CHARGED + DAY)
    assert payer.open_ore(charge) == 20_000
    for _ in range(2):
        assert payer.paid(attempt, now=noon(CHARGED + 3 * DAY)) == "succeeded"
    assert payer.open_ore(charge) == 0
    assert books.open_ore(other) == 9_000 - 450, "the rest is used on what is past due"
    assert (charge.state, payer.account("card_clearing")) == ("invoiced", 20_450)
    books.prove(noon(CHARGED + 3 * DAY))


def test_a_part_paid_invoice_takes_what_is_open_and_the_rest_is_credit(books: Books) -> None:
    payer = Payer(books)
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    payer.nothing(attempt)
    payer.give_up(charge)
    kid = str(books.value("SELECT kid FROM documents"))
    books.pay(kid, 15_000, CHARGED)
    payer.paid(attempt)
    assert (payer.open_ore(charge), books.credit(payer.agreement)) == (0, 15_000)
    books.prove(noon(CHARGED + DAY))


def test_two_late_payments_of_one_charge_are_both_in_the_books(books: Books) -> None:
    payer = Payer(books)
    charge = payer.charge(20_000)
    attempts = []
    for _ in range(2):
        attempts.append(payer.attempt(charge))
        payer.nothing(attempts[-1])
    payer.give_up(charge)
    for number, attempt in enumerate(attempts):
        assert payer.paid(attempt, f"pi_{number}") == "succeeded"
    assert (payer.open_ore(charge), books.credit(payer.agreement)) == (0, 20_000)
    assert payer.account("card_clearing") == 40_000
    books.prove(NOW)


def block(books: Books, day: dt.date) -> None:
    """Judge what is overdue on a day."""
    step(books.session, find_reach(books.session, [OURS], day), 0, day, noon(day))


@pytest.mark.parametrize(("was_declined", "standing"), [(False, "open"), (True, "awaiting_reopen")])
def test_the_standing_follows(books: Books, was_declined: bool, standing: str) -> None:
    """Money that may have been taken when it was asked for was in time; after a decline it came when it was told."""
    payer = Payer(books)
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    if was_declined:
        assert payer.declined(attempt) == "declined"
    else:
        payer.nothing(attempt)
        payer.give_up(charge)
    assert charge.state == "invoiced"
    day = CHARGED + 30 * DAY
    block(books, day)
    assert books.standing(payer.agreement) == "blocked"
    assert payer.paid(attempt, now=noon(day)) == "succeeded"
    assert (payer.open_ore(charge), books.standing(payer.agreement)) == (0, standing)
    assert (attempt.code, attempt.message) == (None, None)
    books.prove(noon(day))


def test_what_the_card_did_pay_never_blocks(books: Books) -> None:
    payer = Payer(books)
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    payer.nothing(attempt)
    payer.give_up(charge)
    payer.paid(attempt)
    block(books, CHARGED + 30 * DAY)
    assert books.standing(payer.agreement) == "open"


def test_late_money_pays_an_open_charge_though_another_attempt_is_unknown(books: Books) -> None:
    """Then the other is only looked up, not sent again, and is credit should it have been paid too."""
    payer = Payer(books)
    charge = payer.charge(20_000)
    first = payer.attempt(charge)
    payer.nothing(first)
    second = payer.attempt(charge)
    assert payer.paid(first) == "succeeded"
    assert (charge.state, first.credited, second.state) == ("succeeded", False, "unknown")
    payer.session.refresh(second)
    assert second.lookup, "the same key would make the payment if it was not made"
    books.prove(NOW)
    assert payer.paid(second, "pi_2") == "succeeded"
    assert second.credited
    assert (payer.account("card_clearing"), books.credit(payer.agreement)) == (40_000, 20_000)
    books.prove(NOW)


def test_a_decline_after_its_charge_has_ended_changes_only_the_attempt(books: Books) -> None:
    payer = Payer(books)
    charge = payer.charge(20_000)
    first = payer.attempt(charge)
    payer.nothing(first)
    second = payer.attempt(charge)
    payer.paid(first)
    assert payer.declined(second) == "declined"
    assert (charge.state, charge.tries) == ("succeeded", 0)
    assert books.one("SELECT count(*) FROM documents") == 1
    books.prove(NOW)


def test_a_wrong_sum_is_never_booked(books: Books) -> None:
    payer = Payer(books)
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    payer.nothing(attempt)
    payer.give_up(charge)
    with pytest.raises(AssertionError, match="20001"):
        apply(payer.session, attempt.id, Succeeded("pi", 20_001, now_utc()), seller=SELLER, now=NOW)


def _told(session: Session) -> list[str]:
    return list(session.scalars(text("SELECT effect FROM provider_events ORDER BY id")))


def test_webhooks_of_a_forgotten_payment_make_our_books_the_gateways(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    stand_in.fault("timeout", hold_seconds=1)
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["unknown"]
    [attempt] = driver.attempts()
    with driver.sessions() as session:
        forget(session, attempt.id, now=MONDAY)
        session.commit()
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    assert (stand_in.books()["sum_ore"], sum_of(driver.sessions, "card_clearing")) == (40_000, 20_000)
    found = gateway.find_charge(
        customer_id=driver.provider_customer,
        charge=str(attempt.charge_id),
        attempt=str(attempt.id),
        created_after=now_utc() - DAY,
    )
    assert isinstance(found, Succeeded)
    about = {"charge": str(attempt.charge_id), "attempt": str(attempt.id)}
    whose = {"customer": driver.provider_customer}
    for name in ("evt_1", "evt_2", "evt_1"):
        event = Event(name, "payment_intent.succeeded", now_utc(), found.ref, "payment_intent", whose, about)
        webhook.receive(driver.sessions, gateway, event, seller=driver.seller, now=MONDAY)
    assert sum_of(driver.sessions, "card_clearing") == stand_in.books()["sum_ore"] == 40_000
    assert sum_of(driver.sessions, "credit") == -20_000
    with driver.sessions() as session:
        assert _told(session) == ["succeeded", "succeeded"]


def test_a_step_down_and_up_keeps_the_late_money(books: Books, engine: Engine) -> None:
    payer = Payer(books)
    charge = payer.charge(20_000)
    first = payer.attempt(charge)
    payer.nothing(first)
    payer.paid(payer.attempt(charge), "pi_2")
    payer.paid(first)
    books.session.commit()
    migrate(engine, down_to="0007")
    assert books.one("SELECT count(*) FROM attempts WHERE state = 'succeeded'") == 1
    books.session.commit()
    migrate(engine)
    books.session.refresh(first)
    assert (first.state, first.credited) == ("succeeded", True)
    books.prove(NOW)


def test_the_charges_story_tells_it_in_order_and_without_a_fee(books: Books, app: Flask) -> None:
    payer = Payer(books, "commercial")
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    payer.nothing(attempt)
    payer.give_up(charge, noon(CHARGED + DAY))
    payer.paid(attempt, now=noon(CHARGED + 2 * DAY))
    with app.test_request_context():
        steps = charge_story(ChargeStory(charge, [attempt]), 1)
    assert [step.at for step in steps] == [NOW, noon(CHARGED + DAY), noon(CHARGED + 2 * DAY)]
    assert "til gode" in steps[-1].text
    assert "kortgebyr" not in steps[-1].text


@pytest.mark.parametrize(("was_declined", "standing"), [(False, "open"), (True, "awaiting_reopen")])
def test_the_standing_follows_though_the_invoice_was_paid_late(books: Books, was_declined: bool, standing: str) -> None:
    """All of the card's money becomes credit then; it was in time all the same."""
    payer = Payer(books)
    charge = payer.charge(20_000)
    attempt = payer.attempt(charge)
    if was_declined:
        payer.declined(attempt)
    else:
        payer.nothing(attempt)
        payer.give_up(charge)
    day = CHARGED + 30 * DAY
    block(books, day)
    kid = str(books.value("SELECT kid FROM documents WHERE claim_id = :id", id=charge.claim_id))
    books.pay(kid, 20_000, day)
    assert books.standing(payer.agreement) == "awaiting_reopen"
    assert payer.paid(attempt, now=noon(day + 2 * DAY)) == "succeeded"
    assert (books.credit(payer.agreement), books.standing(payer.agreement)) == (20_000, standing)
    books.prove(noon(day + 2 * DAY))
