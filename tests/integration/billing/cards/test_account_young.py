"""What happens between two reads of the provider's account is under way: told of at once or late, it differs from
nothing, and the balance is held against the lines of its own moment."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select, text

from billing.cards import account, dispute, refund, refund_call
from billing.cards.gateway import CardGateway, GatewayMisuse, GatewayUnavailable
from billing.cards.models import AccountRead, Refund
from billing.cards.stripe.gateway import StripeGateway
from config.clock import now_utc
from simulator.gateway import GatewayServer, disputes, refunds
from simulator.gateway import account as theirs
from tests.integration.billing.cards.conftest import MONDAY, Driver
from tests.integration.billing.cards.test_account import DAY, FEE, Office

HOUR = dt.timedelta(hours=1)


@pytest.fixture
def office(driver: Driver, gateway: CardGateway, stand_in: GatewayServer) -> Office:
    """The office, before anything is paid."""
    return Office(driver, gateway, stand_in)


def _next_morning(office: Office) -> None:
    """Let a day pass, and the provider's account be read: all that was young is old."""
    office.real += DAY
    office.stand_in.move_clock(office.real)
    office.read()
    assert (office.words(), office.report().young_ore) == ([], 0)


def test_a_dispute_won_after_the_read_is_under_way(office: Office) -> None:
    opened = disputes.open_(office.stand_in.world, office.pay())
    for step in (None, "win"):
        if step is not None:
            disputes.end(office.stand_in.world, opened["id"], step)
        found = dispute.look(office.driver.sessions, office.gateway, opened["id"])
        with office.driver.sessions() as session:
            dispute.apply(session, found, seller=office.driver.seller, now=MONDAY)
            session.commit()
        if step is None:
            _next_morning(office)
            office.sql("UPDATE card_disputes SET changed_at = changed_at - interval '2 days'")
            office.ahead = dt.timedelta()
            office.read()
            office.sql("UPDATE card_transactions SET made_at = made_at - interval '2 days'")
    assert office.words() == [], "the event told us a moment ago, and the next read is tomorrow"
    assert (office.report().young_ore, office.report().ok) == (20_000, True)


def test_a_refund_that_fails_after_the_read_is_under_way(office: Office) -> None:
    office.pay()
    with office.driver.sessions() as session:
        given = refund.give_back(
            session, office.driver.charges()[0].id, None, reason="w", seller=office.driver.seller, actor="lead:kari",
            now=MONDAY,
        )  # fmt: skip
        assert given.refund is not None
        number = given.refund.id
        session.commit()
    refund_call.refund_one(office.driver.sessions, office.gateway, number, now=MONDAY)
    office.read()
    office.sql("UPDATE card_transactions SET made_at = made_at - interval '2 days'")
    office.sql("UPDATE card_refunds SET changed_at = changed_at - interval '2 days'")
    with office.driver.sessions() as session:
        ref = session.get_one(Refund, number).provider_ref
    assert ref is not None
    refunds.end(office.stand_in.world, ref, "fail")
    assert office.words() == []
    with office.driver.sessions() as session:
        assert refund_call.apply(session, number, office.gateway.retrieve(ref), now=MONDAY) == "failed"
        session.commit()
    assert office.words() == []
    assert office.report().ok
    office.sql("UPDATE card_refunds SET changed_at = changed_at - interval '2 days'")
    assert office.words() == [("amount", "refund", 0, -20_000)], "had it been known at the read"


def test_an_attempt_of_two_days_ago_that_succeeds_now_is_under_way(office: Office) -> None:
    office.read()
    office.pay()
    office.sql("UPDATE attempts SET called_at = :at", at=office.real - 2 * DAY)
    assert office.words() == []
    assert (office.report().young_ore, office.report().ok) == (20_000, True)


