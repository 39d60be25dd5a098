"""An invoice with a passage that its charger adjusted is presented anew: what came in its place joins it, or waits."""

from __future__ import annotations

import pytest
from sqlalchemy import select, text

from billing.passages.held import hold
from billing.passages.models import Passage
from tests.integration.billing.books import Books, Invoice
from tests.integration.billing.invoices.test_reissue import ON, anew, claim_of


@pytest.fixture
def invoice(books: Books) -> Invoice:
    """An invoice of 50 and 30 kroner."""
    return books.invoice(books.agreement(), 5_000, 3_000)


def adjusted(books: Books, invoice: Invoice) -> int:
    """The charger adjusts what cost 30 kroner to 45: a counter-row, and a record in its place, whose passage it is."""
    session = books.session
    passage = books.one("SELECT id FROM passages WHERE claim_id = :c AND amount_ore = 3000", c=invoice.claim)
    (dearer,) = books.passages(invoice.agreement, 4_500, booked=ON)
    counter = books.one("SELECT nextval('passage_ids')")
    source = books.value("SELECT source_id FROM passages WHERE id = :d", d=dearer)
    for sql in (
        "INSERT INTO passages SELECT :k, :at, agreement_id, registration_id, charger_id, source_id, batch_id, id, "
        "passed_at, passed_offset, station, project, service, country, plate, pan, vehicle_class, -list_ore, "
        "-amount_ore, vat_bp, flags, external, owed, NULL FROM passages WHERE id = :p",
        "INSERT INTO reversals (passage_id, counter_id, cause, reason, actor, at) "
        "VALUES (:p, :k, 'adjusted', :source, 'charger', :at)",
        "UPDATE balances SET unbilled_ore = unbilled_ore - 3000, unbilled_count = unbilled_count + 1 "
        "WHERE agreement_id = :a",
    ):
        session.execute(text(sql), {"k": counter, "at": ON, "p": passage, "source": source, "a": invoice.agreement})
    return dearer


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
