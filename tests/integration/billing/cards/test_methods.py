"""Changing how an agreement pays, and its end: what is left is charged or invoiced at once, whatever the sum."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import Engine, event, text

from accounts.agreements.close import close
from accounts.agreements.models import Agreement
from billing.cards import closings, expiring
from billing.cards.gateway import CardGateway
from billing.cards.methods import choose_method
from billing.cards.models import Card
from config.database import SessionFactory
from config.problems import Conflict, PreconditionFailed
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, make_driver
from tests.integration.billing.cards.test_cards import agreement, another, cards, invoiced

DAY = dt.timedelta(days=1)


def choose(driver: Driver, method: str, *, instead: bool = False, now: dt.datetime = MONDAY) -> None:
    with driver.sessions() as session:
        choose_method(
            session, driver.agreement_id, method, version=None, seller=driver.seller, now=now, instead=instead
        )
        session.commit()


def charged(driver: Driver) -> list[tuple[str, str, int | None]]:
    return [(charge.cause, charge.state, charge.amount_ore) for charge in driver.charges()]


class TestToInvoice:
    def test_what_is_left_is_charged_a_last_time(
        self, driver: Driver, gateway: CardGateway, stand_in: GatewayServer
    ) -> None:
        driver.drive(4_200, MONDAY)
        for _ in range(2):
            choose(driver, "invoice")
        driver.drive(1_000, MONDAY)
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        assert charged(driver) == [("method", "succeeded", 5_200)], "below the limit, and in the week too"
        assert driver.drive(30_000, MONDAY + DAY) == 0, "then invoices"
        assert agreement(driver).payment_method == "invoice"
        assert stand_in.books()["sum_ore"] == 5_200

    def test_a_charge_that_was_due_is_the_last_one(self, driver: Driver, gateway: CardGateway) -> None:
        driver.drive(20_000, MONDAY)
        choose(driver, "invoice")
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        assert charged(driver) == [("method", "succeeded", 20_000)]

    def test_without_a_card_that_works_it_is_invoiced_now(self, driver: Driver, gateway: CardGateway) -> None:
        driver.drive(4_200, MONDAY)
        with driver.sessions() as session:
            session.get_one(Card, cards(driver)[0].id).refused_code = "lost_card"
            session.commit()
        choose(driver, "invoice")
        assert invoiced(driver) == [4_200], "not carried over, though it is under the smallest invoice"
        assert driver.balance().unbilled_ore == 0
        assert driver.charge(gateway, MONDAY) == []

    def test_what_the_provider_does_not_take_is_invoiced(self, driver: Driver, gateway: CardGateway) -> None:
        driver.drive(299, MONDAY)
        choose(driver, "invoice")
        driver.charge(gateway, MONDAY)
        assert invoiced(driver) == [299]
        assert driver.attempts() == []

    def test_while_a_charge_is_tried_an_invoice_must_be_chosen_for_it(
        self, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
        driver.drive(20_000, MONDAY)
        driver.charge(gateway, MONDAY)
        driver.drive(500, MONDAY)
        with pytest.raises(Conflict) as refused:
            choose(driver, "invoice")
        assert refused.value.type == "/problems/charge-open"
        choose(driver, "invoice", instead=True)
        assert charged(driver) == [("threshold", "invoiced", 20_000)]
        assert invoiced(driver) == [20_000, 500]
        assert stand_in.books()["count"] == 0
        choose(driver, "invoice", instead=True)
        assert invoiced(driver) == [20_000, 500], "a repeat makes nothing"

    def test_but_not_while_its_outcome_is_unknown(
        self, driver: Driver, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        driver.drive(20_000, MONDAY)
        stand_in.fault("timeout", hold_seconds=1)
        assert driver.charge(gateway, MONDAY) == ["unknown"]
        with pytest.raises(Conflict) as refused:
            choose(driver, "invoice", instead=True)
        assert refused.value.type == "/problems/charge-unknown"
        assert agreement(driver).payment_method == "card"

    def test_of_an_older_version_it_is_refused(self, driver: Driver) -> None:
        with driver.sessions() as session, pytest.raises(PreconditionFailed):
            choose_method(session, driver.agreement_id, "invoice", version=99, seller=driver.seller, now=MONDAY)


class TestToCard:
    def test_what_is_not_billed_is_charged_at_once(self, driver: Driver, gateway: CardGateway) -> None:
        choose(driver, "invoice")
        driver.drive(4_200, MONDAY)
        choose(driver, "card")
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        assert charged(driver) == [("method", "succeeded", 4_200)]

    def test_by_another_card_where_the_default_is_refused(self, driver: Driver, stand_in: GatewayServer) -> None:
        other = another(driver, stand_in)
        choose(driver, "invoice")
        with driver.sessions() as session:
            session.get_one(Card, cards(driver)[0].id).refused_code = "lost_card"
            session.commit()
        choose(driver, "card")
        assert [card.id for card in cards(driver) if card.is_default] == [other]

    def test_none_that_works_is_refused(self, driver: Driver) -> None:
        choose(driver, "invoice")
        with driver.sessions() as session:
            session.get_one(Card, cards(driver)[0].id).refused_code = "lost_card"
            session.commit()
        with pytest.raises(Conflict) as refused:
            choose(driver, "card")
        assert refused.value.type == "/problems/no-card"


class TestClosing:
    def end(self, driver: Driver, at: dt.datetime) -> None:
        with driver.sessions() as session:
            close(session, driver.agreement_id, at=at, now=at, actor="test")
            session.commit()

    def look(self, driver: Driver, now: dt.datetime) -> int:
        """What the job does, each agreement in a transaction of its own; returns how many will be charged."""
        due = 0
        with driver.sessions() as session:
            ids = closings.waiting(session, now=now)
        for agreement_id in ids:
            with driver.sessions() as session:
                due += closings.close_one(session, agreement_id, now=now)
                session.commit()
        return due

    def test_what_is_left_is_charged_once(self, driver: Driver, gateway: CardGateway) -> None:
        driver.drive(20_000, MONDAY)
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        driver.drive(700, MONDAY + DAY)
        assert self.look(driver, MONDAY + DAY) == 0, "it goes on"
        self.end(driver, MONDAY + 2 * DAY)
        assert self.look(driver, MONDAY + 2 * DAY) == 1
        assert driver.charge(gateway, MONDAY + 2 * DAY) == ["succeeded"]
        assert charged(driver)[1:] == [("closing", "succeeded", 700)], "under the limit, and within the week"
        driver.drive(900, MONDAY + 3 * DAY)
        assert self.look(driver, MONDAY + 3 * DAY) == 0, "what comes after the end is invoiced"

    def test_a_due_charge_of_a_closed_agreement_becomes_its_closings(
        self, driver: Driver, gateway: CardGateway
    ) -> None:
        driver.drive(20_000, MONDAY)
        self.end(driver, MONDAY)
        assert self.look(driver, MONDAY) == 1
        assert driver.charge(gateway, MONDAY) == ["succeeded"]
        assert charged(driver) == [("closing", "succeeded", 20_000)]

    def test_nothing_left_then_is_nothing_later(self, driver: Driver) -> None:
        self.end(driver, MONDAY)
        driver.drive(5_000, MONDAY + DAY)
        assert self.look(driver, MONDAY + DAY) == 0

    def test_without_a_card_that_works_the_next_run_invoices(self, driver: Driver) -> None:
        driver.drive(700, MONDAY)
        with driver.sessions() as session:
            session.get_one(Card, cards(driver)[0].id).refused_code = "lost_card"
            session.commit()
        self.end(driver, MONDAY)
        assert self.look(driver, MONDAY) == 0
        assert driver.charges() == []

    def test_a_charge_that_is_tried_goes_before(
        self, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
    ) -> None:
        driver = make_driver(sessions, stand_in, gateway, "insufficient_funds")
        driver.drive(20_000, MONDAY)
        driver.charge(gateway, MONDAY)
        driver.drive(700, MONDAY)
        self.end(driver, MONDAY)
        assert self.look(driver, MONDAY) == 0
        for days in (1, 3, 7):
            driver.charge(gateway, MONDAY + days * DAY)
        assert charged(driver) == [("threshold", "invoiced", 20_000)]
        assert self.look(driver, MONDAY + 7 * DAY) == 1
        assert [charge.cause for charge in driver.charges()] == ["threshold", "closing"]


class TestExpiring:
    def told(self, driver: Driver, now: dt.datetime) -> list[tuple[str, str]]:
        with driver.sessions() as session:
            expiring.step(session, 0, now=now)
            session.commit()
            rows = session.execute(
                text("SELECT subject, data->'facts'->>'expires_on' FROM messages WHERE template = 'card_expiring'")
            )
            return [(row[0], row[1]) for row in rows]

    def expires(self, driver: Driver, month: int, year: int) -> int:
        with driver.sessions() as session:
            card = session.get_one(Card, cards(driver)[0].id)
            card.exp_month, card.exp_year = month, year
            session.commit()
            return card.id

    def test_once_a_card_and_expiry_thirty_days_ahead(self, driver: Driver) -> None:
        card = self.expires(driver, 4, 2026)
        first = dt.datetime(2026, 3, 30, 22, 30, tzinfo=dt.UTC)  # the 31st in Oslo
        assert self.told(driver, first - DAY) == []
        assert self.told(driver, first) == [(f"card:{card}:2026-04", "2026-04-30")]
        assert len(self.told(driver, first + 20 * DAY)) == 1
        self.expires(driver, 5, 2026)
        assert len(self.told(driver, first + 31 * DAY)) == 2, "a new expiry is told of anew"

    def test_only_who_pays_by_a_card_that_is_tried(self, driver: Driver, stand_in: GatewayServer) -> None:
        self.expires(driver, 3, 2026)
        with driver.sessions() as session:
            session.get_one(Agreement, driver.agreement_id).payment_method = "invoice"
            session.commit()
        assert self.told(driver, MONDAY) == []
        with driver.sessions() as session:
            row = session.get_one(Agreement, driver.agreement_id)
            row.payment_method, row.closed_at = "card", MONDAY + 3 * DAY
            session.commit()
        assert self.told(driver, MONDAY) == []
        with driver.sessions() as session:
            session.get_one(Agreement, driver.agreement_id).closed_at = None
            session.get_one(Card, cards(driver)[0].id).refused_code = "lost_card"
            session.commit()
        assert self.told(driver, MONDAY) == []


@pytest.mark.parametrize("by_mail", [True, False])
def test_receipts_are_sent_to_those_who_want_them(driver: Driver, gateway: CardGateway, by_mail: bool) -> None:
    with driver.sessions() as session:
        session.get_one(Agreement, driver.agreement_id).receipts_by_mail = by_mail
        session.commit()
    driver.drive(20_000, MONDAY)
    assert driver.charge(gateway, MONDAY) == ["succeeded"]
    with driver.sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM documents")) == 1, "on My Page it is in any case"
        told = session.scalar(text("SELECT count(*) FROM messages WHERE template = 'receipt'"))
        assert told == (1 if by_mail else 0)


def test_what_has_ended_is_found_by_its_index(driver: Driver, engine: Engine) -> None:
    """The job looks every five minutes; agreements that have not ended are not read."""
    told: list[tuple[str, object]] = []

    def executed(_connection: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        told.append((statement, parameters))

    with driver.sessions() as session:
        event.listen(engine, "before_cursor_execute", executed)
        closings.waiting(session, now=MONDAY)
        event.remove(engine, "before_cursor_execute", executed)
        session.execute(text("SET LOCAL enable_seqscan = off"))
        [(statement, parameters)] = told
        connection = session.connection()
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))  # type: ignore[arg-type]
    assert "ix_agreements_ended_on_card" in plan, plan
