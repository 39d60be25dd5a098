"""Refunds that the provider refuses, that meet a dispute under way, or whose money goes although they had ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
import stripe
from sqlalchemy import text

from billing.cards import pace, refund, refund_call
from billing.cards.gateway import CardGateway, Declined, GatewayMisuse, Outcome, Succeeded, Unknown
from billing.cards.models import Refund
from billing.cards.provider import NAME
from billing.cards.stripe import refunds as stripe_refunds
from billing.claims import leaving
from config.clock import now_utc
from config.jobs import JobContext
from config.problems import Conflict
from simulator.gateway import GatewayServer
from tests.integration.billing.books import DAY, Books, noon
from tests.integration.billing.cards.conftest import MONDAY, Driver, card_settings
from tests.integration.billing.cards.payer import CHARGED, KARI, LEAD, NOW, OLA, CardPayer
from tests.integration.billing.cards.test_refund_calls import ask, call, clearing, older, state, sweep, tell


@pytest.fixture
def asked(driver: Driver, gateway: CardGateway) -> int:
    """A refund of NOK 100 of a payment of NOK 300: its id."""
    driver.drive(20_000, MONDAY)
    driver.drive(10_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    return ask(driver, 10_000)


def inquire(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> str:
    """The bank asks about the payment, which takes nothing, and we hear of it; return the dispute's id."""
    number = stand_in.open_dispute(str(driver.attempts()[0].provider_ref), inquiry=True)
    assert tell(driver, gateway, "charge.dispute.created", {"id": number, "object": "dispute"}) == "opened"
    return number


