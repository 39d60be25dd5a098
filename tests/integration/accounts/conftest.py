"""A small world for the rooms of accounts: two toll chargers, a ferry operator, customers with agreements."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.chargers.queries import publications
from accounts.customers.sign_up import SignedUp, sign_up
from accounts.vehicles.models import Registration
from accounts.vehicles.register import register
from config.database import SessionFactory

T = TypeVar("T")
NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
KARI: dict[str, str | None] = {
    "name": "Kari Nordmann",
    "email": "kari@example.no",
    "street": "Storgata 1",
    "postal_code": "0155",
    "city": "Oslo",
}


@pytest.fixture
def chargers(session: Session) -> None:
    """FJELL and KYST take tolls, FJORD runs ferries."""
    for code, kind in (("FJELL", "toll"), ("KYST", "toll"), ("FJORD", "ferry")):
        keep_charger(session, ChargerGiven(code, f"{code.title()} AS", kind), NOW - 100 * DAY)
    session.commit()


@pytest.fixture
def kari(session: Session, chargers: None) -> SignedUp:
    """Kari with an open tag agreement."""
    made = sign_up(session, "private", KARI, now=NOW, actor="test")
    session.commit()
    return made


@pytest.fixture
def ola(session: Session, chargers: None) -> SignedUp:
    """Ola with an open tag agreement."""
    given = {**KARI, "name": "Ola Hansen", "email": "ola@example.no"}
    made = sign_up(session, "private", given, now=NOW, actor="test")
    session.commit()
    return made


def put(
    session: Session, agreement: Agreement, plate: str = "EL12345", *, at: dt.datetime = NOW, now: dt.datetime = NOW
) -> Registration:
    """Register a Norwegian vehicle and commit."""
    row = register(session, agreement.id, "NO", plate, valid_from=at, now=now, actor="test").registration
    session.commit()
    return row


def told(session: Session, agreement_id: int) -> list[tuple[str, str, int | None, dt.datetime | None]]:
    """Return (charger, status, registration, acknowledged at) of what each charger was told, by change and charger."""
    items = publications(session, agreement_id, after=None, limit=1000).items
    return [(one.charger, one.status, one.vehicle, one.acknowledged_at) for one in reversed(items)]


def at_once(sessions: SessionFactory, acts: Sequence[Callable[[Session], T]]) -> list[T | Exception]:
    """Do each act in a thread and a transaction of its own, started together; return results or what was raised."""
    results: list[T | Exception] = [RuntimeError("did not finish")] * len(acts)
    start = threading.Barrier(len(acts))

    def one(position: int) -> None:
        with sessions() as session:
            start.wait(10)
            try:
                results[position] = acts[position](session)
                session.commit()
            except Exception as error:
                results[position] = error

    threads = [threading.Thread(target=one, args=(position,)) for position in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
