"""My Page without a browser: what is owed, invoices, passages, vehicles."""

from __future__ import annotations

import datetime as dt
import re
from html import unescape

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.vehicles.models import Registration
from billing.passages.credit import credit
from config import rates
from tests.browser.world import NOW, People, Person, Town, at
from tests.integration.web.mypage.pages import count, post, read, sign_in


class TestOverview:
    def test_blocked_says_exactly_what_to_pay_and_that_one_must_call(
        self, client: FlaskClient, town: Town, people: People
    ) -> None:
        sign_in(client, people.blocked)
        kid, ore = town.kid(people.blocked)
        said = read(client.get(f"/mypage/{people.blocked.number}"))
        assert ore == 4 * 2480
        assert "Avtalen er sperret Siden 19. mars 2026." in said
        assert "Betal det som er forfalt: 99,20 kr" in said
        assert f"KID {kid} Beløp 99,20 kr" in said
        assert "konto 1503.00.12345" in said
        assert "Forfall 16. mars 2026 forfalt" in said
        assert "Ta kontakt med kundeservice : +47 21 00 00 00 eller support@brikke.example" in said
        assert "Avtalen åpnes ikke av seg selv." in said

    @pytest.mark.parametrize(("language", "fine"), [("nb", "få 9 000 kr i gebyr"), ("en", "fined NOK 9,000 at")])
    def test_what_a_check_may_cost_a_business_is_a_dated_figure(
        self,
        client: FlaskClient,
        people: People,
        session: Session,
        monkeypatch: pytest.MonkeyPatch,
        language: str,
        fine: str,
    ) -> None:
        known = rates.figures()
        assert [(row.since, row.value) for row in known["fine_no_valid_agreement_ore"]] == [
            (dt.date(2015, 1, 1), 800_000)
        ]
        raised = rates.Figure(dt.date(2026, 1, 1), 900_000, "the test's own")
        monkeypatch.setattr(rates, "figures", lambda: {**known, "fine_no_valid_agreement_ore": (raised,)})
        business = {"id": people.business.agreement_id}
        session.execute(text("UPDATE agreements SET standing = 'blocked' WHERE id = :id"), business)
        session.commit()
        sign_in(client, people.business)
        with client.session_transaction() as held:
            held["language"] = language
        assert fine in read(client.get(f"/mypage/{people.business.number}"))
        sign_in(client, people.blocked)
        assert "9 000 kr" not in read(client.get(f"/mypage/{people.blocked.number}"))

    def test_paid_but_not_reopened(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.paid)
        said = read(client.get(f"/mypage/{people.paid.number}"))
        assert "Alt forfalt er betalt – ta kontakt nå" in said
        assert "Å betale nå 0,00 kr" in said

    def test_reopened(self, client: FlaskClient, town: Town, people: People) -> None:
        town.reopen(people.paid, NOW)
        sign_in(client, people.paid)
        said = read(client.get(f"/mypage/{people.paid.number}"))
        assert "sperret" not in said
        assert f"Avtale {people.paid.number} Åpen" in said

    def test_what_is_not_billed_and_when_it_will_be(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.invoiced)
        said = read(client.get(f"/mypage/{people.invoiced.number}"))
        # 12.40 + 0 + 24.80 + 31.00 late + 31.00; the ferry of the tag's other agreement is not ours
        assert "Ikke fakturert ennå 99,20 kr Kommer på fakturaen 1. april 2026." in said
        assert "gjøres opp et annet sted" in said

    def test_too_little_to_invoice(self, client: FlaskClient, town: Town) -> None:
        person = town.person("Lite Grann")
        town.vehicle(person, "EL70707")
        town.drive("EL70707", at(1, 20), 3000)
        sign_in(client, person)
        said = read(client.get(f"/mypage/{person.number}"))
        assert "30,00 kr Faktureres når summen er 50 kr eller mer. Neste mulige faktura er 1. februar 2026." in said

    def test_an_overpayment_is_credit(self, client: FlaskClient, town: Town, people: People) -> None:
        kid, ore = town.kid(people.blocked)
        town.pay(kid, ore + 5000, dt.date(2026, 3, 20))
        sign_in(client, people.blocked)
        assert "Du har 50,00 kr til gode." in read(client.get(f"/mypage/{people.blocked.number}"))