def test_one_that_was_lost_on_the_way_is_not_sent_while_the_bank_asks(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    stand_in.fault("error", on="refund", when="before", stored=False)
    assert call(driver, gateway, asked) == "unknown"
    inquire(driver, gateway, stand_in)
    assert sweep(driver, gateway, asked) == "unknown", "its key is not sent again"
    older(driver, 2)
    assert sweep(driver, gateway, asked) == "approved"
    assert call(driver, gateway, asked) == "skipped"
    assert (state(driver, asked), stand_in.books()["refunds"]) == ("cancelled", [])
    with driver.sessions() as session:
        assert leaving.disputed(session, driver.agreement_id) == 30_000


def test_one_that_was_made_before_the_bank_asked_is_found(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    stand_in.fault("timeout", on="refund", hold_seconds=1)
    assert call(driver, gateway, asked) == "unknown"
    inquire(driver, gateway, stand_in)
    assert sweep(driver, gateway, asked) == "unknown"
    assert sweep(driver, gateway, asked) == "succeeded"
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000


def test_one_that_was_prepared_when_the_bank_asked_is_not_sent(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    """A crash between the two steps of a call, or a dispute heard of at that moment."""
    with driver.sessions.begin() as session:
        ready = refund_call.prepare(session, asked, now=MONDAY, real=now_utc())
    assert ready is not None
    number = inquire(driver, gateway, stand_in)
    refund_call.send(driver.sessions, gateway, ready)
    assert stand_in.books()["refunds"] == []
    stand_in.end_dispute(number, "close")
    tell(driver, gateway, "charge.dispute.closed", {"id": number, "object": "dispute"})
    assert sweep(driver, gateway, asked) == "succeeded"


class Refusing:
    """A gateway that refuses every refund in words that we do not know."""

    def __init__(self, gateway: CardGateway, code: str) -> None:
        self.gateway, self.code, self.asked = gateway, code, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.gateway, name)

    def refund(self, **_asked: object) -> Outcome:
        self.asked += 1
        raise GatewayMisuse("No.", self.code)


def test_what_the_provider_refuses_waits_for_a_person_who_ends_it(
    driver: Driver, gateway: CardGateway, asked: int
) -> None:
    refusing = Refusing(gateway, "something_new")
    as_gateway: CardGateway = refusing  # type: ignore[assignment]
    assert call(driver, as_gateway, asked) == "unknown"
    assert [sweep(driver, as_gateway, asked) for _ in range(2)] == ["unknown", "unknown"]
    with driver.sessions() as session, pytest.raises(Conflict):
        refund.cancel(session, asked, actor=KARI, now=MONDAY)
    older(driver, 2)
    assert sweep(driver, as_gateway, asked) == "requested"
    assert call(driver, as_gateway, asked) == "skipped"
    assert refusing.asked == 1, "it is not asked again and again"
    with driver.sessions.begin() as session:
        row = session.get_one(Refund, asked)
        assert (row.code, row.message) == ("something_new", "refused: something_new; not made")
        assert refund.cancel(session, asked, actor=LEAD, now=MONDAY).state == "cancelled"


def test_one_that_was_refused_may_be_tried_once_more(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    refusing: CardGateway = Refusing(gateway, "something_new")  # type: ignore[assignment]
    assert call(driver, refusing, asked) == "unknown"
    older(driver, 2)
    assert sweep(driver, refusing, asked) == "requested"
    with driver.sessions.begin() as session:
        assert refund.approve(session, asked, actor=LEAD, now=MONDAY).state == "approved"
    assert call(driver, gateway, asked) == "succeeded"
    with driver.sessions() as session:
        assert session.get_one(Refund, asked).code is None
    assert stand_in.books()["refunded_ore"] == 10_000


def test_what_our_settings_are_to_blame_for_goes_through_when_they_are_mended(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    refusing: CardGateway = Refusing(gateway, "not_allowed")  # type: ignore[assignment]
    assert [call(driver, refusing, asked), sweep(driver, refusing, asked)] == ["unknown", "unknown"]
    assert sweep(driver, gateway, asked) == "succeeded"
    assert stand_in.books()["refunded_ore"] == 10_000


@pytest.mark.parametrize(
    "code",
    ["charge_not_refundable", "refund_disputed_payment", "balance_insufficient", "charge_disputed", "amount_too_small"],
)
def test_a_no_for_good_is_a_decline(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    client = stripe.StripeClient("sk_test_x")

    def refuse(*_asked: object) -> None:
        raise stripe.InvalidRequestError("No.", None, code=code)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(client.v1.refunds, "create", refuse)
    made = stripe_refunds.make(client, ref="pi_1", amount_ore=1, idempotency_key="k", refund="1")
    assert isinstance(made, Declined)
    assert (made.code, made.ref) == (code, None)


def test_a_no_that_is_not_known_is_no_decline(monkeypatch: pytest.MonkeyPatch) -> None:
    client = stripe.StripeClient("sk_test_x")

    def refuse(*_asked: object) -> None:
        raise stripe.InvalidRequestError("No.", None, code="something_new")  # type: ignore[no-untyped-call]

    monkeypatch.setattr(client.v1.refunds, "create", refuse)
    with pytest.raises(GatewayMisuse):
        stripe_refunds.make(client, ref="pi_1", amount_ore=1, idempotency_key="k", refund="1")


def late(row: Refund, ref: str = "re_late") -> Succeeded:
    """The provider has made it after all."""
    return Succeeded(ref, row.amount_ore, now_utc())


@pytest.mark.parametrize(("spent", "borne"), [(0, 0), (2_000, 2_000), (5_000, 5_000)])
@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_money_that_went_after_its_refund_had_ended_is_booked(books: Books, spent: int, borne: int, end: str) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    if end == "cancelled":
        refund.cancel(books.session, row.id, actor=KARI, now=NOW)
    else:
        payer.call(row)
        payer.tell(row, Declined(None, "charge_disputed", "No.", needs_customer=False, retry="never"))
    if spent:
        books.invoice(payer.agreement, spent, due=CHARGED - DAY)
        leaving.after_debts(books.session, payer.agreement, NOW, KARI)
    before = payer.account("write_off")
    for _ in range(2):
        assert payer.tell(row, late(row)) == "succeeded"
    assert row.state == end
    assert (books.credit(payer.agreement), payer.account("card_clearing")) == (0, 15_000)
    assert (payer.account("write_off") - before, payer.account("refunds")) == (borne, 0)
    assert books.told(payer.agreement).count("card_refunded") == 1
    kept = books.session.query(Refund).filter_by(provider_ref="re_late").one()
    assert (kept.requested_by, kept.amount_ore) == ("card gateway", 5_000)
    books.prove(NOW)
    no = Declined("re_late", "lost_card", "No.", needs_customer=False, retry="later")
    for _ in range(2):
        assert payer.tell(row, no, noon(CHARGED + DAY)) == "failed", "and then it fails at the card's bank"
    assert (books.credit(payer.agreement), payer.account("card_clearing")) == (5_000 - borne, 20_000)
    assert payer.account("write_off") == before
    books.prove(noon(CHARGED + DAY))


def test_of_two_tries_that_were_both_made_both_are_booked(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.give(row)
    assert payer.tell(row, late(row)) == "succeeded"
    assert payer.account("card_clearing") == 10_000
    assert payer.account("write_off") == 5_000 + 5_000, "the passage that was credited, and what went twice"
    books.prove(NOW)


def test_what_waits_is_stopped_when_its_payment_holds_it_no_more(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    first = payer.ask_back(charge, 1)
    refund.cancel(books.session, first.id, actor=KARI, now=NOW)
    rest = payer.ask_back(charge, 0)
    more = refund.request(books.session, charge.id, amount_ore=5_000, reason="x", actor=KARI, now=NOW)
    payer.tell(first, late(first))
    for row in (rest, more):
        books.session.refresh(row)
    assert (rest.state, more.state) == ("approved", "cancelled")
    assert books.credit(payer.agreement) == 5_000
    books.prove(NOW)
    payer.give(rest)
    assert payer.account("card_clearing") == 0
    books.prove(NOW)


def test_a_failure_of_an_older_try_undoes_no_success(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    assert call(driver, gateway, asked) == "succeeded"
    for ref in ("re_older", None):
        no = Declined(ref, "expired_or_canceled_card", "No.", needs_customer=False, retry="later")
        with driver.sessions.begin() as session:
            assert refund_call.apply(session, asked, no, now=MONDAY) == "succeeded"
    assert stand_in.books()["net_ore"] == clearing(driver) == 20_000


def test_a_failure_of_an_older_try_does_not_end_one_that_is_pending(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int
) -> None:
    stand_in.fault("pending")
    assert call(driver, gateway, asked) == "unknown"
    no = Declined("re_older", "expired_or_canceled_card", "No.", needs_customer=False, retry="later")
    with driver.sessions.begin() as session:
        assert refund_call.apply(session, asked, no, now=MONDAY) == "unknown"


@pytest.mark.parametrize(("ore", "first"), [(900_000, "requested"), (150_000, "approved")])
def test_one_that_was_refused_and_made_all_the_same_counts_and_is_no_alarm(books: Books, ore: int, first: str) -> None:
    """Refused in unknown words, looked up in vain, it waits for a person; then the provider tells it went."""
    payer = CardPayer(books)
    charge = payer.paid(ore, 160_000)
    row = payer.ask_back(charge, 0)
    assert row.state == first
    if first == "requested":
        refund.approve(books.session, row.id, actor=OLA, now=NOW)
    payer.call(row)
    payer.tell(row, Unknown("refused: something_new", same_key_helps=False))
    assert refund_call.forget(books.session, row.id, real=now_utc() + dt.timedelta(hours=3)) == "requested"
    books.prove(NOW)
    more = payer.ask_back(charge, 1)
    assert more.state == "approved", "what waits for a person does not count"
    assert payer.tell(row, late(row)) == "succeeded"
    assert row.approved_by == "card gateway"
    books.prove(NOW)
    assert leaving.lately(books.session, payer.agreement, NOW) == ore + 160_000, "it went: from now on it counts"


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_a_no_to_the_next_try_does_not_end_one_that_is_pending(books: Books, end: str) -> None:
    """A try that was thought lost is pending, of which an event told; the next is refused because of it."""
    payer = CardPayer(books)
    charge = payer.paid(15_000, 5_000)
    row = payer.ask_back(charge, 1)
    payer.call(row)
    payer.tell(row, Unknown("the refund is pending", ref="re_late"))
    no = Declined(None, "charge_already_refunded", "No.", needs_customer=False, retry="never")
    assert payer.tell(row, no) == "unknown"
    assert (row.provider_ref, books.credit(payer.agreement)) == ("re_late", 0)
    books.prove(NOW)
    if end == "succeeded":
        assert payer.tell(row, late(row)) == "succeeded"
    else:
        assert payer.tell(row, replace(no, ref="re_late")) == "failed"
    assert payer.account("card_clearing") == (15_000 if end == "succeeded" else 20_000)
    assert books.credit(payer.agreement) == (0 if end == "succeeded" else 5_000)
    books.prove(NOW)


def test_what_is_not_sent_does_not_tell_that_the_provider_is_back(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer, asked: int, tmp_path: Path
) -> None:
    """The turn that tries it falls to a refund that must not go: the door stays closed until somebody has asked."""
    stand_in.fault("error", on="refund", when="before", stored=False)
    assert call(driver, gateway, asked) == "unknown"
    inquire(driver, gateway, stand_in)
    with driver.sessions.begin() as session:
        session.execute(text("UPDATE card_refunds SET asked_at = asked_at - interval '5 minutes'"))
        pace.reserve(session, NAME, 1, 1_000.0)
        session.execute(text("UPDATE card_pace SET failures = 7, next_at = now(), down_until = now()"))
    ctx = JobContext(driver.sessions, card_settings(tmp_path, stand_in), "card_refunds")
    assert refund_call.job_sweep(ctx, MONDAY)["unknown"] == 1
    with driver.sessions.begin() as session:
        assert pace.state(session, NAME).probe
        session.execute(text("UPDATE card_refunds SET asked_at = asked_at - interval '5 minutes'"))
        session.execute(text("UPDATE card_pace SET down_until = now()"))
    refund_call.job_sweep(ctx, MONDAY)
    with driver.sessions() as session:
        assert not pace.state(session, NAME).probe, "the look-up was answered"
