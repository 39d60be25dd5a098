"""Refunds to cards on the desk: one form credits and refunds, a second person approves, disputes are seen first."""

from __future__ import annotations

import datetime as dt

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from billing.cards.models import Charge
from config.clock import move_clock
from tests.integration.billing.books import Books
from tests.integration.billing.cards.payer import NOW, CardPayer
from tests.integration.web.desk import Desk, said


@pytest.fixture
def payer(session: Session) -> CardPayer:
    """A business card's payment of 3 057 kr and its fee."""
    made = CardPayer(Books(session), "commercial")
    made.paid(300_000, 5_000, 700)
    move_clock(session, NOW, running=False)
    session.commit()
    return made


@pytest.fixture
def desk(app: Flask, session: Session, payer: CardPayer) -> Desk:
    """The desk in that world, which has no vehicle and no invoice."""
    books = payer.books
    return Desk(app, session, books, payer.agreement, books.number(payer.agreement), None, None)  # type: ignore[arg-type]


def the_charge(desk: Desk) -> str:
    """The one charge, as a form names it."""
    return str(desk.books.one("SELECT id FROM charges"))


def test_an_agent_credits_and_refunds_in_one_form(desk: Desk, payer: CardPayer) -> None:
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/refunds"
    assert "50,00 kr" in agent.text(page)
    asked = {
        "act": "passages",
        "charge": the_charge(desk),
        "passage": str(payer.passages[1]),
        "reason": "wrong class",
        "once": "a",
    }
    for wrong in ({"reason": ""}, {"passage": ""}, {"passage": "x"}, {"passage": "4711"}, {"reason": "x" * 301}):
        assert agent.post(page, **{**asked, **wrong, "once": str(wrong)}).status_code == 422, wrong
    for _ in range(2):
        answer = agent.post(page, **asked)
        assert answer.status_code == 303, answer.text
    assert desk.books.one("SELECT sum(amount_ore) FROM card_refunds") == 5_101
    shown = agent.text(page)
    assert "51,01 kr betales tilbake til kortet" in shown
    assert "er tilbakeført" in shown
    assert agent.post(page, **{**asked, "once": "b"}).status_code == 422, "it is given back already"
    assert desk.trail(f"agreement:{desk.number}").count(("agent", "card_refund.request", "wrong class")) == 1
    story = agent.text(f"/agreements/{desk.number}")
    assert "51,01 kr satt av til å betales tilbake til kortet" in story
    desk.books.prove(NOW)


def test_what_is_stopped_is_credit_and_can_be_asked_for_again(desk: Desk, payer: CardPayer) -> None:
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/refunds"
    asked = {
        "act": "passages",
        "charge": the_charge(desk),
        "passage": str(payer.passages[1]),
        "reason": "x",
        "once": "a",
    }
    assert agent.post(page, **asked).status_code == 303
    number = desk.books.one("SELECT max(id) FROM card_refunds")
    assert "Sendes til kortløsningen" in agent.text("/card-refunds?state=approved")
    assert agent.post(f"/card-refunds/{number}/cancel", state="approved").status_code == 303
    assert "Til gode: 51,01 kr" in agent.text(page)
    of_credit = {"act": "credit", "charge": the_charge(desk), "amount": "60", "reason": "x", "once": "c"}
    refused = agent.post(page, **of_credit)
    assert (refused.status_code, "Det er 51,01 kr til gode" in said(refused)) == (422, True)
    assert agent.post(page, **{**of_credit, "amount": "x"}).status_code == 422
    assert agent.post(page, **{**of_credit, "amount": "51,01", "once": "d"}).status_code == 303
    desk.session.rollback()
    desk.books.prove(NOW)


def test_a_second_person_approves(desk: Desk, payer: CardPayer) -> None:
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/refunds"
    asked = {"act": "passages", "charge": the_charge(desk), "passage": str(payer.passages[0]), "reason": "x"}
    assert agent.post(page, **asked, once="a").status_code == 303
    number = desk.books.one("SELECT max(id) FROM card_refunds")
    assert "1 tilbakebetalinger til godkjenning" in agent.text("/")
    assert "Venter på godkjenning" in agent.text("/card-refunds")
    assert agent.post(f"/card-refunds/{number}/approve").status_code == 303
    assert "Den som ba om den, kan ikke godkjenne den" in agent.text("/card-refunds")
    with agent.client.session_transaction() as held:
        held["who"] = {"sub": "ola", "role": "agent"}
    assert agent.post(f"/card-refunds/{number}/approve").status_code == 303
    desk.session.rollback()
    assert desk.books.value("SELECT approved_by FROM card_refunds") == "agent:ola"


