"""An agreement on the support desk: what its screen says, and what is done there for the one who calls."""

from __future__ import annotations

import datetime as dt
from email.message import EmailMessage

from sqlalchemy import text

from accounts.customers.tell import NewMessage, tell
from billing.delivery.transports import Folder
from config.settings import Settings
from tests.integration.web.desk import MARCH, Desk, said, world

__all__ = ["world"]


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
    assert "Meldingen sendes på nytt." in agent.text(page)
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
