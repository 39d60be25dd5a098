"""Several cards an agreement: which one is charged, which can be removed, and what kind they are."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select, text

from accounts.agreements.models import Agreement
from billing.cards.cards import make_default, remove, set_segment
from billing.cards.gateway import CardDetails, CardGateway
from billing.cards.models import Card, CardSetup, Charge
from billing.cards.register import adopt
from config.database import SessionFactory
from config.problems import Conflict, NotFound
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver

DAY = dt.timedelta(days=1)


def another(driver: Driver, stand_in: GatewayServer, kind: str = "mastercard", *, last4: str = "0076") -> int:
    """Add a card that is not the default; returns its id."""
    method = stand_in.add_card(driver.provider_customer, kind)
    with driver.sessions() as session:
        card = Card(
            agreement_id=driver.agreement_id, payment_method=method, brand="mastercard", last4=last4, exp_month=12,
            exp_year=2034, funding="credit", country="NO", segment="consumer", segment_source="provider",
            is_default=False, registered_at=MONDAY,
        )  # fmt: skip
        session.add(card)
        session.commit()
        return card.id


def cards(driver: Driver) -> list[Card]:
    with driver.sessions() as session:
        return list(session.scalars(select(Card).where(Card.removed_at.is_(None)).order_by(Card.id)))


def agreement(driver: Driver) -> Agreement:
    with driver.sessions() as session:
        return session.get_one(Agreement, driver.agreement_id)


def invoiced(driver: Driver) -> list[int]:
    """Sums of the invoices that are to be paid, oldest first."""
    with driver.sessions() as session:
        rows = session.execute(text("SELECT total_ore FROM documents WHERE due_on IS NOT NULL ORDER BY id"))
        return [row[0] for row in rows]


@pytest.fixture
def broke(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """A driver whose card has no cover, with a charge that was declined once."""
    driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["declined"]
    return driver


class TestDefault:
    def test_another_default_has_the_open_charge_tried_at_once(
        self, broke: Driver, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        other = another(broke, stand_in)
        assert broke.charge(gateway, MONDAY) == [], "it waits for a bank day"
        with broke.sessions() as session:
            for _ in range(2):
                assert make_default(session, broke.agreement_id, other, now=MONDAY).is_default
            session.commit()
        assert [card.is_default for card in cards(broke)] == [False, True]
        assert broke.charge(gateway, MONDAY) == ["succeeded"]
        assert broke.attempts()[-1].card_id == other

    def test_a_refused_card_a_removed_one_and_anothers_cannot_be(
        self, driver: Driver, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        stranger = make_driver(sessions, stand_in, gateway, "consumer")
        theirs, other = cards(driver)[-1].id, another(driver, stand_in)
        with sessions() as session:
            session.get_one(Card, other).refused_code = "lost_card"
            session.commit()
        with sessions() as session:
            with pytest.raises(Conflict) as refused:
                make_default(session, driver.agreement_id, other, now=MONDAY)
            assert refused.value.type == "/problems/card-refused"
            session.rollback()
            with pytest.raises(NotFound):
                make_default(session, driver.agreement_id, theirs, now=MONDAY)
            session.get_one(Card, other).removed_at = MONDAY
            session.flush()
            with pytest.raises(NotFound):
                make_default(session, driver.agreement_id, other, now=MONDAY)
        assert stranger.agreement_id != driver.agreement_id

    def test_the_holders_new_default_counts_before_what_an_agent_chose(
        self, broke: Driver, stand_in: GatewayServer
    ) -> None:
        other = another(broke, stand_in)
        with broke.sessions() as session:
            session.scalars(select(Charge)).one().card_id = cards(broke)[0].id
            make_default(session, broke.agreement_id, other, now=MONDAY)
            session.commit()
        assert broke.charges()[0].card_id is None


class TestRemove:
    def test_the_only_way_to_pay_a_tried_charge_stays(self, broke: Driver, stand_in: GatewayServer) -> None:
        only = cards(broke)[0].id
        with broke.sessions() as session, pytest.raises(Conflict) as refused:
            remove(session, broke.agreement_id, only, seller=broke.seller, now=MONDAY)
        assert refused.value.type == "/problems/only-way-to-pay"
        assert agreement(broke).payment_method == "card"

    def test_unless_an_invoice_is_chosen_for_it(self, broke: Driver) -> None:
        broke.drive(700, MONDAY)
        with broke.sessions() as session:
            remove(session, broke.agreement_id, None, seller=broke.seller, now=MONDAY, instead=True)
            session.commit()
        assert agreement(broke).payment_method == "invoice"
        assert [charge.state for charge in broke.charges()] == ["invoiced"]
        assert invoiced(broke) == [20_000, 700], "what was not billed yet is invoiced too, however little"
        assert broke.balance().unbilled_ore == 0

    def test_not_while_nobody_knows_whether_it_has_paid(
        self, driver: Driver, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        driver.drive(20_000, MONDAY)
        stand_in.fault("timeout", hold_seconds=1)
        assert driver.charge(gateway, MONDAY) == ["unknown"]
        with driver.sessions() as session, pytest.raises(Conflict) as refused:
            remove(session, driver.agreement_id, None, seller=driver.seller, now=MONDAY, instead=True)
        assert refused.value.type == "/problems/charge-unknown"
        assert len(cards(driver)) == 1
        assert invoiced(driver) == []

    def test_with_another_card_the_charge_goes_on_by_that(
        self, broke: Driver, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        other = another(broke, stand_in)
        with broke.sessions() as session:
            remove(session, broke.agreement_id, None, seller=broke.seller, now=MONDAY)
            session.commit()
        assert [(card.id, card.is_default) for card in cards(broke)] == [(other, True)]
        assert broke.charge(gateway, MONDAY) == ["succeeded"]
        assert agreement(broke).payment_method == "card"

    def test_a_refused_card_that_is_not_charged_goes_without_more_ado(
        self, driver: Driver, stand_in: GatewayServer
    ) -> None:
        other = another(driver, stand_in)
        with driver.sessions() as session:
            session.get_one(Card, other).refused_code = "lost_card"
            session.commit()
        with driver.sessions() as session:
            remove(session, driver.agreement_id, other, seller=driver.seller, now=MONDAY)
            session.commit()
        assert agreement(driver).payment_method == "card"
        with driver.sessions() as session, pytest.raises(NotFound):
            remove(session, driver.agreement_id, other, seller=driver.seller, now=MONDAY)

    def test_the_last_one_leaves_an_invoice_of_what_is_not_billed(
        self, driver: Driver, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        driver.drive(20_000, MONDAY)  # due, not tried
        with driver.sessions() as session:
            remove(session, driver.agreement_id, None, seller=driver.seller, now=MONDAY)
            session.commit()
        assert [charge.state for charge in driver.charges()] == ["cancelled"]
        assert invoiced(driver) == [20_000]
        assert driver.charge(gateway, MONDAY + 8 * DAY) == []
        assert stand_in.books()["count"] == 0


class TestSegment:
    def test_support_has_the_last_word(self, driver: Driver, gateway: CardGateway) -> None:
        card = cards(driver)[0].id
        with driver.sessions() as session:
            assert set_segment(session, driver.agreement_id, card, "commercial")[1] is False
            assert set_segment(session, driver.agreement_id, card, "commercial")[1] is True
            session.commit()
        driver.drive(20_000, MONDAY)
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        assert driver.attempts()[0].fee_ore == 450

    def test_the_same_card_registered_anew_takes_its_own_place(self, driver: Driver) -> None:
        old = cards(driver)[0].id
        with driver.sessions() as session:
            set_segment(session, driver.agreement_id, old, "commercial")
            setup = CardSetup(agreement_id=driver.agreement_id, declared_commercial=False, started_at=MONDAY)
            session.add(setup)
            session.flush()
            details = CardDetails("pm_new", "visa", "4242", 12, 2034, "debit", "NO", "consumer", product="F")
            for _ in range(2):
                adopt(session, setup, details, now=MONDAY)
            session.commit()
        [card] = cards(driver)
        assert (card.payment_method, card.segment, card.segment_source) == ("pm_new", "commercial", "support")
        assert (card.is_default, card.product) == (True, "F")

    def test_another_card_stands_beside_it(self, broke: Driver, stand_in: GatewayServer, gateway: CardGateway) -> None:
        method = stand_in.add_card(broke.provider_customer, "commercial")
        with broke.sessions() as session:
            setup = CardSetup(agreement_id=broke.agreement_id, declared_commercial=False, started_at=MONDAY)
            session.add(setup)
            session.flush()
            details = CardDetails(method, "visa", "0007", 12, 2034, "credit", "NO", "commercial", product="G")
            adopt(session, setup, details, now=MONDAY)
            session.commit()
        assert [card.is_default for card in cards(broke)] == [False, True]
        assert broke.charge(gateway, MONDAY) == ["succeeded"], "a new card pays what is open at once"
        assert broke.attempts()[-1].amount_ore == 20_450
