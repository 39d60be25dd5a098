"""Invoices and runs over HTTP."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any

import pypdf
import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices.issue import issue
from billing.invoices.models import RunFault
from billing.invoices.run import job_unfinished
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.invoices.world import FEBRUARY, SELLER, World
from tests.integration.conftest import Bearer


@pytest.fixture
def customers(session: Session, world: World) -> list[int]:
    """Two customers with an invoice each: numbers 100000001 (toll and ferry) and 100000002."""
    claims = []
    for _ in range(2):
        agreement = world.agreement()
        claims.append(world.claim(agreement, [22_400], service="ferry", vat_bp=1200))
        world.passage(agreement, 3_100, claim=claims[-1])
    session.execute(text("UPDATE claims SET passages_ore = passages_ore + 3100, passages_count = 2"))
    issue(session, claims, seller=SELLER, issued_on=dt.date(2026, 2, 1), due_on=dt.date(2026, 2, 16), now=FEBRUARY)
    move_clock(session, FEBRUARY, running=False)
    session.commit()
    return list(session.scalars(text("SELECT id FROM customers ORDER BY id")))


def test_a_customer_sees_own_invoices_and_nobody_elses(
    session: Session, customers: list[int], client: FlaskClient, bearer: Bearer
) -> None:
    own, other = session.scalars(text("SELECT number FROM agreements ORDER BY id")).all()
    me = bearer("customer", customer_id=customers[0])
    listed: Any = client.get(f"/v1/agreements/{own}/invoices", headers=me).json
    assert [row["number"] for row in listed["items"]] == [100_000_001]
    assert (listed["items"][0]["open_ore"], listed["items"][0]["due_on"]) == (25_500, "2026-02-16")
    for path in (f"/v1/agreements/{other}/invoices", "/v1/invoices/100000002", "/v1/invoices/100000002.pdf"):
        assert client.get(path, headers=me).status_code == 404
    assert client.get("/v1/invoices/100000001").status_code == 401
    assert client.get("/v1/invoices/100000001", headers=bearer("charger", charger="FJELL")).status_code == 403


def test_an_invoice_shows_lines_vat_and_how_to_pay(customers: list[int], client: FlaskClient, bearer: Bearer) -> None:
    shown: Any = client.get("/v1/invoices/100000001", headers=bearer("agent")).json
    assert shown["kid"].endswith("100000001" + shown["kid"][-1])
    assert shown["account"] == SELLER["account"]
    assert [(row["kind"], row["gross_ore"]) for row in shown["lines"]] == [("toll", 3_100), ("ferry", 22_400)]
    assert shown["vat"] == [
        {"rate_bp": 0, "gross_ore": 3_100, "net_ore": 3_100, "vat_ore": 0},
        {"rate_bp": 1200, "gross_ore": 22_400, "net_ore": 20_000, "vat_ore": 2_400},
    ]


def test_the_pdf_is_the_same_bytes_every_time(
    session: Session, customers: list[int], client: FlaskClient, bearer: Bearer
) -> None:
    me = bearer("customer", customer_id=customers[1])
    first = client.get("/v1/invoices/100000002.pdf", headers=me)
    assert (first.status_code, first.content_type) == (200, "application/pdf")
    assert first.data.startswith(b"%PDF-")
    assert client.get("/v1/invoices/100000002.pdf", headers=me).data == first.data


def test_a_copy_is_asked_for_in_a_form(
    session: Session, customers: list[int], client: FlaskClient, bearer: Bearer
) -> None:
    def text_of(query: str, **role: Any) -> str:
        answer = client.get(f"/v1/invoices/100000002.pdf{query}", headers=bearer(**role))
        assert answer.status_code == 200
        return " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(answer.data)).pages)

    me: dict[str, Any] = {"role": "customer", "customer_id": customers[1]}
    assert "Betalingsinformasjon" in text_of("", **me)
    short = text_of("?form=avtalegiro&details=false", **me)
    assert "Trekkes med AvtaleGiro" in short
    assert "Gamle Bro" not in short
    assert text_of("?form=avtalegiro&details=false", role="agent") == short
    assert set(session.scalars(text("SELECT form FROM renderings"))) == {"transfer", "avtalegiro-short"}
    wrong = client.get("/v1/invoices/100000002.pdf?form=cheque", headers=bearer("agent"))
    assert wrong.status_code == 422


def test_an_operator_starts_a_run_once(
    session: Session,
    sessions: SessionFactory,
    settings: Settings,
    world: World,
    client: FlaskClient,
    bearer: Bearer,
) -> None:
    world.passage(world.agreement(), 6_000)
    move_clock(session, FEBRUARY, running=False)
    session.commit()
    key = {"Idempotency-Key": "a"}
    what = {"date": "2026-02-01"}
    assert client.post("/v1/runs", json=what, headers={**bearer("agent"), **key}).status_code == 403
    assert client.post("/v1/runs", json=what, headers=bearer("operator")).status_code == 428
    ahead = client.post("/v1/runs", json={"date": "2026-02-02"}, headers={**bearer("operator"), **key})
    assert ahead.status_code == 422
    started: Any = client.post("/v1/runs", json=what, headers={**bearer("operator"), **key})
    assert (started.status_code, started.json["state"]) == (202, "running")
    repeat: Any = client.post("/v1/runs", json=what, headers={**bearer("operator"), "Idempotency-Key": "b"})
    assert repeat.json["id"] == started.json["id"]
    bell = session.execute(
        text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'invoice_runs'")
    ).scalar_one()
    assert bell == 1

    job_unfinished(JobContext(sessions, settings, "invoice_runs"), FEBRUARY)
    session.add(RunFault(run_id=started.json["id"], agreement_id=9, error="x", first_at=FEBRUARY, last_at=FEBRUARY))
    session.commit()
    shown: Any = client.get(f"/v1/runs/{started.json['id']}", headers=bearer("accountant")).json
    assert (shown["state"], shown["created"], shown["sum_ore"], shown["failed"]) == ("done", 1, 6_000, 1)
    listed: Any = client.get("/v1/runs", headers=bearer("operator")).json
    assert listed["items"] == [shown]
    assert client.get("/v1/runs/404", headers=bearer("operator")).status_code == 404
