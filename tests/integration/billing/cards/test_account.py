"""The provider's account of us: read again and again, booked once, and every difference found, whoever is wrong."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import func, select, text

from billing.cards import account, dispute, reconcile, refund, refund_call
from billing.cards.gateway import CardGateway, ChargeRequest, GatewayUnavailable, Succeeded
from billing.cards.gateway_account import ProviderLine
from billing.cards.models import CardPayout, CardTransaction
from billing.cards.stripe.gateway import StripeGateway
from config.clock import now_utc
from simulator.gateway import GatewayServer, disputes, refunds
from simulator.gateway import account as theirs
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.billing.cards.test_charging import sum_of

DAY = dt.timedelta(days=1)
FEE = 20_000 * 14 // 1000 + 180


class Office:
    """The accountant's desk, and the provider's."""

    def __init__(self, driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> None:
        self.driver, self.gateway, self.stand_in = driver, gateway, stand_in
        self.ahead = dt.timedelta()

    @property
    def real(self) -> dt.datetime:
        """Real time, as far ahead as it was moved."""
        return now_utc() + self.ahead

    @real.setter
    def real(self, to: dt.datetime) -> None:
        self.ahead = to - now_utc()

    def pay(self) -> str:
        """Let the card pay NOK 200; returns the provider's id."""
        self.driver.drive(20_000, MONDAY)
        assert self.driver.charge(self.gateway, MONDAY) == ["succeeded"]
        return str(self.driver.attempts()[-1].provider_ref)

    def days_later(self, days: int) -> None:
        """Let so many days pass at the provider."""
        self.real = self.real + days * DAY
        self.stand_in.move_clock(self.real)

    def read(self) -> dict[str, int]:
        """Read the provider's account."""
        return account.read(self.driver.sessions, self.gateway, now=MONDAY, real=self.real)

    def report(self) -> reconcile.Report:
        """Reconcile with what was read."""
        return reconcile.compare(self.driver.sessions, real=self.real)

    def words(self) -> list[tuple[str, str, int, int]]:
        """The differences: word, kind, ours, theirs."""
        return [(one.word, one.kind, one.ours_ore, one.theirs_ore) for one in self.report().differences]

    def account(self, kind: str) -> int:
        """An account's balance, debit positive, øre."""
        return sum_of(self.driver.sessions, kind)

    def sql(self, statement: str, **values: Any) -> None:
        """Change something behind everybody's back."""
        with self.driver.sessions() as session:
            session.execute(text(statement), values)
            session.commit()


