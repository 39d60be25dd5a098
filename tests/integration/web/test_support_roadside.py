"""The roadside on the support desk, disputes on both sides, and tags read elsewhere: what pages say and forms do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

from accounts.agreements.open import open_agreement
from accounts.customers.models import Customer
from billing.passages.mismatch import job as look_for_mismatches
from billing.passages.models import Batch
from billing.roadside.complaints.answer import answer
from billing.roadside.ingest_file import ingest_file
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import HOUR, NOW, PASSED, START, Road, pan, road
from tests.integration.web.desk import Browser, said

__all__ = ["road"]


class Desk:
    """An agreement with EV10001 (tag T1 in it), and browsers."""

    def __init__(self, app: Flask, road: Road, sessions: SessionFactory, folder: Path) -> None:
        self.app, self.road, self.sessions, self.folder = app, road, sessions, folder
        customer = Customer(
            kind="private", name="Kari Nordmann", email="kari@example.org", street="Veien 1", postal_code="0150",
            city="Oslo", created_at=START,
        )  # fmt: skip
        road.session.add(customer)
        road.session.flush()
        self.agreement = open_agreement(road.session, customer.id, now=START, actor="test").id
        road.vehicle(self.agreement)
        road.tag(self.agreement, 1, "EV10001")
        move_clock(road.session, NOW, running=False)
        road.session.commit()
        ((self.number, self.customer),) = road.ask("SELECT number, customer_id FROM agreements")

    @property
    def session(self) -> Session:
        return self.road.session

    def browser(self, role: str, language: str = "nb") -> Browser:
        client = self.app.test_client()
        with client.session_transaction() as held:
            import datetime as dt

            since = int(dt.datetime.now(dt.UTC).timestamp())
            who: dict[str, object] = {"sub": "kari", "role": role}
            if role == "customer":
                who["customer_id"] = self.customer
            held.update({"who": who, "since": since, "seen": since, "csrf": "token", "language": language})
        return Browser(client)

    def send(self, *records: dict[str, Any], name: str = "in.jsonl") -> int:
        path = self.folder / name
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
        return ingest_file(self.sessions, path, "FJELL").batch_id

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        self.session.rollback()
        return self.road.ask(query)


def record(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": name, "passed_at": PASSED.isoformat(), "station": "S1", "service": "toll", "list_price": 3100,
        "amount": 2480, "vat_rate": 0, "plate": "EV10001",
    }  # fmt: skip
    return fields | changes


@pytest.fixture
def desk(app: Flask, road: Road, sessions: SessionFactory, tmp_path: Path) -> Desk:
    return Desk(app, road, sessions, tmp_path)


STAFF = ("agent", "lead", "accountant", "operator")


def test_each_page_is_for_its_roles_in_both_languages(desk: Desk) -> None:
    batch = desk.send(record("A"), record("B", plate="EV9"))
    ((passage,),) = desk.ask("SELECT id FROM passages")
    dispute = f"/agreements/{desk.number}/passages/{passage}/dispute"
    pages = {
        "/roadside": STAFF, "/roadside/FJELL": STAFF, f"/roadside/files/{batch}": STAFF,
        "/roadside/records?charger=FJELL&id=B": STAFF, dispute: ("agent", "lead"),
    }  # fmt: skip
    forms = {"/roadside/records/decide-again": ("agent", "lead", "operator"), dispute: ("agent", "lead")}
    for role in (*STAFF, "customer"):
        browser = desk.browser(role)
        for path, roles in pages.items():
            assert browser.get(path).status_code == (200 if role in roles else 403), (role, path)
        for path, roles in forms.items():
            if role not in roles:
                assert browser.post(path).status_code == 403, (role, path)
            assert browser.client.post(f"/support{path}").status_code == 403, (role, path)
    english = desk.browser("lead", "en")
    for path in pages:
        assert 'lang="en"' in english.get(path).text
    for path in ("/roadside/NONE", "/roadside/files/4711"):
        assert desk.browser("agent").get(path).status_code == 404


def test_what_came_without_a_name_is_called_by_its_number(desk: Desk) -> None:
    batch = desk.send(record("A"))
    desk.session.execute(update(Batch).values(name="request"))  # as over HTTP
    desk.session.commit()
    for path in ("/roadside", "/roadside/FJELL", f"/roadside/files/{batch}"):
        assert f"Parti {batch}" in desk.browser("operator").text(path), path


def test_the_stand_of_a_charger(desk: Desk) -> None:
    desk.send(record("A"), record("B", plate="EV9"), record("C", station="S9"))
    desk.send({"id": "K", "action": "cancel", "original": "NONE", "version": 1}, name="two.jsonl")
    for name, number in (("in.jsonl", 1), ("two.jsonl", 4)):
        desk.session.execute(update(Batch).where(Batch.name == name).values(file_number=number, sender="HUB"))
    desk.session.commit()
    text = desk.browser("operator").text("/roadside")
    assert "Filene 2 til 3 har ikke kommet fra HUB." in text
    assert "Siste fil two.jsonl" in text
    assert "1 ukjent stasjon" in text
    assert "1 ukjent kjøretøy" in text
    assert "Rettelser som venter 1" in text
    desk.session.execute(update(Batch).where(Batch.name == "two.jsonl").values(file_number=2))
    desk.session.commit()
    assert "har ikke kommet fra" not in desk.browser("operator").text("/roadside")
    mine = desk.browser("operator").text("/roadside/FJELL")
    assert "K trekker tilbake NONE" in mine
    assert "3 poster 2 avvist" in mine


def test_a_file_shows_what_was_refused_or_flagged_page_by_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.support.roadside.PAGE", 2)
    records = [record(f"R{n}", plate="EV9" if n % 2 else "EV10001") for n in range(1, 8)]
    batch = desk.send(*records, record("M", plate="EV9", pan=pan(1)), {"id": "X"})
    browser = desk.browser("agent")
    first = browser.text(f"/roadside/files/{batch}")
    assert "Linje 1 R1" in first
    assert "Linje 2" not in first
    assert "Let videre etter linje 3" in first
    last = browser.text(f"/roadside/files/{batch}?after=7")
    assert "Linje 8 M" in last
    assert "Brikke og skilt stemte ikke" in last
    assert "Linje 9 X" in last
    assert "Ugyldig post" in last
    assert browser.get(f"/roadside/files/{batch}?after=x").status_code == 200


def test_a_contested_record_is_decided_anew_from_its_page(desk: Desk) -> None:
    desk.send(record("B", plate="EV9"))
    browser = desk.browser("agent")
    page = "/roadside/records?charger=FJELL&id=B"
    before = browser.text(page)
    assert "Skilt EV9" in before
    assert "Ukjent kjøretøy" in before
    form = {"charger": "FJELL", "id": "B"}
    assert browser.post("/roadside/records/decide-again", **form, reason=" ").status_code == 422
    browser.post("/roadside/records/decide-again", **form, reason="Se igjen")
    assert "Svaret blir det samme." in browser.text(page)
    desk.road.vehicle(desk.agreement, "EV9")
    desk.session.commit()
    done = browser.post("/roadside/records/decide-again", **form, reason="Registrert dagen før")
    assert done.status_code == 303
    after = browser.text(page)
    assert "Avgjort på nytt: godtatt." in after
    assert "Operatøren sto på sitt : «Registrert dagen før», kundebehandler kari" in after.replace("sitt:", "sitt :")
    assert f"Passering på avtale {desk.number}" in after
    assert "Avgjør på nytt" not in after
    assert desk.ask("SELECT count(*) FROM passages") == [(1,)]
    again = browser.post("/roadside/records/decide-again", **form, reason="x")
    assert again.status_code == 422
    assert "Posten er godtatt." in said(again)
    assert ("agent", "record.decide_again") in desk.ask("SELECT role, action FROM audit_trail")
    assert ("agent", "look_up_record") in desk.ask("SELECT role, action FROM audit_trail")


def test_only_a_lead_sets_a_block_aside(desk: Desk) -> None:
    desk.road.published(desk.agreement, "blocked", PASSED - HOUR)
    desk.session.commit()
    desk.send(record("A"))
    form = {"charger": "FJELL", "id": "A", "reason": "Feil", "despite": "1"}
    desk.browser("agent").post("/roadside/records/decide-again", **form)
    assert desk.ask("SELECT code FROM records") == [("not_valid",)]
    assert "sperret eller avsluttet" not in desk.browser("agent").text("/roadside/records?charger=FJELL&id=A")
    desk.browser("lead").post("/roadside/records/decide-again", **form)
    assert desk.ask("SELECT code FROM records") == [("accepted",)]


def test_a_record_shows_its_corrections_and_what_is_in_force(desk: Desk) -> None:
    desk.send(record("A"))
    desk.send({"id": "K1", "action": "cancel", "original": "A", "version": 1}, name="2.jsonl")
    desk.send(record("K2", action="adjust", original="A", version=2, amount=1000), name="3.jsonl")
    text = desk.browser("agent").text("/roadside/records?charger=FJELL&id=A")
    assert "Det som gjelder nå, er K2." in text.replace("K2 .", "K2.")
    assert "K1 trekker tilbake, versjon 1" in text
    assert "Tilbakeføring på avtale" in text
    assert "Fant ingen lesbar post NEI" in desk.browser("agent").text("/roadside/records?charger=FJELL&id=NEI")
    story = desk.browser("agent").text(f"/agreements/{desk.number}")
    assert "Operatøren trakk tilbake en passering: Sør 1. mars 2026, 24,80 kr." in story


class TestDisputes:
    """A dispute from My Page to its answer."""

    @pytest.fixture
    def passage(self, desk: Desk) -> int:
        desk.send(record("A"))
        ((passage,),) = desk.ask("SELECT id FROM passages")
        return int(passage)

    def mine(self, desk: Desk, path: str, **fields: str) -> Any:
        client = desk.browser("customer").client
        if fields:
            return client.post(f"/mypage/{desk.number}{path}", data={"csrf_token": "token", **fields})
        return client.get(f"/mypage/{desk.number}{path}")

    def test_from_my_page_to_the_answer(self, desk: Desk, passage: int) -> None:
        path = f"/passages/{passage}/dispute"
        assert "Noe galt?" in said(self.mine(desk, "/passages?from=2026-03-01&to=2026-03-02"))
        wrong = self.mine(desk, path, kind="", text="x")
        assert wrong.status_code == 422
        assert "Velg hva som er galt." in said(wrong)
        assert self.mine(desk, path, kind="not_there", text="Bilen sto <b>hjemme</b>").status_code == 303
        text = said(self.mine(desk, path))
        assert "Til behandling hos operatøren" in text
        assert "&lt;b&gt;hjemme" in text
        assert "Send til operatøren" not in text
        assert "Til behandling" in said(self.mine(desk, "/passages?from=2026-03-01&to=2026-03-02"))
        assert "Innsigelser Kjøretøyet var ikke der" in desk.browser("agent").text(f"/agreements/{desk.number}")
        ((number,),) = desk.ask("SELECT id FROM complaints")
        answer(desk.session, desk.road.toll, number, "rejected", "Bildet viser bilen", actor="charger:FJELL", now=NOW)
        desk.session.commit()
        after = said(self.mine(desk, path))
        assert "Operatøren: riktig som den står" in after
        assert "«Bildet viser bilen»" in after
        assert "Send til operatøren" not in after  # once is enough; support can say it again
        assert "Fortsatt galt? Ta kontakt med oss" in after
        assert "si hvorfor" in desk.browser("agent").text(f"/agreements/{desk.number}/passages/{passage}/dispute")
        story = desk.browser("agent").text(f"/agreements/{desk.number}")
        assert "Innsigelse mot en passering: kjøretøyet var ikke der." in story

    def test_it_can_be_withdrawn_by_whose_it_is(self, desk: Desk, passage: int) -> None:
        path = f"/passages/{passage}/dispute"
        self.mine(desk, path, kind="price", text="")
        assert "Trekk innsigelsen" in said(self.mine(desk, path))
        ((number,),) = desk.ask("SELECT id FROM complaints")
        other = desk.road.agreement()
        desk.session.commit()
        ((strange,),) = desk.ask(f"SELECT number FROM agreements WHERE id = {other}")
        client, data = desk.browser("customer").client, {"csrf_token": "token"}
        assert client.post(f"/mypage/{strange}/disputes/{number}/withdrawal", data=data).status_code == 404
        assert client.post(f"/mypage/{desk.number}/disputes/4711/withdrawal", data=data).status_code == 404
        assert desk.ask("SELECT count(*) FROM held_passages") == [(1,)]
        assert client.post(f"/mypage/{desk.number}/disputes/{number}/withdrawal", data=data).status_code == 303
        assert desk.ask("SELECT count(*) FROM held_passages") == [(0,)]
        text = said(self.mine(desk, path))
        assert "Trukket tilbake" in text
        assert "Trekk innsigelsen" not in text
        assert desk.ask("SELECT role FROM audit_trail WHERE action = 'dispute.withdraw'") == [("customer",)]

    def test_support_sees_what_is_not_answered(self, desk: Desk, passage: int) -> None:
        self.mine(desk, f"/passages/{passage}/dispute", kind="price", text="")
        browser = desk.browser("agent")
        assert "ikke har svart på" not in browser.text("/roadside")
        move_clock(desk.session, NOW + 24 * 31 * HOUR, running=False)
        desk.session.commit()
        assert "Klager som operatøren ikke har svart på" in browser.text("/roadside")
        assert "Operatøren skulle ha svart." in browser.text(f"/agreements/{desk.number}/passages/{passage}/dispute")

    def test_it_is_the_customers_own(self, desk: Desk, passage: int) -> None:
        other = desk.road.agreement()
        desk.session.commit()
        ((number,),) = desk.ask(f"SELECT number FROM agreements WHERE id = {other}")
        client = desk.browser("customer").client
        assert client.get(f"/mypage/{number}/passages/{passage}/dispute").status_code == 404
        data = {"csrf_token": "token", "kind": "price", "text": ""}
        assert client.post(f"/mypage/{number}/passages/{passage}/dispute", data=data).status_code == 404
        assert client.get(f"/mypage/{desk.number}/passages/4711/dispute").status_code == 404
        assert desk.session.query(Customer).count() == 2

    def test_support_makes_one_for_the_customer_and_sees_what_is_late(self, desk: Desk, passage: int) -> None:
        browser = desk.browser("agent")
        path = f"/agreements/{desk.number}/passages/{passage}/dispute"
        assert browser.post(path, kind="price", text="").status_code == 303
        assert "Meldt av kundebehandler kari." in browser.text(path)
        ((number,),) = desk.ask("SELECT id FROM complaints")
        answer(desk.session, desk.road.toll, number, "upheld", "", actor="charger:FJELL", now=NOW)
        move_clock(desk.session, NOW + 24 * 15 * HOUR, running=False)
        desk.session.commit()
        assert "Lovet rettelse har ikke kommet" in browser.text("/roadside")
        assert "Rettelsen skulle ha kommet." in browser.text(path)
        assert "lovet rettelse har ikke kommet" in browser.text(f"/agreements/{desk.number}")

    def test_what_was_taken_back_is_said(self, desk: Desk, passage: int) -> None:
        desk.send({"id": "K", "action": "cancel", "original": "A", "version": 1}, name="2.jsonl")
        text = said(self.mine(desk, "/passages?from=2026-03-01&to=2026-03-02"))
        assert "Trukket tilbake av operatøren" in text
        assert "Noe galt?" not in text
        refused = self.mine(desk, f"/passages/{passage}/dispute", kind="price", text="")
        assert refused.status_code == 422
        assert "kan ikke klages på nå" in said(refused)


def test_a_tag_read_elsewhere_is_shown_to_both(
    desk: Desk, sessions: SessionFactory, settings: Settings, app: Flask
) -> None:
    desk.send(record("A", plate="EV99999", pan=pan(1)))
    look_for_mismatches(JobContext(sessions=sessions, settings=settings), NOW)
    client = desk.browser("customer").client
    text = said(client.get(f"/mypage/{desk.number}/vehicles"))
    assert "Brikken T1 ble lest i EV 99999" in text
    assert "Hos oss hører den til i EV 10001" in text
    assert "Brikken i EV 10001 lest i EV 99999" in desk.browser("agent").text(f"/agreements/{desk.number}")
    english = said(desk.browser("customer", "en").client.get(f"/mypage/{desk.number}/vehicles"))
    assert "Tag T1 was read in EV 99999" in english
