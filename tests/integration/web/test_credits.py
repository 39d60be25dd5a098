"""Credit notes and payouts on the pages: the desk's forms, My Page, and who approves."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.passages.credit import credit
from billing.payments import payout_orders
from billing.payments.pain001 import Debtor
from config.clock import move_clock
from tests.integration.billing.books import DUE, OURS, Books
from tests.integration.web.desk import Browser, Desk, said

MARCH = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
THEIRS = "1503 00 54323"


@pytest.fixture
def desk(app: Flask, session: Session) -> Desk:
    """An agreement whose invoice of 412,50 kr is paid, and a passage of it credited since."""
    books = Books(session)
    agreement = books.agreement()
    invoice = books.invoice(agreement, 30_000, 11_250, due=DUE + dt.timedelta(days=60))
    books.pay(invoice.kid, 41_250, DUE)
    passage = books.one("SELECT id FROM passages WHERE amount_ore = 11250")
    credit(session, agreement, passage, reason="wrong class", actor="agent:kari", now=MARCH)
    move_clock(session, MARCH, running=False)
    session.commit()
    # No vehicle in this world.
    return Desk(app, session, books, agreement, books.number(agreement), invoice, None)  # type: ignore[arg-type]


def test_an_agent_credits_an_invoice_and_issues_it_anew(desk: Desk) -> None:
    agent, old = desk.browser("agent"), desk.invoice.number
    form = f"/agreements/{desk.number}/documents/{old}/reissue"
    assert "412,50 kr" in agent.text(form)
    assert agent.post(form, reason="").status_code == 422
    assert agent.post(form, reason="x" * 301).status_code == 422
    for _ in range(2):
        assert agent.post(form, reason="the wrong class").status_code == 303
    page = agent.text(f"/agreements/{desk.number}/documents")
    for words in (f"Kreditnota {old + 1} krediterer {old}", f"Faktura {old + 2} i stedet for {old}", "Kreditert"):
        assert words in page
    assert f"kreditert med kreditnota {old + 1}" in agent.text(form)
    assert desk.trail(f"agreement:{desk.number}").count(("agent", "invoice.reissue", "the wrong class")) == 1
    story = agent.text(f"/agreements/{desk.number}")
    assert f"Kreditnota {old + 1} på 412,50 kr" in story
    assert "Overført til tilgodehavende: 112,50 kr fra faktura" in story
    assert agent.post(f"/agreements/{desk.number}/documents/{old + 1}/reissue", reason="x").status_code == 422
    assert agent.post(f"/agreements/{desk.number}/documents/4711/reissue", reason="x").status_code == 404
    desk.books.prove(MARCH)


def test_what_is_below_zero_is_credited_and_paid_out(desk: Desk) -> None:
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/payouts"
    assert "−112,50 kr" in agent.text(page)
    assert agent.post(f"/agreements/{desk.number}/credit-note", reason="").status_code == 422
    assert agent.post(f"/agreements/{desk.number}/credit-note", reason="asked for").status_code == 303
    assert "Til gode: 112,50 kr" in agent.text(page)
    asked = {"account": THEIRS, "amount": "", "reason": "left us", "once": "a"}
    for wrong in ({"reason": ""}, {"account": "123"}, {"amount": "x"}, {"amount": "200"}, {"amount": "0"}):
        assert agent.post(page, **{**asked, **wrong, "once": str(wrong)}).status_code == 422, wrong
    for _ in range(2):
        assert agent.post(page, **{**asked, "amount": "50,00"}).status_code == 303
    assert desk.books.credit(desk.agreement) == 6_250
    shown = agent.text(page)
    assert "•••••••4323" in shown
    assert "15030054323" not in shown
    desk.session.commit()
    payout_orders.order(desk.session, debtor=Debtor("Brikke", OURS), now=MARCH)
    desk.session.execute(text("UPDATE payout_orders SET written_at = made_at"))
    desk.session.commit()
    outcome = f"/payouts/{desk.books.one('SELECT max(id) FROM payouts')}/outcome"
    accountant = desk.browser("accountant")
    assert accountant.post(outcome, outcome="paid", reference="").status_code == 303
    assert accountant.post(outcome, outcome="paid", reference="B1", state="ordered").status_code == 303
    assert "Utbetalt" in accountant.text("/payouts?state=all")
    assert ("accountant", "payout.paid", "B1") in desk.trail(f"agreement:{desk.number}")
    desk.books.prove(MARCH)


def test_a_lead_approves_what_somebody_else_asked_for(desk: Desk) -> None:
    desk.books.pay("", 700_000, MARCH.date() - dt.timedelta(days=1))
    payment = desk.books.one("SELECT max(id) FROM payments")
    desk.session.commit()
    lead = desk.browser("lead")
    assert (
        lead.post(f"/payments/{payment}/assign", agreement=str(desk.number), invoice="", reason="x").status_code == 303
    )
    asked = {"account": THEIRS, "amount": "6000", "reason": "left us"}
    assert lead.post(f"/agreements/{desk.number}/payouts", **asked).status_code == 303
    number = desk.books.one("SELECT max(id) FROM payouts")
    assert "Venter på godkjenning" in lead.text("/payouts")
    assert lead.post(f"/payouts/{number}/approve").status_code == 303
    state = "SELECT state FROM payouts WHERE id = :p"
    desk.session.rollback()
    assert desk.books.value(state, p=number) == "requested"  # kari asked for it
    with lead.client.session_transaction() as held:
        held["who"] = {"sub": "ola", "role": "lead"}
    assert lead.post(f"/payouts/{number}/approve").status_code == 303
    desk.session.rollback()
    assert desk.books.value(state, p=number) == "approved"
    assert lead.post(f"/payouts/{number}/cancel", state="approved").status_code == 303
    desk.session.rollback()
    assert desk.books.value(state, p=number) == "cancelled"
    desk.books.prove(MARCH)


def _customer(desk: Desk) -> Browser:
    browser = desk.browser("customer")
    with browser.client.session_transaction() as held:
        owner = desk.books.one("SELECT customer_id FROM agreements WHERE id = :a", a=desk.agreement)
        held["who"] = {"sub": f"customer-{owner}", "role": "customer", "customer_id": owner}
    return browser


def test_a_customer_sees_both_sides_and_asks_for_the_money(desk: Desk) -> None:
    old = desk.invoice.number
    desk.browser("agent").post(f"/agreements/{desk.number}/documents/{old}/reissue", reason="the wrong class")
    customer = _customer(desk)

    def page(path: str) -> str:
        answer = customer.client.get(f"/mypage/{desk.number}{path}")
        assert answer.status_code == 200, answer.text
        return said(answer)

    assert f"Kreditert med kreditnota {old + 1}" in page(f"/invoices/{old}")
    assert f"Krediterer {old}" in page(f"/invoices/{old + 1}")
    new = page(f"/invoices/{old + 2}")
    assert f"Kommer i stedet for {old}" in new
    assert f"Korreksjon av 15.01.2026, S1, faktura {old}" in new
    assert "Du har 112,50 kr til gode" in page("")
    where = f"/mypage/{desk.number}/payout"
    for fields in ({"account": "1"}, {"account": THEIRS, "amount": "500"}, {"account": THEIRS, "amount": "-1"}):
        assert customer.client.post(where, data={"csrf_token": "token", **fields}).status_code == 422
    asked = {"csrf_token": "token", "account": THEIRS, "amount": "", "once": "b"}
    for _ in range(2):
        assert customer.client.post(where, data=asked).status_code == 303
    assert "•••••••4323" in page("/payout")
    assert desk.books.one("SELECT count(*) FROM payouts") == 1
    desk.books.prove(MARCH)
    desk.session.execute(text("UPDATE agreements SET customer_id = customer_id"))


@pytest.mark.parametrize(
    ("typed", "ore"),
    [("100", 10_000), ("1 234,50", 123_450), ("0,5", 50), ("12.05", 1_205), ("", None), ("1,234", None), ("x", None)],
)
def test_sums_as_people_type_them(typed: str, ore: int | None) -> None:
    from web.mypage.payouts import ore_of

    assert ore_of(typed) == ore
