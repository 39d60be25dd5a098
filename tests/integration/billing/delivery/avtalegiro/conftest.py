"""Agreements with mandates and invoices queued for AvtaleGiro, the jobs, and a bank beside them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from billing.claims.kid import make_kid
from billing.delivery.avtalegiro import jobs
from billing.invoices.issue import issue
from billing.payments import inbox
from config import settings as settings_of
from config.clock import OSLO, move_clock, now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from simulator.bank_avtalegiro import AvtaleGiroBank
from simulator.payers import House
from tests.integration.billing.invoices.world import SELLER, World

TODAY = dt.date(2026, 2, 2)
DUE = dt.date(2026, 2, 16)
ACCOUNT = "15030012345"


class Bank:
    """Our side and the bank's, in folders; the business clock stands where it is moved to."""

    def __init__(self, session: Session, sessions: SessionFactory, engine: Engine, folder: Path) -> None:
        self.session, self.sessions, self.engine = session, sessions, engine
        self.world = World(session)
        environ = {
            "BRIKKE_VAR": str(folder),
            "AVTALEGIRO_SENDER": "00987654",
        }
        self.settings = settings_of.load(environ, Path("/nonexistent/.env"))
        self.house = House(self.settings.bank_inbox)
        self.payers = AvtaleGiroBank(self.settings.avtalegiro_outbox, self.house)
        self.notice = "own"  # the figure of who tells payers
        self.house.begin(TODAY)
        self.at(TODAY)

    def at(self, day: dt.date, hour: int = 10) -> None:
        """Move the clock to an Oslo hour."""
        instant = dt.datetime.combine(day, dt.time(hour), OSLO).astimezone(dt.UTC)
        move_clock(self.session, instant, running=False)
        self.session.commit()
        self.now = instant

    @property
    def context(self) -> JobContext:
        return JobContext(self.sessions, self.settings)

    def agreement(self, **more: Any) -> int:
        made = self.world.agreement(**more)
        self.session.commit()
        return made

    def number(self, agreement: int) -> int:
        return int(self.one("SELECT number FROM agreements WHERE id = :id", id=agreement))

    def mandate(self, agreement: int, *, notice: bool = False, limit_ore: int | None = None) -> str:
        """Set up a mandate at the bank, and let its file come; return its KID."""
        kid = make_kid(self.number(agreement), 1)
        self.payers.set_up(kid, notice=notice, limit_ore=limit_ore)
        self.payers.send_mandates(TODAY)
        self.inbox()
        return kid

    def invoice(self, agreement: int, ore: int = 31_250, *, due_on: dt.date = DUE, queue: bool = True) -> int:
        """Issue an invoice, and queue it for AvtaleGiro; return the document."""
        claim = self.world.claim(agreement, [ore])
        [document] = issue(
            self.session, [claim], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=due_on, now=self.now
        )
        # Issuing sees to it that it is not due too soon; here it is due when the test says.
        self.session.execute(text("UPDATE claims SET due_on = :due WHERE id = :id"), {"due": due_on, "id": claim})
        if queue:
            self.queue(agreement, document)
        self.session.commit()
        return document

    def queue(self, agreement: int, document: int) -> int:
        message = self.one(
            "SELECT id FROM messages WHERE document_id = :document AND template = 'invoice'", document=document
        )
        return int(
            self.one(
                "INSERT INTO deliveries (message_id, agreement_id, channel, next_at, queued_at, document_id, presents) "
                "VALUES (:message, :agreement, 'avtalegiro', :now, :now, :document, true) RETURNING id",
                message=message,
                agreement=agreement,
                document=document,
                now=min(self.now, now_utc()),
            )
        )

    def write(self) -> dict[str, int | str]:
        return jobs.job(self.context, self.now)

    def inbox(self) -> dict[str, int | str]:
        return inbox.job(self.context, self.now)

    def one(self, query: str, **params: Any) -> Any:
        found = self.session.execute(text(query), params).scalar_one()
        self.session.commit()
        return found

    def rows(self, query: str, **params: Any) -> list[Any]:
        with self.sessions() as session:
            return list(session.execute(text(query), params).all())

    def deliveries(self) -> list[tuple[str, str | None]]:
        """Return state and error of every delivery of ours, in order."""
        return [
            (row.state, row.error)
            for row in self.rows("SELECT state, error FROM deliveries WHERE channel = 'avtalegiro' ORDER BY id")
        ]

    def execute(self, query: str, **params: Any) -> None:
        self.session.execute(text(query), params)
        self.session.commit()


@pytest.fixture
def bank(
    engine: Engine, session: Session, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Bank:
    made = Bank(session, sessions, engine, tmp_path)
    monkeypatch.setattr("billing.delivery.avtalegiro.claims.figure", lambda _name, _on: made.notice)
    return made