def test_disputes_are_seen_first_with_the_day_to_answer_by(desk: Desk, payer: CardPayer) -> None:
    payer.dispute(desk.session.query(Charge).one(), "open", 1_000)
    desk.session.commit()
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/refunds"
    assert "1 kortbetalinger banken bestrider" in agent.text("/")
    assert "fraudulent" in agent.text("/card-disputes")
    assert "svar innen" in agent.text(page)
    assert "Banken bestrider betalingen" in agent.text(page)
    asked = {"act": "passages", "charge": the_charge(desk), "passage": str(payer.passages[1]), "reason": "x"}
    refused = agent.post(page, **asked, once="a")
    assert (refused.status_code, "bestrider" in said(refused)) == (422, True)
    payer.dispute(desk.session.query(Charge).one(), "lost", 1_000)
    desk.session.commit()
    assert "Ingen her" in agent.text("/card-disputes")
    assert "Tapt" in agent.text("/card-disputes?state=all")


@pytest.mark.parametrize("role", ["operator", "customer"])
def test_others_see_nothing(desk: Desk, role: str) -> None:
    browser = desk.browser(role)
    for path in (f"/agreements/{desk.number}/refunds", "/card-refunds", "/card-disputes"):
        assert browser.get(path).status_code in (302, 303, 403)


def test_an_accountant_reads_and_does_nothing(desk: Desk, payer: CardPayer) -> None:
    accountant, page = desk.browser("accountant"), f"/agreements/{desk.number}/refunds"
    assert accountant.get(page).status_code == 200
    asked = {
        "act": "passages",
        "charge": the_charge(desk),
        "passage": str(payer.passages[1]),
        "reason": "x",
        "once": "a",
    }
    assert accountant.post(page, **asked).status_code == 403
    assert accountant.post("/card-refunds/1/approve").status_code == 403


def test_the_charge_that_is_asked_for_is_refunded_however_old(desk: Desk, payer: CardPayer) -> None:
    first = payer.passages[1]
    for week in range(1, 14):
        payer.paid(20_000, now=NOW + dt.timedelta(days=7 * week))
    oldest, newest = (desk.books.one(f"SELECT {which}(id) FROM charges") for which in ("min", "max"))
    move_clock(desk.session, NOW + dt.timedelta(days=7 * 13), running=False)
    desk.session.commit()
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/refunds"
    shown = agent.get(f"{page}?charge={oldest}").text
    assert f'value="{oldest}"' in shown
    assert f'value="{newest}"' not in shown
    asked = {"act": "passages", "passage": str(first), "reason": "x"}
    for number, charge in enumerate(("4711", "x", "9" * 30)):
        assert agent.get(f"{page}?charge={charge}").status_code == 404
        assert agent.post(page, **asked, charge=charge, once=f"n{number}").status_code == 404
    assert agent.post(page, **asked, once="none").status_code == 422, "a form that names none gives nothing back"
    assert agent.post(page, **asked, charge=str(oldest), once="a").status_code == 303
    desk.session.rollback()
    assert desk.books.one("SELECT charge_id FROM card_refunds") == oldest


def test_a_charge_of_another_agreement_is_not_refunded_on_this_ones_page(desk: Desk, payer: CardPayer) -> None:
    other = CardPayer(payer.books)
    charge = other.paid(20_000)
    desk.session.commit()
    agent, page = desk.browser("agent"), f"/agreements/{desk.number}/refunds"
    assert agent.get(f"{page}?charge={charge.id}").status_code == 404
    asked = {"act": "passages", "passage": str(other.passages[0]), "reason": "x", "once": "a"}
    assert agent.post(page, **asked, charge=str(charge.id)).status_code == 404
    desk.session.rollback()
    assert desk.books.one("SELECT count(*) FROM card_refunds") == 0
