"""Paying with Vipps as people do it: forms and links only, no script; and what the desk sees and gives back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from config.clock import move_clock
from config.database import SessionFactory
from config.settings import Settings, load
from simulator.vipps import VippsServer
from tests.integration.billing.books import Books
from tests.integration.billing.payments.vipps.payer import NOW, OLA, Payer, our_client
from tests.integration.web.desk import Browser, said, signed_in


@pytest.fixture
def vipps() -> Iterator[VippsServer]:
    """The stand-in on a free port."""
    with VippsServer() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, vipps: VippsServer) -> Settings:
    """Vipps as the stand-in is known by."""
    ids = vipps.ids
    return load(
        {
            "BRIKKE_VAR": str(tmp_path / "var"), "VIPPS_URL": vipps.url, "VIPPS_CLIENT_ID": ids.client_id,
            "VIPPS_CLIENT_SECRET": ids.client_secret, "VIPPS_SUBSCRIPTION_KEY": ids.subscription_key,
            "VIPPS_MSN": ids.msn, "VIPPS_WEBHOOK_SECRETS": ids.webhook_secret,
        },
        tmp_path / ".env",
    )  # fmt: skip


@pytest.fixture
def payer(session: Session, sessions: SessionFactory, vipps: VippsServer) -> Payer:
    """The first customer, with an invoice of 123,45 kr."""
    books = Books(session)
    invoice = books.invoice(books.agreement(), 10_000, 2_345)
    move_clock(session, NOW, running=False)
    session.commit()
    return Payer(books, sessions, vipps, our_client(vipps), invoice)


class Shopper:
    """A customer's browser at My Page, and another window at Vipps."""

    def __init__(self, app: Flask, payer: Payer, customer_id: int = 1) -> None:
        self.client = app.test_client()
        self.number = payer.books.number(payer.invoice.agreement)
        payer.books.session.commit()
        self.invoice = f"/mypage/{self.number}/invoices/{payer.invoice.number}"
        browser = signed_in(app, "customer")
        self.client = browser.client
        with self.client.session_transaction() as held:
            held["who"] = {"sub": "kari", "role": "customer", "customer_id": customer_id}

    def press(self, path: str | None = None) -> str:
        """Press the button; where the browser is sent."""
        answer = self.client.post(path or f"{self.invoice}/vipps", data={"csrf_token": "token"})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["Location"])

    def at_vipps(self, url: str, do: str) -> str:
        """Press a button on Vipps's page; the path one is sent back to."""
        page = httpx.get(url)
        assert "123,45 kr" in page.text
        back = httpx.post(url, data={"do": do}).headers["location"]
        return str(back).partition(":8000")[2]

    def read(self, path: str) -> str:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return unescape(said(answer))


@pytest.fixture
def shopper(app: Flask, payer: Payer) -> Shopper:
    """The payer, signed in."""
    return Shopper(app, payer)


def test_an_invoice_is_paid_from_my_page(shopper: Shopper, payer: Payer, vipps: VippsServer) -> None:
    page = shopper.client.get(shopper.invoice)
    assert "Betal med Vipps" in page.text
    assert f"form-action 'self' {vipps.url}" in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text
    back = shopper.at_vipps(shopper.press(), "approve")
    paid = shopper.read(back)
    assert "Takk! Betalingen er mottatt" in paid
    assert "123,45 kr" in paid
    assert shopper.read(back) == paid
    invoice = shopper.read(shopper.invoice)
    assert "Betalt med Vipps" in invoice
    assert "Betal med Vipps" not in invoice
    payer.prove()


def test_one_who_says_no_may_try_again(shopper: Shopper, payer: Payer, vipps: VippsServer) -> None:
    back = shopper.at_vipps(shopper.press(), "abort")
    assert "Ingenting er betalt Du avbrøt betalingen i Vipps." in shopper.read(back)
    again = shopper.at_vipps(shopper.press(), "approve")
    assert again != back
    assert "Takk!" in shopper.read(again)
    payer.prove()


def test_who_comes_back_undecided_sees_that_it_waits(shopper: Shopper, payer: Payer, vipps: VippsServer) -> None:
    url = shopper.press()
    assert shopper.press() == url
    back = f"/mypage/{shopper.number}/vipps/{payer.row().reference}"
    answer = shopper.client.get(back)
    assert "Vi venter på svar fra Vipps" in answer.text
    assert (answer.headers["Refresh"], url in unescape(answer.text)) == ("10", True)
    vipps.do(payer.row().reference, "expire")
    answer = shopper.client.get(back)
    assert "Betalingen ble ikke godkjent i tide." in answer.text
    assert "Refresh" not in answer.headers


def test_vipps_that_does_not_answer_is_said(shopper: Shopper, payer: Payer, vipps: VippsServer) -> None:
    vipps.fault("error", on="create", when="before")
    assert shopper.press() == shopper.invoice
    assert "Vipps svarer ikke akkurat nå" in shopper.read(shopper.invoice)
    url = shopper.press()
    vipps.fault("error", on="capture")
    back = shopper.at_vipps(url, "approve")
    assert "Vi venter på svar fra Vipps" in shopper.read(back)
    assert "Takk!" in shopper.read(back)
    payer.prove()


