"""Two keys of one person, in the audit as in the rooms: what follows the role, an issuer's colons and all."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.access.principal import must_be_another
from billing.audit.rules import same_person
from billing.cards import refund
from config.problems import Forbidden
from tests.integration.billing.books import SELLER, Books
from tests.integration.billing.cards.payer import NOW, CardPayer

ISSUER = "https://id.example.no"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("agent:kari", "lead:kari", True),
        ("agent:kari", "agent:ola", False),
        (f"agent:{ISSUER}|kari", f"lead:{ISSUER}|kari", True),
        (f"agent:{ISSUER}|kari", f"lead:{ISSUER}|eva", False),
        ("card gateway", "agent:kari", False),
        ("test", "test", True),
    ],
)
def test_the_audit_and_the_rooms_know_one_person_alike(session: Session, first: str, second: str, same: bool) -> None:
    query = text(f"SELECT {same_person('CAST(:first AS text)', 'CAST(:second AS text)')}")
    assert session.execute(query, {"first": first, "second": second}).scalar_one() is same
    try:
        must_be_another(first, second, "No.")
    except Forbidden:
        assert same
    else:
        assert not same


def test_a_refund_that_two_people_of_an_issuer_approved_is_in_order(books: Books) -> None:
    payer = CardPayer(books)
    charge = payer.paid(900_000)
    row = refund.give_back(
        books.session, charge.id, None, reason="x", seller=SELLER, actor=f"agent:{ISSUER}|kari", now=NOW
    ).refund
    assert row is not None
    refund.approve(books.session, row.id, actor=f"lead:{ISSUER}|eva", now=NOW)
    books.prove(NOW)
