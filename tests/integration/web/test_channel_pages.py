"""How one gets invoices, as pages: chosen by the customer and by support, without script, in both languages."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.customers.models import CHOICES
from billing.delivery import choosing
from billing.delivery.channels import Channels
from billing.delivery.port import No, Reader, Unsure, Verdict, Yes
from config.clock import move_clock
from config.settings import Settings, load
from tests.integration.billing.books import Books
from tests.integration.web.desk import MARCH, Browser, said, signed_in
from web import channels


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """e-Boks is in use, the others are not."""
    return load(
        {
            "BRIKKE_VAR": str(tmp_path / "var"),
            "DEMO": "true",
            "EBOKS_URL": "http://127.0.0.1:9/eboks",
            "EBOKS_KEY": "k",
        },
        tmp_path / ".env",
    )


class Eboks:
    name = "eboks"
    verdict: Verdict = Yes("there")

    def look_up(self, readers: Sequence[Reader], today: dt.date) -> Mapping[int, Verdict]:
        return {one.agreement_id: self.verdict for one in readers}


class Town:
    """A customer who may choose, on My Page and through support."""

    def __init__(self, app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app, self.session = app, session
        self.books = Books(session)
        self.agreement = self.books.agreement()
        self.number = self.books.number(self.agreement)
        self.eboks = Eboks()
        monkeypatch.setattr(choosing, "channels_of", lambda settings: Channels({"eboks": self.eboks}, {}))
        move_clock(session, MARCH, running=False)
        session.commit()

    def customer(self) -> Any:
        self.session.rollback()
        return self.session.execute(
            text("SELECT k.* FROM customers k JOIN agreements a ON a.customer_id = k.id WHERE a.id = :id"),
            {"id": self.agreement},
        ).one()

    def kari(self, language: str = "nb") -> Browser:
        browser = signed_in(self.app, "customer", language)
        with browser.client.session_transaction() as held:
            held["who"]["customer_id"] = self.customer().id
        return browser

    def mandate(self) -> None:
        self.session.execute(
            text("INSERT INTO mandates (agreement_id, kid, customer_part, structure, notice, since, changed_at) "
                 "VALUES (:a, '10000001', '1', 'ours', true, :now, :now)"), {"a": self.agreement, "now": MARCH},
        )  # fmt: skip
        self.session.execute(text("UPDATE customers SET channel = 'avtalegiro'"))
        self.session.commit()


@pytest.fixture
def town(app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch) -> Town:
    return Town(app, session, monkeypatch)


PAGE = "/mypage/invoices-by"


def _fields(body: str) -> dict[str, str]:
    """Return what the first form of a page would send as it stands."""
    form = body[body.index('name="version"') - 400 :]
    found = {"version": re.search(r'name="version" value="(\d+)"', form)[1]}  # type: ignore[index]
    for field in ("channel", "details"):
        checked = re.search(rf'name="{field}" value="([^"]+)" checked', form)
        if checked:
            found[field] = checked[1]
    return found


def _post(browser: Browser, path: str, **fields: str) -> Any:
    return browser.client.post(path, data={"csrf_token": "token", **fields})


def test_the_customer_chooses_among_what_is_in_use(town: Town) -> None:
    browser = town.kari()
    page = browser.client.get(PAGE)
    body = unescape(said(page))
    assert "Slik får du fakturaene" in body
    assert "E-post Fakturaen kommer som PDF til e-postadressen" in body
    assert "e-Boks" in body
    assert "E-posten med faktura slutter." in body
    assert 'value="digipost"' not in page.text
    assert 'value="avtalegiro"' not in page.text
    assert "setter du opp AvtaleGiro i nettbanken din" in body
    assert "<script" not in page.text
    fields = _fields(page.text)
    assert fields == {"version": "1", "channel": "email", "details": "yes"}
    answer = _post(browser, PAGE, **(fields | {"channel": "eboks", "details": "no"}))
    assert (answer.status_code, answer.headers["Location"]) == (303, PAGE)
    assert "Lagret." in said(browser.client.get(PAGE))
    row = town.customer()
    assert (row.channel, row.details_in_copy, row.version) == ("eboks", False, 2)
    assert "e-Boks" in said(browser.client.get(f"/mypage/{town.number}"))
    stale = _post(browser, PAGE, **(fields | {"channel": "best_digital"}))
    assert stale.status_code == 422
    assert "endret et annet sted" in said(stale)
    assert _fields(stale.text) == {"version": "2", "channel": "best_digital", "details": "yes"}
    assert town.customer().channel == "eboks"


@pytest.mark.parametrize(("language", "why"), [
    ("nb", "e-Boks når ikke fram nå: kunden har ingen postkasse der."),
    ("en", "e-Boks does not get there now: the customer has no mailbox there."),
])  # fmt: skip
def test_a_way_that_does_not_get_there_is_told_of_and_may_be_chosen_anyway(town: Town, language: str, why: str) -> None:
    browser = town.kari(language)
    town.eboks.verdict = No("no_mailbox")
    fields = {"version": "1", "channel": "eboks", "details": "yes"}
    refused = _post(browser, PAGE, **fields)
    assert refused.status_code == 422
    assert why in unescape(said(refused))
    assert 'name="anyway"' in refused.text
    assert town.customer().channel == "email"
    assert _post(browser, PAGE, **_fields(refused.text), anyway="yes").status_code == 303
    assert town.customer().channel == "eboks"


def test_no_answer_is_told_of(town: Town) -> None:
    browser = town.kari()
    town.eboks.verdict = Unsure("timeout")
    assert _post(browser, PAGE, version="1", channel="eboks", details="yes").status_code == 303
    assert "e-Boks svarte ikke akkurat nå" in said(browser.client.get(PAGE))


@pytest.mark.parametrize("channel", ["", "fax", "avtalegiro", "ehf", "e\x00"])
def test_garbage_changes_nothing(town: Town, channel: str) -> None:
    browser = town.kari()
    for version in ("1", "x", "", "9" * 30):
        answer = _post(browser, PAGE, version=version, channel=channel, details="?")
        assert answer.status_code == 422
    assert town.customer().version == 1


def test_while_avtalegiro_pays_only_efaktura_beside_is_chosen(town: Town) -> None:
    town.mandate()
    browser = town.kari()
    page = browser.client.get(PAGE)
    assert "AvtaleGiro betaler fakturaene" in said(page)
    assert "Betaleren får varsel før hvert trekk." in said(page)
    assert 'name="channel"' not in page.text
    assert _post(browser, PAGE, version="1", beside="yes", details="yes").status_code == 303
    assert (town.customer().channel, town.customer().efaktura_beside) == ("avtalegiro", True)
    refused = _post(browser, PAGE, version="2", channel="email", details="yes")
    assert (refused.status_code, town.customer().channel) == (422, "avtalegiro")
    assert "avsluttes i nettbanken først" in said(refused)


def test_the_national_id_is_kept_and_never_shown(town: Town) -> None:
    browser = town.kari()
    page = "/mypage/national-id"
    assert "Fødselsnummer" in said(browser.client.get(PAGE))
    wrong = _post(browser, page, national_id="12345678901")
    assert wrong.status_code == 422
    assert "12345678901" not in wrong.text
    assert _post(browser, page, national_id="15108695088").status_code == 303
    assert "Vi har fødselsnummeret ditt." in said(browser.client.get(PAGE))
    assert "15108695088" not in browser.client.get(PAGE).text
    assert _post(browser, page, forget="yes").status_code == 303
    assert town.customer().national_id is None


def test_support_changes_it_and_the_time_to_pay(town: Town) -> None:
    agent = signed_in(town.app, "agent", "nb")
    path = f"/agreements/{town.number}"
    assert "Fakturaer på E-post" in agent.text(path)
    assert "Betalingsfrist 14 dager" in agent.text(path)
    assert "Verken vi eller andre kan gjøre det for dem." in agent.text(f"{path}/channel")
    assert agent.post(f"{path}/channel", version="1", channel="eboks", details="yes").status_code == 303
    assert agent.post(f"{path}/payment-term", version="2", days="30").status_code == 303
    assert "Fakturaer på e-Boks" in agent.text(path)
    assert "Betalingsfrist 30 dager, avtalt" in agent.text(path)
    for days in ("13", "61", "x", "9" * 40):
        refused = agent.post(f"{path}/payment-term", version="3", days=days)
        assert (refused.status_code, town.customer().payment_term_days) == (422, 30)
        assert "Skriv 14 til 60 dager" in said(refused)
    assert agent.post(f"{path}/payment-term", version="2", days="").status_code == 422
    assert agent.post(f"{path}/payment-term", version="3", days="").status_code == 303
    assert town.customer().payment_term_days is None
    for role in ("accountant", "operator", "customer"):
        other = signed_in(town.app, role)
        for method in (other.get(f"{path}/channel"), other.post(f"{path}/channel", version="4", channel="email"),
                       other.post(f"{path}/payment-term", version="4", days="30")):  # fmt: skip
            assert method.status_code in (303, 403)
    assert (town.customer().version, town.customer().channel) == (4, "eboks")


def test_support_sees_mandates_and_cannot_end_them(town: Town) -> None:
    town.mandate()
    agent = signed_in(town.app, "agent", "en")
    assert "with notice before payments" in agent.text(f"/agreements/{town.number}")
    refused = agent.post(f"/agreements/{town.number}/channel", version="1", channel="email")
    assert refused.status_code == 422
    assert "ended in the online bank first" in said(refused)


@pytest.mark.parametrize(("language", "words"), [
    ("nb", ("Hvorfor denne måten", "eFaktura kunden har ikke sagt ja til eFaktura", "når ikke fram", "Brev", "Kostnad",
            "letters-000001.zip, nr. 3", "levert, venter på kvittering", "Send på en annen måte")),
    ("en", ("Why this way", "eFaktura the customer has not said yes", "does not reach", "A letter by post", "Cost",
            "letters-000001.zip, no. 3", "handed in, waits for its receipt", "Send another way")),
])  # fmt: skip
def test_the_desk_sees_why_and_with_what_proof(town: Town, language: str, words: tuple[str, ...]) -> None:
    delivery = _letter(town)
    agent = signed_in(town.app, "agent", language)
    body = unescape(agent.text(f"/deliveries/{delivery}"))
    for word in words:
        assert word in body
    answer = agent.post(f"/agreements/{town.number}/deliveries/{delivery}/again", channel="email")
    assert answer.status_code == 303
    town.session.rollback()
    wish = "SELECT considered -> 0 ->> 'channel' FROM channel_choices WHERE cause = 'agent'"
    assert town.session.scalars(text(wish)).all() == ["email"]
    assert agent.post(f"/agreements/{town.number}/deliveries/{delivery}/again", channel="avtalegiro").status_code == 303
    assert town.session.scalars(text(wish)).all() == ["email"]
    assert "/again" not in signed_in(town.app, "accountant", language).get(f"/deliveries/{delivery}").text


def _letter(town: Town) -> int:
    """An invoice that went by letter, since eFaktura did not reach the customer."""
    town.books.invoice(town.agreement, 30000)
    town.session.flush()
    run = town.session.execute
    message = run(text("SELECT id, document_id FROM messages WHERE template = 'invoice'")).one()
    file = run(
        text("INSERT INTO delivery_files (channel, kind, direction, number, name, sha256, content, state, made_at) "
             "VALUES ('paper', 'print', 'out', 1, 'letters-000001.zip', 'x', 'x', 'put', :now) RETURNING id"),
        {"now": MARCH},
    ).scalar_one()  # fmt: skip
    delivery: int = run(
        text("INSERT INTO deliveries (message_id, agreement_id, document_id, channel, state, presents, next_at, "
             "queued_at, sent_at, file_id, file_line, cost_ore, proof) VALUES (:m, :a, :d, 'paper', 'sent', true, "
             ":now, :now, :now, :f, 3, 1500, '{\"sheet\": 3}') RETURNING id"),
        {"m": message.id, "a": town.agreement, "d": message.document_id, "f": file, "now": MARCH},
    ).scalar_one()  # fmt: skip
    considered = (
        '[{"channel": "efaktura", "verdict": "no", "why": "no_consent"}, '
        '{"channel": "paper", "verdict": "yes", "why": ""}]'
    )
    run(
        text("INSERT INTO channel_choices (message_id, ordinal, agreement_id, document_id, at, cause, channel, "
             "considered) VALUES (:m, 1, :a, :d, :now, 'first', 'paper', CAST(:c AS jsonb))"),
        {"m": message.id, "a": town.agreement, "d": message.document_id, "now": MARCH, "c": considered},
    )  # fmt: skip
    run(text("UPDATE messages SET planned_at = :now"), {"now": MARCH})
    town.session.commit()
    return delivery


def test_every_way_has_a_name_and_a_sentence() -> None:
    assert set(channels.NAMES) == set(CHOICES)
    assert set(channels._SENTENCES) == set(CHOICES) - {"avtalegiro"}
