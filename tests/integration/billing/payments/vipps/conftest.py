"""``payer``: a customer with an invoice of 12,345 øre; ``vipps``: the stand-in, which sends no webhooks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from config.database import SessionFactory
from simulator.vipps import VippsServer
from tests.integration.billing.books import Books
from tests.integration.billing.payments.vipps.payer import Payer, our_client


@pytest.fixture
def vipps() -> Iterator[VippsServer]:
    """The stand-in on a free port."""
    with VippsServer() as server:
        yield server


@pytest.fixture
def payer(session: Session, sessions: SessionFactory, vipps: VippsServer) -> Payer:
    """A customer who has an invoice to pay."""
    books = Books(session)
    invoice = books.invoice(books.agreement(), 10_000, 2_345)
    session.commit()
    return Payer(books, sessions, vipps, our_client(vipps), invoice)
