"""Two at once: the test fails without the balance lock that settling takes."""

from __future__ import annotations

from sqlalchemy import Engine

from accounts.agreements.standing import StandingChanged
from billing.claims.settle import Settlement, settle
from billing.collection.overdue import find_reach, step
from config.database import SessionFactory
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DAY, DUE, OURS, Books, noon

DAY_AFTER = DUE + 4 * DAY


def test_the_last_of_two_claims_settled_at_once_lets_the_standing_follow(
    books: Books, sessions: SessionFactory, engine: Engine
) -> None:
    """Each alone would see the other's claim open, and the agreement would stay blocked with nothing due."""
    agreement = books.agreement()
    first, second = books.invoice(agreement, 10_000), books.invoice(agreement, 5_000, run="other")
    step(books.session, find_reach(books.session, [OURS], DAY_AFTER), 0, DAY_AFTER, noon(DAY_AFTER))
    assert books.standing(agreement) == "blocked"
    books.session.commit()

    def pay() -> list[StandingChanged]:
        with sessions.begin() as session:
            paid = [Settlement(second.claim, "card", 2, 5_000, DAY_AFTER)]
            return settle(session, paid, DAY_AFTER, noon(DAY_AFTER), "two").standings

    paid = [Settlement(first.claim, "card", 1, 10_000, DAY_AFTER)]
    assert settle(books.session, paid, DAY_AFTER, noon(DAY_AFTER), "one").standings == []
    other = Beside(engine, pay)
    books.session.commit()
    assert [change.after for change in other.result()] == ["awaiting_reopen"]
    assert books.standing(agreement) == "awaiting_reopen"
    assert (books.open_ore(first), books.open_ore(second)) == (0, 0)
