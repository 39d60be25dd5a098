"""A world with things to tell, settings with a mailbox folder, and a renderer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.delivery.plan import plan
from billing.delivery.send import run
from billing.delivery.transports import Transport, transport_of
from billing.invoices.issue import issue
from billing.invoices.pdf.processes import Renderer
from config import settings as settings_of
from config.clock import move_clock, now_utc
from config.database import SessionFactory
from config.settings import Settings
from tests.integration.billing.invoices.world import FEBRUARY, SELLER, World

NOW = FEBRUARY + dt.timedelta(hours=6)


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer(processes=1) as one:
        yield one


class Post:
    """What to tell, and the job that sends it. The business clock stands still."""

    def __init__(self, session: Session, sessions: SessionFactory, renderer: Renderer, folder: Path) -> None:
        self.session, self.sessions, self.renderer = session, sessions, renderer
        self.world = World(session)
        self.settings = self.with_mail(f"folder:{folder / 'mailbox'}")
        self.folder = folder / "mailbox"
        self.told = 0
        move_clock(session, NOW, running=False)
        session.commit()

    def with_mail(self, url: str) -> Settings:
        return settings_of.load({"MAIL_URL": url, "BRIKKE_VAR": "/nonexistent"}, Path("/nonexistent/.env"))

    def tell(self, agreement: int, template: str, document: int | None = None, **data: Any) -> None:
        self.told += 1
        tell(self.session, [NewMessage(agreement, template, f"test:{self.told}", document, data)], now=NOW)
        self.session.commit()

    def invoice(self, agreement: int, ore: int = 31_250) -> int:
        """Issue an invoice, which tells of itself; return the document."""
        claim = self.world.claim(agreement, [ore])
        due_on = dt.date(2026, 2, 16)
        [document] = issue(
            self.session, [claim], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=due_on, now=FEBRUARY
        )
        self.session.commit()
        return document

    def plan(self) -> None:
        plan(self.session, now=NOW, real=now_utc())
        self.session.commit()

    def run(self, transport: Transport | None = None) -> dict[str, int | str]:
        transport = transport or transport_of(self.settings)
        try:
            return run(self.sessions, self.settings, transport, self.renderer)
        finally:
            transport.close()

    def rows(self) -> list[Any]:
        """Return all deliveries, in order."""
        with self.sessions() as session:
            query = "SELECT d.*, m.template FROM deliveries d JOIN messages m ON m.id = d.message_id ORDER BY d.id"
            return list(session.execute(text(query)).all())

    def states(self) -> list[tuple[str, str]]:
        return [(row.template, row.state) for row in self.rows()]

    def due_now(self) -> None:
        """Let every wait of real time be over."""
        self.execute("UPDATE deliveries SET next_at = next_at - interval '10 days', called_at = called_at - "
                     "interval '10 days'")  # fmt: skip

    def execute(self, query: str, **params: Any) -> None:
        self.session.execute(text(query), params)
        self.session.commit()


@pytest.fixture
def post(engine: Engine, session: Session, sessions: SessionFactory, renderer: Renderer, tmp_path: Path) -> Post:
    return Post(session, sessions, renderer, tmp_path)