def test_a_read_that_was_missed_makes_no_differences(office: Office) -> None:
    office.read()
    office.pay()
    office.real += 3 * DAY
    assert (office.words(), office.report().ok) == ([], True)
    office.stand_in.fault("error", on="read", when="before")
    with pytest.raises(GatewayUnavailable):
        office.read()
    assert (office.words(), office.report().ok) == ([], True), "a read that did not end counts for none"


def test_a_read_without_a_new_line_counts(office: Office) -> None:
    """What is lacking after it was not under way, though nothing was new."""
    office.read()
    office.pay()
    office.sql("UPDATE attempts SET provider_ref = 'pi_nowhere'")
    office.read()
    assert office.words() == [], "the line may come within the hour"
    office.real += 2 * HOUR
    assert office.read()["lines"] == 0
    assert {word[:2] for word in office.words()} == {("missing_there", "payment"), ("missing_here", "payment")}
    with office.driver.sessions() as session:
        assert len(session.scalars(select(AccountRead)).all()) == 3


def test_the_business_clock_has_no_part_in_it(office: Office) -> None:
    """The dispute is dated by business time, which a demo moves far ahead."""
    opened = disputes.open_(office.stand_in.world, office.pay())
    found = dispute.look(office.driver.sessions, office.gateway, opened["id"])
    with office.driver.sessions() as session:
        dispute.apply(session, found, seller=office.driver.seller, now=MONDAY + 3_000 * DAY)
        session.commit()
    office.sql("UPDATE card_disputes SET provider_ref = 'dp_nowhere', changed_at = changed_at - interval '2 days'")
    office.read()
    assert ("missing_there", "dispute", -20_000, 0) in office.words()


def test_the_balance_is_of_the_read_and_what_comes_after_it_changes_nothing(office: Office) -> None:
    office.pay()
    office.read()
    office.driver.drive(20_000, MONDAY + 8 * DAY)
    assert office.driver.charge(office.gateway, MONDAY + 8 * DAY) == ["succeeded"]
    report = office.report()
    assert (report.balance_ore, report.young_ore, report.ok) == (20_000 - FEE, 20_000, True)


def test_a_line_that_comes_while_the_balance_is_asked_is_read_too(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.pay()
    tell, asked = StripeGateway.balance, []

    def busy(self: StripeGateway) -> int:
        asked.append(1)
        if len(asked) <= 2:
            theirs.add_line(office.stand_in.world, "stripe_fee", -100)
        return tell(self)

    monkeypatch.setattr(StripeGateway, "balance", busy)
    assert office.read()["lines"] == 3
    report = office.report()
    assert (len(asked), report.balance_ore, report.balance_lines_ore) == (3, 19_800 - FEE, 19_800 - FEE)
    assert report.ok


def test_a_balance_that_never_rests_is_not_compared(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.pay()
    tell = StripeGateway.balance

    def busy(self: StripeGateway) -> int:
        found = tell(self)
        theirs.add_line(office.stand_in.world, "stripe_fee", -100)
        return found

    monkeypatch.setattr(StripeGateway, "balance", busy)
    assert office.read()["lines"] == 1 + account.QUIET_TRIES
    assert (office.report().balance_ore, office.report().ok) == (None, True)


def test_a_balance_that_is_refused_costs_no_read(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.pay()

    def refuse(self: StripeGateway) -> int:
        raise GatewayMisuse("This key may not read the balance.")

    monkeypatch.setattr(StripeGateway, "balance", refuse)
    assert office.read()["lines"] == 1
    assert (office.report().balance_ore, office.report().read_ore, office.report().ok) == (None, 20_000 - FEE, True)


def test_before_the_first_read_nothing_differs(office: Office) -> None:
    office.pay()
    report = office.report()
    assert (report.read_at, report.young_ore, report.ok) == (None, 20_000, True)
    with office.driver.sessions() as session:
        session.execute(text("UPDATE attempts SET changed_at = NULL"))  # as 0024 finds it
        session.commit()
    assert office.report().ok
    assert office.real >= now_utc() - HOUR
