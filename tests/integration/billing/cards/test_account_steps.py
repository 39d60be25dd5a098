"""The way back from the tables of cards is refused where the books before could not hold what there is."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from billing.cards import account
from billing.cards.gateway_account import LineKind, ProviderLine
from config.clock import now_utc
from config.database import SessionFactory
from migrations.run import migrate
from tests.integration.billing.books import Books
from tests.integration.billing.cards.payer import NOW
from tests.integration.billing.cards.test_late_money import Payer


def _line(sessions: SessionFactory, kind: LineKind, amount: int, fee: int = 0) -> None:
    with sessions() as session:
        line = ProviderLine("txn_1", kind, kind, amount, fee, None, now_utc())
        account.keep(session, [line], now=NOW, real=now_utc())
        session.commit()


def test_costs_that_are_booked_stay(engine: Engine, sessions: SessionFactory) -> None:
    _line(sessions, "payment", 20_000, 460)
    with pytest.raises(DBAPIError, match="there are rows in card_transactions, which the books before this"):
        migrate(engine, down_to="0018")
    with sessions() as session:
        assert session.scalar(text("SELECT count(*) FROM transfers WHERE code = 'card_cost'")) == 1


def test_a_page_that_may_be_paid_is_not_taken_for_a_call(books: Books, engine: Engine) -> None:
    payer = Payer(books)
    attempt = payer.attempt(payer.charge(20_000))
    books.session.execute(text("UPDATE attempts SET kind = 'on_session'"))
    books.session.commit()
    with pytest.raises(DBAPIError, match="there are attempts whose customer may be paying on a page"):
        migrate(engine, down_to="0018")
    migrate(engine)
    payer.nothing(attempt)
    books.session.commit()
    migrate(engine, down_to="0018")
    migrate(engine)
    assert books.one("SELECT count(*) FROM attempts WHERE kind = 'off_session'") == 1


@pytest.mark.parametrize(("kind", "amount"), [("topup", 500), ("reserve", -500)])
def test_what_was_a_cost_before_is_not_left_to_it(
    engine: Engine, sessions: SessionFactory, kind: LineKind, amount: int
) -> None:
    _line(sessions, kind, amount)
    with pytest.raises(DBAPIError, match="there are top-ups or reserves in card_transactions"):
        migrate(engine, down_to="0023")


def test_what_was_read_before_is_kept_both_ways(engine: Engine, sessions: SessionFactory) -> None:
    _line(sessions, "payment", 20_000, 460)
    with sessions() as session:
        session.execute(
            text(
                "INSERT INTO card_payouts (provider_ref, amount_ore, state, arrives_on, made_at, read_at, automatic) "
                "VALUES ('po_1', 1, 'in_transit', '2026-03-02', now(), now(), false)"
            )
        )
        session.commit()
    migrate(engine, down_to="0023")
    migrate(engine)
    with sessions() as session:
        assert session.scalars(text("SELECT automatic FROM card_payouts")).all() == [True], "until it is read again"
        assert session.scalars(text("SELECT fee_ore FROM card_transactions")).all() == [460]