def test_pressed_after_it_was_paid_another_way_nothing_is_begun(shopper: Shopper, payer: Payer) -> None:
    payer.settle(12_345)
    assert shopper.press() == shopper.invoice
    assert "Det er ikke noe å betale" in shopper.read(shopper.invoice)
    assert payer.books.one("SELECT count(*) FROM vipps_payments") == 0


def test_only_the_rest_was_taken(shopper: Shopper, payer: Payer) -> None:
    url = shopper.press()
    payer.settle(10_000)
    paid = shopper.read(shopper.at_vipps(url, "approve"))
    assert "23,45 kr" in paid
    assert "Resten var alt betalt" in paid


def test_others_do_not_see_it(app: Flask, shopper: Shopper, payer: Payer) -> None:
    shopper.press()
    payer.books.agreement()
    payer.books.session.commit()
    other = Shopper(app, payer, customer_id=2)
    assert other.client.get(f"/mypage/{shopper.number}/vipps/{payer.row().reference}").status_code == 404
    assert other.client.post(f"{shopper.invoice}/vipps", data={"csrf_token": "token"}).status_code == 404
    assert shopper.client.post(f"{shopper.invoice}/vipps").status_code == 403  # no token of the form
    other_number = payer.books.one("SELECT number FROM agreements WHERE customer_id = 2")
    assert other.client.get(f"/mypage/{other_number}/vipps/{payer.row().reference}").status_code == 404


def test_without_vipps_nothing_is_offered(tmp_path: Path, engine: object, payer: Payer) -> None:
    from tests.applications import application

    bare = application(load({"BRIKKE_VAR": str(tmp_path / "var")}, tmp_path / ".env"), engine)  # type: ignore[arg-type]
    shopper = Shopper(bare, payer)
    assert "Betal med Vipps" not in shopper.read(shopper.invoice)
    assert shopper.client.post(f"{shopper.invoice}/vipps", data={"csrf_token": "token"}).status_code == 404


class TestDesk:
    """What support sees of it and does."""

    def test_the_story_and_a_refund(self, app: Flask, payer: Payer, vipps: VippsServer) -> None:
        reference = payer.pay()
        payer.overpaid(5_000)
        agent, page = signed_in(app, "agent", "nb"), f"/agreements/{payer.books.number(payer.invoice.agreement)}/vipps"
        payer.books.session.commit()
        shown = agent.text(page)
        assert "Kunden begynte å betale 123,45 kr." in shown
        assert "123,45 kr trukket." in shown
        assert "Betalt med Vipps: 123,45 kr på faktura" in agent.text(page.removesuffix("/vipps"))
        asked = {"reference": reference, "amount": "20", "reason": "feil klasse", "once": "a"}
        for wrong in ({"reason": ""}, {"amount": "x"}, {"amount": "9000"}, {"reference": "brikke-none-1"}):
            assert agent.post(page, **{**asked, **wrong, "once": str(wrong)}).status_code == 422, wrong
        for _ in range(2):
            assert agent.post(page, **asked).status_code == 303
        assert payer.books.one("SELECT sum(amount_ore) FROM vipps_refunds") == 2_000
        assert "20,00 kr betales tilbake med Vipps" in agent.text(page)
        assert "Sendes til Vipps" in agent.text("/vipps-refunds?state=approved")
        number = payer.books.one("SELECT id FROM vipps_refunds")
        payer.books.session.commit()
        assert agent.post(f"/vipps-refunds/{number}/cancel", state="approved").status_code == 303
        assert "Stanset; til gode igjen" in agent.text(page)
        payer.prove()

    def test_a_second_person(self, app: Flask, payer: Payer) -> None:
        reference = payer.pay()
        payer.overpaid(5_000)
        row = payer.ask_back(reference, 1_000, actor=OLA)
        payer.books.session.execute(
            text("UPDATE vipps_refunds SET state = 'requested', approved_at = NULL WHERE id = :id"), {"id": row.id}
        )
        payer.books.session.commit()
        assert "Vipps-tilbakebetalinger til godkjenning" in signed_in(app, "agent", "nb").text("/")
        lead: Browser = signed_in(app, "lead", "nb")
        assert "Venter på godkjenning" in lead.text("/vipps-refunds")
        assert lead.post(f"/vipps-refunds/{row.id}/approve", state="requested").status_code == 303
        assert payer.give(row) == "succeeded"

    @pytest.mark.parametrize(("role", "status"), [("accountant", 200), ("operator", 403), ("customer", 403)])
    def test_who_sees_it(self, app: Flask, payer: Payer, role: str, status: int) -> None:
        number = payer.books.number(payer.invoice.agreement)
        payer.books.session.commit()
        browser = signed_in(app, role)
        assert browser.get(f"/agreements/{number}/vipps").status_code == status
        assert browser.post(f"/agreements/{number}/vipps", reason="x").status_code == 403
        found = re.search("Betal tilbake", browser.get(f"/agreements/{number}/vipps").text)
        assert found is None
