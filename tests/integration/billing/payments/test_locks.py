"""Two at once: the test fails without the turn that receive takes."""

from __future__ import annotations

from sqlalchemy import Engine

from billing.payments.bank import BankResult, receive
from config.database import SessionFactory
from simulator.bank import BankPayment
from tests.integration.billing.beside import Beside
from tests.integration.billing.books import DUE, OURS, Books, noon


def test_the_same_file_at_once_is_booked_by_one_and_already_there_for_the_other(
    books: Books, sessions: SessionFactory, engine: Engine
) -> None:
    """From the folder and over HTTP, say: the second has its turn when the first is done."""
    invoice = books.invoice(books.agreement(), 10_000)
    content = books.file(BankPayment(invoice.kid, 4_000, DUE))
    books.session.commit()

    def read(session_of: SessionFactory) -> BankResult:
        with session_of.begin() as session:
            return receive(session, "again.ocr", content, noon(DUE), accounts=[OURS], max_bytes=10**6)

    assert books.receive(content, DUE).state == "booked"
    again = Beside(engine, lambda: read(sessions))
    assert again.waited
    books.session.commit()
    assert again.result().state == "already"
    assert books.open_ore(invoice) == 6_000
    books.prove(noon(DUE))