class TestInvoices:
    def test_the_list(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.blocked)
        said = read(client.get(f"/mypage/{people.blocked.number}/invoices"))
        assert "2. feb. 2026 – 9. feb. 2026 Forfall 16. mars 2026 Forfalt 99,20 kr gjenstår 99,20 kr" in said

    def test_one_with_every_passage_explained(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.invoiced)
        number = session.scalars(
            text("SELECT min(number) FROM documents WHERE agreement_id = :id"), {"id": people.invoiced.agreement_id}
        ).one()
        path = f"/mypage/{people.invoiced.number}/invoices/{number}"
        said = read(client.get(path))
        assert "AB 54321 1 passering 24,80 kr" in said
        assert "EL 12345 11 passeringer 124,00 kr" in said
        assert "Sum med mva. 148,80 kr Innbetaling 10. feb. 2026 −148,80 kr Gjenstår 0,00 kr" in said
        assert "0 % (fritatt) 148,80 0,00 148,80" in said
        # 08:10 UTC is ten past nine in Oslo in January.
        assert "6. jan. 2026 kl. 09:10 Sandviken Fjellvegen AS · bom Timesregel: gratis" in said
        pdf = client.get(f"{path}.pdf")
        assert (pdf.status_code, pdf.content_type) == (200, "application/pdf")
        assert pdf.data.startswith(b"%PDF-")
        assert f"brikke-{number}.pdf" in pdf.headers["Content-Disposition"]
        assert client.get(f"{path}.pdf").data == pdf.data

    def test_a_ferry_shows_its_vat(self, client: FlaskClient, town: Town, people: People, session: Session) -> None:
        town.invoice(dt.date(2026, 4, 1))
        ferry = session.scalars(select(Agreement).where(Agreement.kind == "ferry")).one()
        sign_in(client, people.invoiced)
        number = session.scalars(text("SELECT number FROM documents WHERE agreement_id = :id"), {"id": ferry.id}).one()
        said = read(client.get(f"/mypage/{ferry.number}/invoices/{number}"))
        assert "12 % 200,00 24,00 224,00" in said
        assert "Hjelmeland–Nesvik Fjordferje AS · ferge" in said