@pytest.fixture
def office(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Office:
    """The office, before anything is paid."""
    return Office(driver, gateway, stand_in)


def test_the_fee_is_a_cost_and_reading_again_does_nothing(office: Office) -> None:
    office.pay()
    assert office.read() == {"lines": 1, "payouts": 0, "payouts_changed": 0}
    assert office.read() == {"lines": 0, "payouts": 0, "payouts_changed": 0}
    assert (office.account("card_costs"), office.account("card_clearing")) == (FEE, 20_000 - FEE)
    report = office.report()
    assert (report.balance_ore, report.balance_lines_ore, report.read_ore, report.clearing_ore) == (20_000 - FEE,) * 4
    assert report.ok


def test_a_payout_is_in_the_books_when_it_has_arrived(office: Office) -> None:
    office.pay()
    office.days_later(1)
    assert office.read() == {"lines": 2, "payouts": 1, "payouts_changed": 0}
    assert office.account("bank") == 0
    report = office.report()
    assert (report.to_bank_ore, report.balance_ore) == (20_000 - FEE, 0)
    assert report.ok
    office.days_later(4)
    assert office.read() == {"lines": 0, "payouts": 0, "payouts_changed": 1}
    assert office.read()["payouts_changed"] == 0
    assert (office.account("bank"), office.account("card_clearing")) == (20_000 - FEE, 0)
    with office.driver.sessions() as session:
        [payout] = session.scalars(select(CardPayout)).all()
        [line] = session.scalars(select(CardTransaction).where(CardTransaction.payout_id == payout.id)).all()
    assert (payout.state, payout.whole, line.type) == ("paid", True, "payment")
    assert office.report().ok


@pytest.mark.parametrize("arrived", [False, True])
def test_a_payout_that_failed_is_taken_out_again(office: Office, arrived: bool) -> None:
    office.pay()
    office.days_later(1)
    office.read()
    if arrived:
        office.days_later(4)
        office.read()
        assert office.account("bank") == 20_000 - FEE
    with office.driver.sessions() as session:
        ref = session.scalars(select(CardPayout.provider_ref)).one()
    theirs.fail_payout(office.stand_in.world, ref)
    assert office.read()["payouts_changed"] == 1
    assert (office.account("bank"), office.account("card_clearing")) == (0, 20_000 - FEE)
    assert office.report().ok
    office.days_later(5)
    assert office.read()["payouts"] == 1, "what came back goes out with the next"
    office.days_later(5)
    office.read()
    assert (office.account("bank"), office.account("card_clearing")) == (20_000 - FEE, 0)
    assert office.report().ok


def test_a_line_of_the_providers_own_is_a_cost_or_lessens_one(office: Office) -> None:
    office.pay()
    theirs.add_line(office.stand_in.world, "stripe_fee", -5_000)
    office.read()
    assert office.account("card_costs") == FEE + 5_000
    theirs.add_line(office.stand_in.world, "adjustment", 700)
    office.read()
    assert office.account("card_costs") == FEE + 4_300
    assert office.report().ok


@pytest.mark.parametrize(
    ("word", "amount", "bank", "reserves"),
    [
        ("topup", 50_000, -50_000, 0),
        ("topup_reversal", -50_000, 50_000, 0),
        ("reserve_hold", -3_000, 0, 3_000),
        ("reserve_release", 3_000, 0, -3_000),
        ("payout_minimum_balance_hold", -100, 0, 100),
        ("payment_network_reserve_release", 100, 0, -100),
    ],
)
def test_what_is_ours_still_is_no_cost(office: Office, word: str, amount: int, bank: int, reserves: int) -> None:
    office.pay()
    theirs.add_line(office.stand_in.world, word, amount)
    for _ in range(2):
        office.read()
        assert (office.account("bank"), office.account("card_reserves")) == (bank, reserves)
        assert (office.account("card_costs"), office.account("card_clearing")) == (FEE, 20_000 - FEE + amount)
        report = office.report()
        assert (report.balance_ore, report.read_ore, report.rest_ore, report.ok) == (
            20_000 - FEE + amount, 20_000 - FEE + amount, 0, True,
        )  # fmt: skip


def test_what_the_provider_keeps_apart_is_not_in_our_balance(office: Office) -> None:
    """The other side of a hold is in a balance of its own, which is none that pays out."""
    office.pay()
    theirs.add_line(office.stand_in.world, "reserve_hold", -3_000)
    kept = theirs.add_line(office.stand_in.world, "reserve_hold", 3_000)
    world = office.stand_in.world
    world.store.put("balance_transaction", {**(world.store.get("balance_transaction", kept["id"]) or {}), "net": 0})
    whole = world.store.get("balance_transaction", kept["id"]) or {}
    world.store.put("balance_transaction", whole | {"balance_type": "risk_reserved"})
    office.read()
    assert (office.account("card_reserves"), office.report().ok) == (3_000, True)


def test_many_lines_come_page_by_page_and_day_by_day(office: Office) -> None:
    office.pay()
    for number in range(230):
        theirs.add_line(office.stand_in.world, "stripe_fee", -number - 1)
    office.days_later(3)
    for number in range(5):
        theirs.add_line(office.stand_in.world, "stripe_fee", -number - 1)
    office.read()
    with office.driver.sessions() as session:
        count = session.scalar(
            select(func.count()).select_from(CardTransaction).where(CardTransaction.type == "stripe_fee")
        )
    assert count == 235
    assert office.account("card_costs") == FEE + 230 * 231 // 2 + 15
    assert office.read()["lines"] == 0


def test_a_read_that_is_cut_short_goes_on(office: Office) -> None:
    office.pay()
    office.days_later(3)
    office.stand_in.fault("error", on="read", when="before")
    with pytest.raises(GatewayUnavailable):
        office.read()
    assert office.account("card_costs") == 0
    office.read()
    assert office.account("card_costs") == FEE
    assert office.report().ok


def test_what_the_provider_does_not_have_is_listed_after_the_next_read(office: Office) -> None:
    ref = office.pay()
    office.read()
    office.sql("UPDATE attempts SET provider_ref = 'pi_elsewhere'")
    assert [(one.word, one.ref) for one in office.report().differences] == []
    assert office.report().young_ore == 0, "20 000 that they lack, and 20 000 that we lack"
    office.real += 2 * DAY
    assert [(one.word, one.ref) for one in office.report().differences] == [("missing_here", ref)]
    office.read()
    found = {(one.word, one.ref): (one.ours_ore, one.theirs_ore) for one in office.report().differences}
    assert found == {("missing_there", "pi_elsewhere"): (20_000, 0), ("missing_here", ref): (0, 20_000)}
    assert office.report().rest_ore == 0
    assert not office.report().ok
    [ours] = [one for one in office.report().differences if one.word == "missing_there"]
    assert ours.agreement is not None
    assert ours.charge_id == office.driver.charges()[0].id


def test_a_payment_that_is_not_ours_is_listed(office: Office) -> None:
    office.pay()
    customer = office.driver.provider_customer
    method = office.stand_in.add_card(customer)
    office.gateway.charge(ChargeRequest(customer, method, 7_700, "another-till", "0", "0", "Somebody else"))
    office.read()
    assert office.words() == [], "we may hear of it yet"
    office.real += DAY / 12
    assert office.words() == [("missing_here", "payment", 0, 7_700)]
    report = office.report()
    assert (report.differing_ore, report.rest_ore, report.count) == (-7_700, 0, 1)


def test_another_sum_is_listed(office: Office) -> None:
    office.pay()
    line = theirs.lines(office.stand_in.world)[0]
    theirs.change_line(office.stand_in.world, line["id"], 19_000)
    for _ in range(2):
        assert office.words() == []
        office.read()
        office.real += DAY / 12
    assert office.words() == [("amount", "payment", 20_000, 19_000)]
    assert office.report().rest_ore == 0


def test_a_ledger_that_is_wrong_is_a_rest(office: Office) -> None:
    office.pay()
    office.read()
    office.sql("UPDATE transfers SET amount_ore = amount_ore + 1 WHERE code = 'card_cost'")
    report = office.report()
    assert (report.rest_ore, report.ok) == (-1, False)
    assert report.differences == ()


def test_lines_that_were_lost_show_against_the_balance(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.pay()
    theirs.add_line(office.stand_in.world, "stripe_fee", -500)
    told = StripeGateway.transactions

    def without(self: StripeGateway, since: dt.datetime, until: dt.datetime | None = None) -> list[ProviderLine]:
        return [line for line in told(self, since, until) if line.word != "stripe_fee"]

    monkeypatch.setattr(StripeGateway, "transactions", without)
    office.read()
    report = office.report()
    assert (report.balance_ore, report.balance_lines_ore) == (19_500 - FEE, 20_000 - FEE)
    assert (report.balance_differs, report.count, report.wrong, report.ok) == (True, 0, 1, False)


def test_a_payout_that_its_lines_do_not_add_up_to_is_listed(office: Office) -> None:
    office.pay()
    office.days_later(1)
    office.read()
    office.sql("UPDATE card_payouts SET amount_ore = amount_ore - 100")
    office.real += 2 * DAY
    office.read()
    assert ("payout_lines", "payout", 19_900 - FEE, 20_000 - FEE) in office.words()


def test_a_refund_that_fails_afterwards_is_on_both_sides(office: Office) -> None:
    office.pay()
    sessions, charge_id = office.driver.sessions, office.driver.charges()[0].id
    with sessions() as session:
        given = refund.give_back(
            session, charge_id, None, reason="wrong", seller=office.driver.seller, actor="lead:kari", now=MONDAY
        )
        assert given.refund is not None
        refund_id = given.refund.id
        ready = refund_call.prepare(session, refund_id, now=MONDAY, real=now_utc())
        session.commit()
    assert ready is not None
    made = refund_call.call(office.gateway, ready)
    assert isinstance(made, Succeeded)
    office.read()
    office.real += DAY / 12
    assert office.words() == [("missing_here", "refund", 0, -20_000)], "their answer has not reached us"
    for outcome in (made, None):
        with sessions() as session:
            refund_call.apply(session, refund_id, outcome or office.gateway.retrieve(made.ref), now=MONDAY)
            session.commit()
        office.read()
        assert office.report().ok
        if outcome is made:
            assert office.account("card_clearing") == -FEE, "their fee is not given back"
            refunds.end(office.stand_in.world, made.ref, "fail")
    assert office.account("card_clearing") == 20_000 - FEE


@pytest.mark.parametrize("end", ["win", "lose"])
def test_a_dispute_is_on_both_sides_and_its_fee_a_cost(office: Office, end: str) -> None:
    payment = office.pay()
    opened = disputes.open_(office.stand_in.world, payment)
    for step in (None, end):
        if step is not None:
            disputes.end(office.stand_in.world, opened["id"], step)
        found = dispute.look(office.driver.sessions, office.gateway, opened["id"])
        with office.driver.sessions() as session:
            dispute.apply(session, found, seller=office.driver.seller, now=MONDAY)
            session.commit()
        office.read()
        assert office.report().ok
        office.real += DAY
        assert office.words() == []
    assert office.account("card_costs") == FEE + disputes.FEE_ORE
    assert office.account("card_clearing") == (20_000 if end == "win" else 0) - FEE - disputes.FEE_ORE
    with office.driver.sessions() as session:
        types = set(session.scalars(select(CardTransaction.type)))
    assert types == {"payment", "dispute"}
