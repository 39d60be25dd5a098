"""An invoice with a passage that its charger adjusted is presented anew: what came in its place joins it, or waits."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from billing.passages.held import hold
from billing.passages.models import Passage
from tests.integration.billing.books import Books, Invoice
from tests.integration.billing.invoices.adjusted import adjust
from tests.integration.billing.invoices.test_reissue import ON, anew, claim_of


@pytest.fixture
def invoice(books: Books) -> Invoice:
    """An invoice of 50 and 30 kroner."""
    return books.invoice(books.agreement(), 5_000, 3_000)


def adjusted(books: Books, invoice: Invoice) -> int:
    """The charger adjusts what cost 30 kroner to 45: a counter-row, and a record in its place, whose passage it is."""
    passage = books.one("SELECT id FROM passages WHERE claim_id = :c AND amount_ore = 3000", c=invoice.claim)
    return adjust(books, invoice.agreement, passage, 3_000, 4_500, ON)


def test_a_dearer_passage_in_anothers_place_comes_along(books: Books, invoice: Invoice) -> None:
    """The counter-row and the record that comes in its place join, and the claim is raised."""
    adjusted(books, invoice)
    done = anew(books, invoice.number)
    assert done.total_ore == 9_500
    assert claim_of(books, invoice.claim) == (9_500, 0, 2)
    assert books.value("SELECT code FROM transfers WHERE ref = :c AND part = '2'", c=invoice.claim) == "claim_raised"
    assert books.one("SELECT unbilled_count FROM balances WHERE agreement_id = :a", a=invoice.agreement) == 0


def test_what_came_in_anothers_place_and_is_disputed_waits(books: Books, invoice: Invoice) -> None:
    dearer = adjusted(books, invoice)
    passage = books.session.scalars(select(Passage).where(Passage.id == dearer)).one()
    assert hold(books.session, passage, ON)
    done = anew(books, invoice.number)
    assert done.total_ore == 5_000
    assert claim_of(books, invoice.claim) == (5_000, 0, 2)
    left = books.one("SELECT unbilled_ore FROM balances WHERE agreement_id = :a", a=invoice.agreement)
    assert left == 4_500
