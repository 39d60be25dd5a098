"""The page a bank opens: for whom has the address, for sixteen months, and for nobody else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

import web.efaktura
from accounts.access import tokens as access_tokens
from billing.delivery import tokens
from billing.delivery.efaktura import page
from billing.delivery.efaktura.channel import from_settings
from billing.delivery.port import Form
from billing.invoices.issue import issue
from config.clock import now_utc
from config.settings import Settings, load
from simulator.efaktura import HubServer
from tests.integration.billing.invoices.world import FEBRUARY, SELLER, World
from tests.unit.billing.delivery.efaktura.made import parcel

NOW = dt.datetime(2026, 10, 31, 22, 30, tzinfo=dt.UTC)  # in Oslo it is 23:30


@pytest.fixture
def documents(session: Session) -> list[int]:
    """Two invoices of two people, rendered: the page of each says whose."""
    world = World(session)
    made = []
    for ore in (31_250, 4_000):
        claim = world.claim(world.agreement(), [ore])
        made += issue(
            session, [claim], seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY
        )
    for document in made:
        keep(session, document, "transfer")
    return made


def keep(session: Session, document: int, form: str) -> None:
    """Keep a page as rendered, so that it need not be."""
    session.execute(
        text(
            "INSERT INTO renderings (document_id, template, form, sha256, pdf, made_at) "
            "VALUES (:id, 1, :form, '\\x00', convert_to(:pdf, 'utf8'), :at)"
        ),
        {"id": document, "form": form, "pdf": f"%PDF {document} {form}", "at": FEBRUARY},
    )
    session.commit()


def path(settings: Settings, document: int, form: Form = "transfer", made: dt.datetime | None = None) -> str:
    return urlsplit(page.address(settings, document, form, made or now_utc())).path


def refused(answer: TestResponse, status: int) -> None:
    assert answer.status_code == status
    assert answer.content_type.startswith("text/html")
    says = {404: ("Vi fant ikke dokumentet", "We did not find"), 410: ("vises ikke lenger", "no longer shown")}[status]
    assert all(words in answer.text for words in says)
    private(answer)


def private(answer: TestResponse) -> None:
    assert answer.headers["Cache-Control"] == "no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers


def test_the_page_shows_the_document_it_names(
    client: FlaskClient, settings: Settings, session: Session, documents: list[int]
) -> None:
    numbers = session.execute(text("SELECT number FROM documents ORDER BY id")).scalars().all()
    for document, number in zip(documents, numbers, strict=True):
        answer = client.get(path(settings, document))
        assert answer.status_code == 200
        assert answer.data == f"%PDF {document} transfer".encode()
        assert answer.content_type == "application/pdf"
        assert answer.headers["Content-Disposition"] == f'inline; filename="brikke-{number}.pdf"'
        private(answer)


def test_it_is_drawn_where_nothing_is_kept(
    client: FlaskClient, settings: Settings, session: Session, documents: list[int]
) -> None:
    session.execute(text("DELETE FROM renderings"))
    session.commit()
    assert client.get(path(settings, documents[0])).data.startswith(b"%PDF-1")
    assert session.execute(text("SELECT document_id, form FROM renderings")).all() == [(documents[0], "transfer")]


def test_beside_avtalegiro_and_without_details(
    client: FlaskClient, settings: Settings, session: Session, documents: list[int]
) -> None:
    """What AvtaleGiro pays has no slip; who wants no passages on copies has none here."""
    session.execute(text("UPDATE customers SET details_in_copy = false"))
    keep(session, documents[0], "avtalegiro-short")
    answer = client.get(path(settings, documents[0], "avtalegiro"))
    assert answer.data == f"%PDF {documents[0]} avtalegiro-short".encode()


@pytest.mark.parametrize(
    "token",
    ["x", "a.b.c", "%00", "é" * 20, "e30.e30.e30", "x" * 5000, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."],
)
def test_no_token(client: FlaskClient, token: str) -> None:
    answer = client.get(f"/efaktura/{token}")
    assert answer.status_code == 404
    if token != "%00":
        refused(answer, 404)


def test_every_changed_character_spoils_it(client: FlaskClient, settings: Settings, documents: list[int]) -> None:
    right = path(settings, documents[0])
    for place in range(len("/efaktura/"), len(right), 7):
        other = "A" if right[place] != "A" else "B"
        refused(client.get(right[:place] + other + right[place + 1 :]), 404)
    refused(client.get(right[:-3]), 404)


def test_a_part_of_another_documents_token(client: FlaskClient, settings: Settings, documents: list[int]) -> None:
    mine, theirs = (path(settings, document).split(".") for document in documents)
    refused(client.get(".".join([mine[0], theirs[1], mine[2]])), 404)
    refused(client.get(".".join([mine[0], mine[1], theirs[2]])), 404)


def test_what_was_signed_for_something_else(
    client: FlaskClient, settings: Settings, documents: list[int], tmp_path: Path
) -> None:
    mail = tokens.sign(settings, "mail", documents[0], 30, real=now_utc())
    refused(client.get(f"/efaktura/{mail}"), 404)
    refused(client.get(f"/efaktura/{access_tokens.issue(settings, 'lead')}"), 404)
    other = load({"BRIKKE_VAR": str(tmp_path / "other")}, tmp_path / ".env")
    refused(client.get(path(other, documents[0])), 404)
    # Nor is ours good for anything else.
    ours = path(settings, documents[0]).removeprefix("/efaktura/")
    assert client.get(f"/d/{ours}").status_code == 404
    assert client.get("/v1/invoices", headers={"Authorization": f"Bearer {ours}"}).status_code in (401, 404)


def test_a_document_that_is_not_there(client: FlaskClient, settings: Settings, documents: list[int]) -> None:
    refused(client.get(path(settings, max(documents) + 1)), 404)


@pytest.mark.parametrize(
    ("after", "status"),
    [(dt.timedelta(), 200), (dt.timedelta(days=486), 200), (dt.timedelta(days=486, seconds=1), 410)],
)
def test_sixteen_months(
    client: FlaskClient,
    settings: Settings,
    documents: list[int],
    monkeypatch: pytest.MonkeyPatch,
    after: dt.timedelta,
    status: int,
) -> None:
    """Made on 31 October 2026, it opens until the end of February 2028, which is 486 days later."""
    monkeypatch.setattr(web.efaktura, "now_utc", lambda: NOW + after - dt.timedelta(microseconds=1))
    answer = client.get(path(settings, documents[0], made=NOW))
    assert answer.status_code == status
    if status == 410:
        refused(answer, 410)


def test_only_looking_is_allowed(client: FlaskClient, settings: Settings, documents: list[int]) -> None:
    assert client.head(path(settings, documents[0])).status_code == 200
    assert client.post(path(settings, documents[0])).status_code in (403, 405)


def test_the_address_that_is_sent_opens_it(
    client: FlaskClient, settings: Settings, documents: list[int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the settings to the bank: what the hub was told opens the document."""
    with HubServer() as hub:
        hub.consumer("100000001")
        told = {
            "EFAKTURA_URL": hub.url,
            "EFAKTURA_USER": hub.user,
            "EFAKTURA_PASSWORD": hub.password,
            "EFAKTURA_ISSUER": hub.issuer,
            "BRIKKE_URL": "https://min.example.no",
            "BRIKKE_VAR": str(settings.var),
        }
        for name, cost in (("efaktura", 250), ("vipps", 250)):
            channel = from_settings(load(told, tmp_path / ".env"), name)  # type: ignore[arg-type]  # a Literal
            given = parcel(1 if name == "efaktura" else 2, bill_document_id=documents[0])
            outcome = channel.hand_over([given])[given.delivery_id]
            assert (channel.name, getattr(outcome, "cost_ore", None)) == (name, cost)
        [first, _] = hub.hub.transactions.values()
    assert first.url.startswith("https://min.example.no/efaktura/")
    assert client.get(urlsplit(first.url).path).data == f"%PDF {documents[0]} transfer".encode()
    assert urlsplit(first.url).path.rsplit("/", 1)[1] not in "".join(capfd.readouterr())


def test_without_an_address_of_the_hub_it_is_off(settings: Settings) -> None:
    assert from_settings(settings, "vipps").ask([]) == {}
    assert from_settings(settings)._hub is None
