"""What tests of the support desk share: somebody signed in, a browser, pages as one reads them, a blocked agreement."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from accounts.vehicles.models import Registration
from accounts.vehicles.register import register
from billing.collection import overdue
from config.clock import business_date, move_clock
from tests.integration.billing.books import DUE, JANUARY, Books, Invoice, noon

MARCH = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class Browser:
    """A client that sends the form's token."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str) -> TestResponse:
        """Load a page."""
        return self.client.get(f"/support{path}")

    def post(self, path: str, **fields: str) -> TestResponse:
        """Send a form."""
        return self.client.post(f"/support{path}", data={"csrf_token": "token", **fields})

    def text(self, path: str) -> str:
        """What a page says, without its tags."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return said(answer)


def said(answer: TestResponse) -> str:
    """What an answer says, without tags, blanks as one."""
    bare = re.sub(r"<[^>]+>", " ", answer.text).replace("&#34;", '"').replace("\u00a0", " ")
    return " ".join(bare.split())


def signed_in(app: Flask, role: str, language: str | None = None) -> Browser:
    """A browser in which somebody of this role is signed in; a language only where somebody chose it."""
    client, since = app.test_client(), int(dt.datetime.now(dt.UTC).timestamp())
    with client.session_transaction() as held:
        who: dict[str, object] = {"sub": "kari", "role": role}
        if role == "customer":
            who["customer_id"] = 1
        held.update({"who": who, "since": since, "seen": since, "csrf": "token"})
        if language is not None:
            held["language"] = language
    return Browser(client)


Signed = Callable[..., Browser]


@pytest.fixture
def signed(app: Flask) -> Signed:
    """Browsers, with somebody of a role signed in, who chose Norwegian or the language given."""

    def browser(role: str, language: str = "nb") -> Browser:
        return signed_in(app, role, language)

    return browser


@dataclass
class Desk:
    """A blocked agreement with one invoice of 412,50 kr, a day in March, and browsers."""

    app: Flask
    session: Session
    books: Books
    agreement: int
    number: int
    invoice: Invoice
    car: Registration

    def browser(self, role: str) -> Browser:
        """A browser in which somebody of this role is signed in."""
        return signed_in(self.app, role)

    def trail(self, subject: str) -> list[tuple[str, str, str | None]]:
        """What the trail says of a subject: role, action, reason."""
        self.session.rollback()
        rows = self.session.execute(
            text("SELECT role, action, reason FROM audit_trail WHERE subject = :s ORDER BY id"), {"s": subject}
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def pay(self, ore: int, kid: str) -> None:
        """A payment in the bank's file of today."""
        self.books.pay(kid, ore, business_date(MARCH), read_on=business_date(MARCH))
        self.session.commit()


@pytest.fixture
def world(app: Flask, session: Session) -> Desk:
    books = Books(session)
    agreement = books.agreement()
    car = register(
        session, agreement, "NO", "EK12345", valid_from=JANUARY - 10 * DAY, now=JANUARY - 10 * DAY, actor="test"
    ).registration
    invoice = books.invoice(agreement, 30000, 11250)
    found = overdue.find_reach(session, ["15030012345"], DUE + 10 * DAY)
    overdue.step(session, found, 0, DUE + 10 * DAY, noon(DUE + 10 * DAY))
    assert books.standing(agreement) == "blocked"
    move_clock(session, MARCH, running=False)
    session.commit()
    return Desk(app, session, books, agreement, books.number(agreement), invoice, car)
