"""The support desk: each page, who may see it, and what its forms do."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from email.message import EmailMessage

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from accounts.customers.tell import NewMessage, tell
from accounts.vehicles.models import Registration
from accounts.vehicles.register import register
from billing.collection import overdue
from billing.delivery.transports import Folder
from config.clock import business_date, move_clock
from config.settings import Settings
from tests.integration.billing.books import DUE, JANUARY, Books, Invoice, noon

MARCH = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


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
        client = self.app.test_client()
        with client.session_transaction() as held:
            since = int(dt.datetime.now(dt.UTC).timestamp())
            who: dict[str, object] = {"sub": "kari", "role": role}
            if role == "customer":
                who["customer_id"] = 1
            held.update({"who": who, "since": since, "seen": since, "csrf": "token"})
        return Browser(client)

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


PAGES = {
    "/": ("agent", "lead", "accountant", "operator"),
    "/standing/blocked": ("agent", "lead", "accountant"),
    "/card-attempts": ("agent", "lead", "accountant"),
    "/deliveries": ("agent", "lead"),
    "/mailbox": ("agent", "lead"),
    "/payments": ("agent", "lead", "accountant"),
    "/mass": ("agent", "lead", "accountant", "operator"),
    "/books": ("agent", "lead", "accountant", "operator"),
    "/agreements/{number}": ("agent", "lead", "accountant"),
    "/agreements/{number}/passages": ("agent", "lead", "accountant"),
    "/agreements/{number}/passages/{passage}/credit": ("agent", "lead"),
    "/agreements/{number}/vehicles/{car}/remove": ("agent", "lead"),
    "/agreements/{number}/additional": ("agent", "lead"),
    "/agreements/{number}/close": ("agent", "lead"),
    "/agreements/{number}/documents": ("agent", "lead", "accountant"),
    "/agreements/{number}/documents/{document}/reissue": ("agent", "lead"),
    "/agreements/{number}/payouts": ("agent", "lead", "accountant"),
    "/payouts": ("agent", "lead", "accountant"),
    "/trail/agreement:{number}": ("lead",),
}
FORMS = {
    "/agreements/{number}/reopen": ("agent", "lead"),
    "/agreements/{number}/passages/{passage}/credit": ("agent", "lead"),
    "/agreements/{number}/vehicles/{car}/remove": ("agent", "lead"),
    "/agreements/{number}/additional": ("agent", "lead"),
    "/agreements/{number}/close": ("agent", "lead"),
    "/agreements/{number}/deliveries/1/again": ("agent", "lead"),
    "/payments/1/assign": ("agent", "lead"),
    "/agreements/{number}/documents/{document}/reissue": ("agent", "lead"),
    "/agreements/{number}/payouts": ("agent", "lead"),
    "/agreements/{number}/credit-note": ("agent", "lead"),
    "/payouts/1/approve": ("lead",),
    "/payouts/1/cancel": ("agent", "lead"),
    "/payouts/1/outcome": ("accountant",),
    "/mass": ("lead", "operator"),
    "/mass/1/confirm": ("lead", "operator"),
    "/mass/1/undo": ("lead", "operator"),
    "/books/audit": ("accountant", "operator"),
}
ROLES = ("customer", "agent", "lead", "accountant", "operator")


def address(desk: Desk, path: str) -> str:
    passage = desk.books.one("SELECT min(id) FROM passages")
    return path.format(number=desk.number, passage=passage, car=desk.car.id, document=desk.invoice.number)


def test_each_page_is_for_its_roles_in_both_languages(world: Desk) -> None:
    for role in ROLES:
        browser = world.browser(role)
        for path, roles in PAGES.items():
            expected = 200 if role in roles else 403
            assert browser.get(address(world, path)).status_code == expected, (role, path)
    english = world.browser("lead")
    with english.client.session_transaction() as held:
        held["language"] = "en"
    for path in PAGES:
        if path != "/books":
            assert 'lang="en"' in english.get(address(world, path)).text


def test_forms_are_for_their_roles_and_want_the_token(world: Desk) -> None:
    for role in ROLES:
        browser = world.browser(role)
        for path, roles in FORMS.items():
            if role not in roles:
                assert browser.post(address(world, path)).status_code == 403, (role, path)
            assert browser.client.post("/support" + address(world, path)).status_code == 403, (role, path)


def test_who_is_not_signed_in_is_sent_to_sign_in(world: Desk) -> None:
    answer = world.app.test_client().get(f"/support/agreements/{world.number}")
    assert answer.status_code == 302
    assert "/signin" in answer.headers["Location"]


def test_a_form_after_the_session_has_run_out_leads_to_signing_in_and_back(world: Desk) -> None:
    pages = {
        "/agreements/{number}/reopen": "/agreements/{number}",
        "/agreements/{number}/deliveries/1/again": "/agreements/{number}",
        "/agreements/{number}/close": "/agreements/{number}/close",
        "/payments/1/assign": "/payments/1",
        "/books/audit": "/books",
    }
    for form, page in pages.items():
        browser = world.browser("lead")
        with browser.client.session_transaction() as held:
            held["seen"] -= 3 * 60 * 60
        answer = browser.post(address(world, form), channel="phone")
        place = f"/signin?next=/support{address(world, page)}&signed_out=1"
        assert (answer.status_code, answer.headers["Location"]) == (303, place)
        assert "Du var logget ut, og ingenting ble endret." in said(browser.client.get(place))
    assert world.trail(f"agreement:{world.number}") == []
    missing = world.app.test_client().post("/support/nothing/here")
    assert missing.status_code == 404


@pytest.mark.parametrize("by", ["number", "invoice", "kid", "plate", "email", "customer"])
def test_one_hit_leads_straight_to_the_agreement(world: Desk, by: str) -> None:
    customer = world.books.one("SELECT number FROM customers")
    words = {
        "number": str(world.number),
        "invoice": str(world.invoice.number),
        "kid": world.invoice.kid,
        "plate": "ek 12345",
        "email": "KARI@example.no",
        "customer": str(customer),
    }[by]
    answer = world.browser("agent").client.get("/support/", query_string={"q": words})
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(f"/support/agreements/{world.number}")


def test_several_hits_are_listed_with_standing_and_open_sum(world: Desk) -> None:
    world.books.agreement()
    world.session.commit()
    text = world.browser("agent").text("/?q=nordmann")
    assert "2 avtaler" in text
    assert "Sperret forfalt 412,50 kr" in text
    assert "Åpen ingenting åpent" in text
    assert "Fant ingen avtale" in world.browser("agent").text("/?q=finnes+ikke")


def test_the_heap_counts_what_waits(world: Desk) -> None:
    world.pay(9900, "123")
    text = world.browser("agent").text("/")
    assert "0 venter på gjenåpning" in text
    assert "1 sperret" in text
    assert "1 innbetalinger uten eier 99,00 kr" in text


def test_the_screen_says_why_and_what_to_do(world: Desk) -> None:
    text = world.browser("agent").text(f"/agreements/{world.number}")
    assert (
        f"Sperret 26. februar 2026: faktura {world.invoice.number} på 412,50 kr forfalt 16. februar 2026 "
        "og er ikke betalt." in text
    )
    assert f"Be kunden betale 412,50 kr med KID {world.invoice.kid} til konto 1503.00.12345." in text
    story = text[text.index("Historien") :]
    blocked, issued, opened = (
        story.index(words) for words in ("Sperret: ubetalt", f"Faktura {world.invoice.number} på", "opprettet")
    )
    assert blocked < issued < opened  # newest first
    assert world.trail(f"agreement:{world.number}") == [("agent", "look_up", None)]


def test_reopening_is_refused_with_what_is_due_then_done_when_paid(world: Desk) -> None:
    browser = world.browser("agent")
    path = f"/agreements/{world.number}"
    refused = browser.post(f"{path}/reopen", channel="phone", note="")
    assert refused.status_code == 409
    assert "Kan ikke gjenåpnes ennå: 412,50 kr er forfalt og ikke betalt." in said(refused)
    assert f"Faktura {world.invoice.number} : 412,50 kr" in said(refused).replace(
        f"{world.invoice.number}:", f"{world.invoice.number} :"
    )
    assert world.books.standing(world.agreement) == "blocked"
    world.pay(41250, world.invoice.kid)
    paid = browser.text(path)
    assert "Alt er betalt. Snakk med kunden og gjenåpne." in paid
    assert "Innbetalt 412,50 kr, valutert 2. mars 2026, bokført 2. mars 2026." in paid
    assert browser.post(f"{path}/reopen", channel="", note="").status_code == 422
    done = browser.post(f"{path}/reopen", channel="phone", note="Ringte om flytting")
    assert done.status_code == 303
    after = browser.text(path)
    assert "Åpen, gjenåpnet 2. mars 2026. Ingenting er forfalt." in after
    assert "Gjenåpnet av kundebehandler kari. Telefon: «Ringte om flytting»" in after
    assert ("agent", "agreement.reopen", "Ringte om flytting") in world.trail(f"agreement:{world.number}")


def test_a_payment_without_owner_is_offered_and_placed(world: Desk) -> None:
    slip = world.invoice.kid[:-1] + str((int(world.invoice.kid[-1]) + 1) % 10)
    world.pay(41250, slip)
    browser = world.browser("agent")
    assert "En innbetaling på 412,50 kr 2. mars 2026 har ingen eier." in browser.text(f"/agreements/{world.number}")
    payment = world.books.one("SELECT id FROM payments")
    shown = browser.text(f"/payments/{payment}")
    assert "KID-en stemmer ikke" in shown
    assert f"faktura {world.invoice.number}" in shown  # suggested by the KID's other digits
    for fields in (
        {"agreement": str(world.number), "invoice": "", "reason": ""},
        {"agreement": "99999999", "invoice": "", "reason": "x"},
        {"agreement": str(world.number), "invoice": "1", "reason": "x"},
    ):
        assert browser.post(f"/payments/{payment}/assign", **fields).status_code == 422
    done = browser.post(
        f"/payments/{payment}/assign",
        agreement=str(world.number),
        invoice=str(world.invoice.number),
        reason="Kvittering sett",
    )
    assert done.status_code == 303
    world.session.rollback()
    assert world.books.standing(world.agreement) == "awaiting_reopen"
    assert world.books.open_ore(world.invoice) == 0
    assert ("agent", "payment.assign", "Kvittering sett") in world.trail(f"agreement:{world.number}")
    assert "Plassert" in browser.text(f"/payments/{payment}")
    assert "Ingen. Alle innbetalinger har en eier." in browser.text("/payments")
    again = browser.post(f"/payments/{payment}/assign", agreement=str(world.number), invoice="", reason="x")
    assert again.status_code == 422


def test_a_passage_is_credited_once_with_a_reason(world: Desk) -> None:
    browser = world.browser("agent")
    passage = world.books.one("SELECT min(id) FROM passages")
    path = f"/agreements/{world.number}/passages/{passage}/credit"
    assert browser.post(path, reason="").status_code == 422
    assert browser.post(path, reason="Feil lest skilt").status_code == 303
    assert browser.post(path, reason="En gang til").status_code == 303
    world.session.rollback()
    assert world.books.one("SELECT unbilled_ore FROM balances WHERE agreement_id = :a", a=world.agreement) == -30000
    assert [row[1] for row in world.trail(f"agreement:{world.number}")].count("passage.credit") == 1
    assert (
        "Passering kreditert av kundebehandler kari: S1 15. januar 2026, 300,00 kr. «Feil lest skilt»"
        in browser.text(f"/agreements/{world.number}")
    )
    assert "Den kan ikke krediteres." in browser.text(path)
    listed = browser.text(f"/agreements/{world.number}/passages?from=2026-01-01&to=2026-01-31&plate=EK12345")
    assert "Kreditert; se tilbakeføringen" in listed
    assert "Ingen passeringer" in browser.text(
        f"/agreements/{world.number}/passages?from=2026-01-01&to=2026-01-31&plate=AB99999"
    )


def test_a_vehicle_is_removed_back_in_time_only_with_a_reason(world: Desk) -> None:
    browser = world.browser("agent")
    path = f"/agreements/{world.number}/vehicles/{world.car.id}/remove"
    early = {"from": "day", "day": "2026-01-10", "time": "07:30"}
    assert browser.post(path, **early, reason="").status_code == 422
    assert browser.post(path, **{**early, "time": "25:00"}, reason="x").status_code == 422
    assert browser.post(path, **early, reason="Solgt, kontrakt sett").status_code == 303
    world.session.rollback()
    ended = world.books.value("SELECT valid_to FROM registrations WHERE id = :id", id=world.car.id)
    assert ended == dt.datetime(2026, 1, 10, 6, 30, tzinfo=dt.UTC)  # half past seven in Oslo
    assert ("agent", "vehicle.remove", "Solgt, kontrakt sett") in world.trail(f"registration:{world.car.id}")
    assert "fjernet fra 10. januar 2026 07:30 av kundebehandler kari" in browser.text(f"/agreements/{world.number}")


def test_an_additional_agreement_is_added_and_the_agreement_closed(world: Desk) -> None:
    world.session.execute(text("INSERT INTO chargers (code, name, kind) VALUES ('FJORD', 'Fjord Ferger AS', 'ferry')"))
    world.session.commit()
    browser = world.browser("agent")
    path = f"/agreements/{world.number}"
    fields = {"operator": "FJORD", "on": "plate:NO:EK12345", "settlement": "external", "from": "now"}
    assert browser.post(f"{path}/additional", **fields, external_ref="").status_code == 422
    assert browser.post(f"{path}/additional", **fields, external_ref="FP-7").status_code == 303
    assert "Tilleggsavtale: Fjord Ferger AS" in browser.text(path)
    assert browser.post(f"{path}/close", **{"from": "day", "day": "2026-01-01"}).status_code == 422
    assert browser.post(f"{path}/close", **{"from": "now"}, reason="Flytter").status_code == 303
    closed = browser.text(path)
    assert "Avsluttet 2. mars 2026. Ikke betalt: faktura" in closed
    assert ("agent", "agreement.close", "Flytter") in world.trail(f"agreement:{world.number}")


def test_mail_that_did_not_arrive_is_listed_and_said(world: Desk) -> None:
    tell(world.session, [NewMessage(world.agreement, "reminder", "test:1")], now=MARCH)
    message = world.books.one("SELECT max(id) FROM messages")
    delivery = world.books.one(
        "INSERT INTO deliveries (message_id, agreement_id, channel, recipient, state, attempts, next_at, error, "
        "queued_at) "
        "VALUES (:m, :a, 'email', 'kari@example.no', 'failed', 3, :at, '550 no such user', :at) RETURNING id",
        m=message, a=world.agreement, at=MARCH,
    )  # fmt: skip
    world.session.commit()
    browser = world.browser("agent")
    assert "E-post til kari@example.no kom ikke fram. Spør om adressen er riktig." in browser.text(
        f"/agreements/{world.number}"
    )
    assert "1 meldinger som ikke kom fram" in browser.text("/")
    assert "Kari Nordmann" in browser.text("/deliveries")
    assert "550 no such user" in browser.text(f"/deliveries/{delivery}")
    assert "Påminnelse før forfall" in browser.text("/mailbox")


def test_a_mail_is_read_as_it_was_sent_and_its_html_is_not_rendered(world: Desk, settings: Settings) -> None:
    tell(world.session, [NewMessage(world.agreement, "invoice", "test:2", world.invoice.document)], now=MARCH)
    message = world.books.one("SELECT max(id) FROM messages")
    delivery = world.books.one(
        "INSERT INTO deliveries (message_id, agreement_id, channel, recipient, state, attempts, next_at, queued_at, "
        "sent_at, rfc_message_id) VALUES (:m, :a, 'email', 'kari@example.no', 'sent', 1, :at, :at, :at, '<1@x.no>') "
        "RETURNING id",
        m=message, a=world.agreement, at=MARCH,
    )  # fmt: skip
    world.session.commit()
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "oss@example.no", "kari@example.no", "Faktura <b>nå</b>"
    mail["Message-ID"] = "<1@x.no>"
    mail.set_content("Hei <script>alert(1)</script> Kari")
    mail.add_alternative("<p id='theirs'>Hei</p>", subtype="html")
    mail.add_attachment(b"%PDF-1.7 x", maintype="application", subtype="pdf", filename="faktura.pdf")
    assert settings.mail_url.folder is not None
    Folder(settings.mail_url.folder).send(delivery, "kari@example.no", mail.as_bytes())
    browser = world.browser("agent")
    shown = browser.get(f"/deliveries/{delivery}").text
    assert "Hei &lt;script&gt;alert(1)&lt;/script&gt; Kari" in shown
    assert "Faktura &lt;b&gt;nå&lt;/b&gt;" in shown
    assert "theirs" not in shown
    assert "som sendt" in browser.text(f"/agreements/{world.number}")
    pdf = browser.get(f"/deliveries/{delivery}/attachments/0")
    assert (pdf.data, pdf.content_type) == (b"%PDF-1.7 x", "application/pdf")
    assert pdf.headers["Content-Disposition"] == "attachment; filename=faktura.pdf"
    assert browser.get(f"/deliveries/{delivery}/attachments/1").status_code == 404
    looked = [row[1] for row in world.trail(f"agreement:{world.number}")]
    assert looked.count("look_up_mail") == 2


def test_a_mail_is_sent_again_from_the_story(world: Desk) -> None:
    sent, dropped = (
        world.books.one(
            "INSERT INTO deliveries (message_id, agreement_id, channel, recipient, state, next_at, queued_at, sent_at) "
            "SELECT id, agreement_id, 'email', 'kari@example.no', :state, :at, :at, :at FROM messages "
            "WHERE template = :template RETURNING id",
            state=state, template=template, at=MARCH,
        )
        for template, state in (("invoice", "sent"), ("blocked", "dropped"))
    )  # fmt: skip
    world.session.commit()
    agent = world.browser("agent")
    page, path = f"/agreements/{world.number}", f"/agreements/{world.number}/deliveries"
    assert agent.get(page).text.count(f'action="/support{path}/{sent}/again"') == 1
    assert f'action="/support{path}/{sent}/again"' in agent.get(f"/deliveries/{sent}").text
    assert f"{dropped}/again" not in agent.get(page).text
    assert "/again" not in world.browser("accountant").get(page).text
    for _ in range(2):
        assert agent.post(f"{path}/{sent}/again").headers["Location"] == f"/support{page}"
    assert "E-posten sendes på nytt." in agent.text(page)
    assert "/again" not in agent.get(page).text
    assert "Sendt på nytt" in agent.text(f"/deliveries/{sent}")
    assert world.books.one("SELECT count(*) FROM messages WHERE template = 'invoice'") == 2
    assert world.trail(f"agreement:{world.number}").count(("agent", "delivery.again", None)) == 1
    assert agent.post(f"{path}/{dropped}/again").status_code == 303
    assert "ikke lenger sant" in agent.text(page)
    other = world.books.number(world.books.agreement())
    world.session.commit()
    assert agent.post(f"/agreements/{other}/deliveries/{sent}/again").status_code == 404
    assert agent.post(f"{path}/999/again").status_code == 404


def test_the_audit_is_run_from_the_page_and_names_a_difference(world: Desk) -> None:
    accountant = world.browser("accountant")
    asked = accountant.post("/books/audit")
    assert asked.status_code == 303
    assert asked.headers["Location"] == "/support/books?audit=now"
    assert "Alt stemmer." in accountant.text("/books?audit=now")
    world.session.execute(text("UPDATE balances SET unbilled_ore = unbilled_ore + 1"))
    world.session.commit()
    assert "Noe stemmer ikke." in accountant.text("/books?audit=now")
    assert "stemmer" not in world.browser("agent").text("/books?audit=now")
    assert ("accountant", "audit", None) in world.trail("books")


def test_a_job_that_failed_is_shown_to_those_who_run_it(world: Desk) -> None:
    world.session.execute(
        text(
            "INSERT INTO job_occurrences (job, scheduled_for, state, attempts, error) "
            "VALUES ('overdue', :at, 'given_up', 8, 'Boom')"
        ),
        {"at": MARCH},
    )
    world.session.commit()
    assert "gitt opp" in world.browser("operator").text("/books")
    assert "Boom" not in world.browser("agent").text("/books")


def test_a_lead_sees_who_looked(world: Desk) -> None:
    world.browser("agent").text(f"/agreements/{world.number}")
    text = world.browser("lead").text(f"/trail/agreement:{world.number}")
    assert "kari kundebehandler så på" in text


def test_what_does_not_exist_is_not_found(world: Desk) -> None:
    browser = world.browser("agent")
    for path in (
        "/agreements/99999999",
        "/payments/99",
        "/deliveries/99",
        "/deliveries/99/attachments/0",
        "/standing/open",
        f"/agreements/{world.number}/documents/1.pdf",
        f"/agreements/{world.number}/passages/0/credit",
    ):
        assert browser.get(path).status_code == 404, path
