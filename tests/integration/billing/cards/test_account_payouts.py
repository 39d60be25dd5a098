"""The provider's payouts: those made by hand, those it will not tell of, late news of them, and lines read late."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from billing.cards import account
from billing.cards.gateway import CardGateway, GatewayMisuse
from billing.cards.gateway_account import PayoutState, ProviderLine, ProviderPayout
from billing.cards.models import CardPayout, CardTransaction
from billing.cards.stripe.gateway import StripeGateway
from simulator.gateway import GatewayServer
from simulator.gateway import account as theirs
from simulator.gateway.errors import ApiError
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.billing.cards.test_account import DAY, FEE, Office


@pytest.fixture
def office(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Office:
    """The office, before anything is paid."""
    return Office(driver, gateway, stand_in)


def _payouts(office: Office) -> list[CardPayout]:
    with office.driver.sessions() as session:
        return list(session.scalars(select(CardPayout).order_by(CardPayout.made_at, CardPayout.id)))


def _noting(asked: list[dt.datetime]) -> Callable[[StripeGateway, dt.datetime], list[ProviderPayout]]:
    def payouts(_self: StripeGateway, since: dt.datetime) -> list[ProviderPayout]:
        asked.append(since)
        return []

    return payouts


def _tell(office: Office, ref: str, *states: PayoutState, amount: int = 1_000, day: int = 0) -> None:
    for state in states:
        with office.driver.sessions() as session:
            told = ProviderPayout(ref, amount, state, MONDAY.date(), office.real + day * DAY)
            account.keep_payout(session, told, now=MONDAY, real=office.real)
            session.commit()


def test_the_lines_of_a_manual_payout_are_not_asked_for(office: Office) -> None:
    office.pay()
    made = theirs.manual_payout(office.stand_in.world, 5_000)
    with pytest.raises(GatewayMisuse, match="automatic"):
        office.gateway.transactions_of(made["id"])
    office.read()
    office.days_later(1)
    office.read()
    assert [(one.automatic, one.whole, one.amount_ore) for one in _payouts(office)] == [
        (False, False, 5_000), (True, True, 15_000 - FEE),
    ]  # fmt: skip
    office.days_later(6)
    office.read()
    assert (office.account("bank"), office.account("card_clearing")) == (20_000 - FEE, 0)
    assert (office.words(), office.report().ok) == ([], True)
    assert [one.refused for one in _payouts(office)] == [None, None], "nobody asked"
    theirs.fail_payout(office.stand_in.world, made["id"])
    office.read()
    assert (office.account("bank"), office.words(), office.report().ok) == (15_000 - FEE, [], True)


def test_the_stand_in_pays_out_by_hand_what_there_is(office: Office) -> None:
    office.pay()
    for amount in (0, -1, 20_001):
        with pytest.raises(ApiError):
            theirs.manual_payout(office.stand_in.world, amount)


def test_a_payout_that_is_refused_costs_the_others_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.pay()
    office.days_later(1)
    theirs.lines(office.stand_in.world)
    theirs.add_line(office.stand_in.world, "adjustment", 7_000)
    office.days_later(1)
    tell, made = StripeGateway.transactions_of, []

    def refusing(self: StripeGateway, payout: str) -> list[ProviderLine]:
        made.append(payout)
        if payout == made[0]:
            raise GatewayMisuse("You may not see that.", "forbidden")
        return tell(self, payout)

    with monkeypatch.context() as patch:
        patch.setattr(StripeGateway, "transactions_of", refusing)
        office.read()
        assert len(made) == 2
        refused, other = sorted(_payouts(office), key=lambda one: one.provider_ref != made[0])
        assert (refused.whole, refused.refused, other.whole) == (False, "You may not see that.", True)
        report = office.report()
        assert [(one.word, one.ref) for one in report.differences] == [("payout_refused", made[0])]
        assert (report.count, report.wrong, report.rest_ore, report.ok) == (1, 1, 0, False)
    office.read()
    assert [(one.whole, one.refused) for one in _payouts(office)] == [(True, None)] * 2
    assert office.report().ok


def test_late_news_of_a_payout_takes_nothing_back(office: Office) -> None:
    office.pay()
    _tell(office, "po_x", "in_transit", "paid", "in_transit", "pending", "paid")
    assert (office.account("bank"), [one.state for one in _payouts(office)]) == (1_000, ["paid"])
    _tell(office, "po_x", "failed", "paid", "in_transit")
    assert (office.account("bank"), [one.state for one in _payouts(office)]) == (0, ["failed"])


def test_late_news_is_no_change_in_the_count(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    _tell(office, "po_x", "paid")
    stale = ProviderPayout("po_x", 1_000, "in_transit", MONDAY.date(), office.real)
    monkeypatch.setattr(StripeGateway, "payouts", lambda _self, _since: [stale])
    monkeypatch.setattr(StripeGateway, "transactions_of", lambda _self, _payout: [])
    assert office.read()["payouts_changed"] == 0


def test_a_line_that_shows_up_late_is_read(office: Office) -> None:
    """One that is made with an earlier time than what was read already."""
    office.pay()
    office.read()
    theirs.add_line(office.stand_in.world, "stripe_fee", -300, ago=2 * 86_400)
    assert office.read()["lines"] == 1
    assert office.account("card_costs") == FEE + 300


def test_a_payout_that_arrived_long_ago_may_come_back(office: Office) -> None:
    office.pay()
    for _ in range(2):
        office.days_later(6)
        theirs.add_line(office.stand_in.world, "adjustment", 7_000)
        office.days_later(6)
        office.read()
    first, second = _payouts(office)[0], _payouts(office)[-1]
    assert (first.state, first.made_at < second.made_at - DAY) == ("paid", True)
    bank = office.account("bank")
    theirs.fail_payout(office.stand_in.world, first.provider_ref)
    assert office.read()["payouts_changed"] == 1
    assert office.account("bank") == bank - first.amount_ore


@pytest.mark.parametrize("waits_for", ["arrival", "lines"])
def test_a_payout_that_waits_is_asked_about_however_old(
    office: Office, monkeypatch: pytest.MonkeyPatch, waits_for: str
) -> None:
    state: PayoutState = "in_transit" if waits_for == "arrival" else "paid"
    _tell(office, "po_old", state, day=-90)
    _tell(office, "po_new", "paid")
    office.sql(
        "UPDATE card_payouts SET whole = true WHERE provider_ref = 'po_new' OR :arrival", arrival=waits_for == "arrival"
    )
    asked: list[dt.datetime] = []
    monkeypatch.setattr(StripeGateway, "payouts", _noting(asked))
    monkeypatch.setattr(StripeGateway, "transactions_of", lambda _self, _payout: [])
    office.read()
    assert asked[0] <= office.real - 90 * DAY + DAY / 24


def test_nothing_that_waits_is_a_month(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    _tell(office, "po_old", "paid", day=-90)
    _tell(office, "po_new", "paid")
    office.sql("UPDATE card_payouts SET whole = true")
    asked: list[dt.datetime] = []
    monkeypatch.setattr(StripeGateway, "payouts", _noting(asked))
    office.read()
    assert office.real - 31 * DAY < asked[0] < office.real - 29 * DAY


def test_a_line_stays_in_the_payout_that_it_was_told_of_first(office: Office) -> None:
    """A payout that failed and the one that took its place may both name it."""
    _tell(office, "po_1", "failed")
    _tell(office, "po_2", "paid")
    line = ProviderLine("txn_1", "payment", "charge", 1_000, 0, "pi_1", office.real)
    first, second = [one.id for one in _payouts(office)]
    with office.driver.sessions() as session:
        for payout in (first, second):
            account.take_in(session, payout, [line], now=MONDAY, real=office.real)
        session.commit()
        inside = session.scalars(select(CardTransaction.payout_id)).all()
        assert session.scalar(select(func.count()).select_from(CardPayout).where(CardPayout.whole)) == 1
    assert inside == [first]
