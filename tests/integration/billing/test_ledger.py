"""The one way into the books."""

from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.ledger.book import Account, Entry, book, book_query
from billing.ledger.models import Transfer

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
TODAY = dt.date(2026, 3, 2)


def test_an_event_is_one_voucher_and_happens_once(session: Session) -> None:
    entries = [
        Entry(Account("receivable", 7), Account("unbilled"), 100, "claim", 1),
        Entry(Account("receivable", 7), Account("card_fees"), 5, "card_fee", 1),
    ]
    first = book(session, entries, booked_on=TODAY, now=NOW)
    book(session, entries, booked_on=TODAY, now=NOW)
    rows = session.scalars(select(Transfer).order_by(Transfer.id)).all()
    assert [(row.amount_ore, row.voucher) for row in rows] == [(100, first), (5, first)]


@pytest.mark.parametrize("amount", [0, -1])
def test_only_positive_amounts_are_booked(session: Session, amount: int) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        book(session, [Entry(Account("bank"), Account("suspense"), amount, "payment", 1)], booked_on=TODAY, now=NOW)


@pytest.mark.parametrize(("kind", "owner"), [("bank", 3), ("receivable", 0), ("purse", 0)])
def test_an_account_has_an_owner_exactly_when_its_kind_has(kind: str, owner: int) -> None:
    with pytest.raises(ValueError, match="no such account"):
        Account(kind, owner)


def test_a_query_is_booked_set_based_and_skips_nothing_sums(session: Session) -> None:
    query = (
        "SELECT 'receivable' AS debit, v.a AS debit_owner, 'unbilled' AS credit, 0 AS credit_owner, v.o AS amount_ore, "
        "'claim' AS code, v.a AS ref, '' AS part FROM (VALUES (1::bigint, 10::bigint), (2, 0), (3, 30)) AS v (a, o)"
    )
    assert book_query(session, query, {}, booked_on=TODAY, now=NOW) == 2
    assert book_query(session, query, {}, booked_on=TODAY, now=NOW) == 0