class TestPassages:
    def test_this_month_is_shown_first(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.invoiced)
        said = read(client.get(f"/mypage/{people.invoiced.number}/passages"))
        assert "1. mars 2026 – 20. mars 2026" in said
        assert "Passeringer 5 Fakturert eller trukket 0,00 kr Ikke fakturert ennå 68,20 kr" in said
        assert "Gjøres opp på tilleggsavtalen din hos Fjordferje AS (avtale FF-20931), ikke her" in said
        assert "ikke fakturert" in said

    def test_a_fleets_month_is_added_up_on_request(
        self, client: FlaskClient, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("web.mypage.passages.SUMMED", 4)
        sign_in(client, people.invoiced)
        path = f"/mypage/{people.invoiced.number}/passages"
        page = client.get(path)
        assert "Over 4 passeringer. Legg sammen" in read(page)
        assert "Fakturert eller trukket" not in read(page)
        found = re.search(r'href="([^"]+)">Legg sammen', page.get_data(as_text=True))
        assert found
        said = read(client.get(unescape(found[1])))
        assert "Passeringer 5 Fakturert eller trukket 0,00 kr Ikke fakturert ennå 68,20 kr" in said
        monkeypatch.setattr("web.mypage.passages.SUMMED", 5)
        assert "Passeringer 5 Fakturert" in read(client.get(path))

    def test_a_late_one_stands_on_the_day_it_happened(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.invoiced)
        path = f"/mypage/{people.invoiced.number}/passages?from=2026-02-01&to=2026-02-28"
        said = read(client.get(path))
        assert "18. feb. 2026 kl. 17:02 Danmarksplass nord" in said
        assert "Kom sent fra operatøren: 12. mars 2026" in said
        assert "Fakturert eller trukket 62,00 kr Ikke fakturert ennå 31,00 kr" in said

    @pytest.mark.parametrize(
        "query",
        [
            {"from": "x"}, {"from": "2026-02-30"}, {"to": "9999-12-31"}, {"from": "0001-01-01"}, {"to": "0001-01-01"},
            {"from": "2026-03-01", "to": "2026-01-01"}, {"from": "1990-01-01", "to": "2026-01-01"},
        ],
    )  # fmt: skip
    def test_any_period_can_be_asked_for(self, client: FlaskClient, people: People, query: dict[str, str]) -> None:
        sign_in(client, people.invoiced)
        path = f"/mypage/{people.invoiced.number}/passages"
        assert client.get(path, query_string=query).status_code == 200

    def test_many_come_in_pages_without_one_lost(
        self, client: FlaskClient, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("web.mypage.passages.PAGE", 2)
        person = town.person("Mange Turer")
        town.vehicle(person, "EL60606")
        for ore in (101, 202, 303, 404, 505):
            town.drive("EL60606", at(1, 20), ore)
        town.clock(at(1, 25))
        sign_in(client, person)
        path: str | None = f"/mypage/{person.number}/passages"
        seen: list[str] = []
        while path:
            body = client.get(path).get_data(as_text=True)
            seen += re.findall(r"<strong>(\d,\d\d)</strong>", body)
            found = re.search(r'href="([^"]+after=[^"]+)"', body)
            path = unescape(found[1]) if found else None
        assert seen == ["5,05", "4,04", "3,03", "2,02", "1,01"]

    def test_a_reversal_says_why(self, client: FlaskClient, people: People, session: Session) -> None:
        passage = session.scalars(
            text("SELECT id FROM passages WHERE agreement_id = :id ORDER BY passed_at LIMIT 1"),
            {"id": people.invoiced.agreement_id},
        ).one()
        credit(session, people.invoiced.agreement_id, passage, reason="feil avlest", actor="agent:kari", now=NOW)
        session.commit()
        sign_in(client, people.invoiced)
        said = read(client.get(f"/mypage/{people.invoiced.number}/passages?from=2026-01-01&to=2026-01-31"))
        assert "Kreditert; se tilbakeføringen" in said
        assert "Tilbakeført: kreditert av kundeservice – feil avlest" in said
        assert "−12,40" in said


class TestVehicles:
    def path(self, person: Person) -> str:
        return f"/mypage/{person.number}/vehicles"

    def test_the_list_names_tags_and_ferry_agreements(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.invoiced)
        said = read(client.get(self.path(people.invoiced)))
        assert "EL 12345 Siden 2. januar 2026 · Brikke 20260001 Fjern EL 12345" in said
        assert "Gjøres opp hos rederiet på avtale FF-20931." in said
        assert "Gjøres opp på fergeavtale" in said

    def test_adding_now_and_later(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.blocked)
        path = self.path(people.blocked)
        assert post(client, path, plate="el 11111", plate_country="NO", **{"from": "now"}).status_code == 303
        later = {"from": "day", "day": "2026-04-01"}
        assert post(client, path, plate="EL11112", plate_country="SE", **later).status_code == 303
        said = read(client.get(path))
        assert "EL 11111 Siden 20. mars 2026" in said
        assert "EL11112 (SE) Fra og med 1. april 2026" in said
        rows = {row.plate: row.valid_from for row in session.scalars(select(Registration))}
        assert rows["EL11111"] == NOW
        assert rows["EL11112"] == dt.datetime(2026, 3, 31, 22, tzinfo=dt.UTC)  # midnight in Oslo

    @pytest.mark.parametrize(
        ("form", "field", "said"),
        [
            ({"plate": ""}, "plate", "Dette må fylles ut."),
            ({"plate": "EL12345"}, "plate", "Kjøretøyet står på en annen avtale."),
            ({"plate": "\u202eEL"}, "plate", "Her er det tegn som ikke kan brukes."),
            ({"plate": "EL1", "plate_country": "N"}, "plate_country", "Velg et land fra listen."),
            ({"plate": "EL1", "from": "day"}, "day", "Velg en dato."),
            ({"plate": "EL1", "from": "day", "day": "2026-03-19"}, "day", "Velg i dag eller en senere dag."),
            ({"plate": "EL1", "from": "day", "day": "2036-03-19"}, "day", "Datoen ligger for langt fram."),
        ],
    )
    def test_what_cannot_be_added(
        self, client: FlaskClient, people: People, session: Session, form: dict[str, str], field: str, said: str
    ) -> None:
        sign_in(client, people.blocked)
        before = count(session, Registration)
        answer = post(client, self.path(people.blocked), **{"plate_country": "NO", "from": "now", **form})
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.get_data(as_text=True)
        assert said in read(answer)
        session.rollback()
        assert count(session, Registration) == before

    def registration(self, session: Session, plate: str, scope: str = "") -> Registration:
        session.rollback()
        return session.scalars(
            select(Registration).where(Registration.plate == plate, Registration.scope == scope)
        ).one()

    def test_removing_says_what_it_means_and_what_still_has_it(
        self, client: FlaskClient, people: People, session: Session
    ) -> None:
        sign_in(client, people.invoiced)
        row = self.registration(session, "AB54321")
        path = f"{self.path(people.invoiced)}/{row.id}"
        said = read(client.get(f"{path}/remove"))
        assert "Passeringer fram til kjøretøyet er fjernet, må du betale" in said
        assert "Det er ikke nok å ta ut brikken." in said
        answer = post(client, f"{path}/remove", **{"from": "now"})
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{path}/removed")
        assert self.registration(session, "AB54321").valid_to == NOW
        after = client.get(f"{path}/removed")
        assert "Kjøretøyet står fortsatt på tilleggsavtaler" in read(after)
        assert "Fjordferje AS fergeavtale" in read(after)
        ferry = self.registration(session, "AB54321", "FJORD")
        assert ferry.valid_to is None
        assert post(client, f"{path}/removed", also=ferry.id).status_code == 303
        assert self.registration(session, "AB54321", "FJORD").valid_to == NOW
        said = read(client.get(f"{path}/removed"))
        assert "står fortsatt" not in said
        assert "Også fjernet hos: Fjordferje AS." in said

    def test_removing_all_at_once_from_a_later_day(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.invoiced)
        row, ferry = self.registration(session, "EL12345"), self.registration(session, "EL12345", "FJORD")
        path = f"{self.path(people.invoiced)}/{row.id}"
        form = {"from": "day", "day": "2026-03-29", "also": str(ferry.id)}
        assert post(client, f"{path}/remove", **form).status_code == 303
        midnight = dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC)
        assert self.registration(session, "EL12345").valid_to == midnight
        assert self.registration(session, "EL12345", "FJORD").valid_to == midnight
        assert "EL 12345 fjernes 29. mars 2026" in read(client.get(f"{path}/removed"))
        assert "Fjernes 29. mars 2026" in read(client.get(self.path(people.invoiced)))
        later = post(client, f"{path}/remove", **{"from": "day", "day": "2026-05-01"})
        assert later.status_code == 422
        assert "Velg en tidligere dag." in read(later)

    def test_a_removal_sent_again_changes_nothing(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.blocked)
        row = self.registration(session, "DP22222")
        path = f"{self.path(people.blocked)}/{row.id}"
        for _ in range(2):
            assert post(client, f"{path}/remove", self.path(people.blocked), **{"from": "now"}).status_code == 303
        assert session.scalars(text("SELECT count(*) FROM removals")).one() == 1
        assert client.get(f"{path}/remove").status_code == 302

    def test_somebody_elses_additional_agreement_cannot_be_ticked(
        self, client: FlaskClient, people: People, session: Session
    ) -> None:
        sign_in(client, people.blocked)
        row, theirs = self.registration(session, "DP22222"), self.registration(session, "EL12345", "FJORD")
        path = f"{self.path(people.blocked)}/{row.id}/remove"
        assert post(client, path, **{"from": "now", "also": str(theirs.id)}).status_code == 422
        assert self.registration(session, "DP22222").valid_to is None
        assert self.registration(session, "EL12345", "FJORD").valid_to is None
