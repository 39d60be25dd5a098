"""What tests of pages share: reading a page as people do, sending its forms, choosing a person."""

from __future__ import annotations

import re
from html import unescape

from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from accounts.vehicles.models import Registration
from tests.browser.world import Person


def read(answer: TestResponse) -> str:
    """Return a page as one reads it: no tags, single spaces."""
    body = re.sub(r"<(style|script|svg).*?</\1>", " ", answer.get_data(as_text=True), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).replace("\xa0", " ").split())


def post(client: FlaskClient, path: str, page: str | None = None, **fields: object) -> TestResponse:
    """Send a form with the token of the page it stands on."""
    form = client.get(page or path).get_data(as_text=True)
    found = re.search(r'name="csrf_token" value="([^"]+)"', form)
    assert found, form
    return client.post(path, data={"csrf_token": found[1], **fields})


def sign_in(client: FlaskClient, person: Person) -> None:
    """Choose a person."""
    assert post(client, "/signin", customer=person.customer_number).status_code == 303


def count(session: Session, model: type[Customer | Agreement | Registration]) -> int:
    """Return how many rows there are."""
    return session.scalars(select(func.count()).select_from(model)).one()
