"""Signing in, and who sees what: one's own, and nothing of anybody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from accounts.vehicles.models import Registration
from config.settings import Settings
from tests.browser.world import People
from tests.integration.web.mypage.pages import count, post, read, sign_in
from web.app import create_app

PAGES = ("", "/invoices", "/passages", "/vehicles", "/card", "/welcome")


class TestSigningIn:
    def test_the_front_page_leads_on(self, client: FlaskClient) -> None:
        body = client.get("/").get_data(as_text=True)
        for target in ("/mypage/new", "/signin", "/docs"):
            assert f'href="{target}"' in body

    def test_people_are_offered_with_what_is_special_about_them(self, client: FlaskClient, people: People) -> None:
        said = read(client.get("/signin"))
        assert f"Per Sørli Avtale {people.blocked.number} · faktura Sperret" in said
        assert f"Åsen Rør AS Avtale {people.business.number} · faktura · bedrift Åpen" in said
        assert f"John Smith Avtale {people.english.number} · faktura · engelsk" in said
        assert "Kari Nordmann Avtale" in said
        assert "fergeavtale" in said
        assert "Kundebehandler" in said

    @pytest.mark.parametrize("query", ["per sør", "DP 22222", "10000003"])
    def test_others_are_found(self, client: FlaskClient, people: People, query: str) -> None:
        said = read(client.get("/signin", query_string={"q": query}))
        assert "Per Sørli" in said
        assert "Kari Nordmann" not in said
        assert "Kundebehandler" not in said

    @pytest.mark.parametrize("query", ["nobody", "%", "a" * 500, "\u202e"])
    def test_nobody_is_found(self, client: FlaskClient, people: People, query: str) -> None:
        assert client.get("/signin", query_string={"q": query}).status_code == 200

    def test_one_lands_where_one_wanted_on_ones_own_site_only(self, client: FlaskClient, people: People) -> None:
        path = f"/mypage/{people.invoiced.number}/card"
        number = people.invoiced.customer_number
        assert client.get(path).headers["Location"] == f"/signin?next={path}"
        assert post(client, "/signin", customer=number, next=path).headers["Location"] == path
        for elsewhere in ("https://evil.example/mypage/", "//evil.example", "/support", "/mypage.evil"):
            answer = post(client, "/signin", customer=number, next=elsewhere)
            assert answer.headers["Location"] == "/mypage/"

    def test_staff_land_at_the_desk_and_see_no_page_of_a_customer(self, client: FlaskClient, people: People) -> None:
        assert post(client, "/signin", staff="kari").headers["Location"] == "/support"
        assert client.get(f"/mypage/{people.invoiced.number}").status_code == 403

    @pytest.mark.parametrize("number", ["", "0", "x", "9" * 30, "-1", "٣"])
    def test_nobody_who_does_not_exist(self, client: FlaskClient, people: People, number: str) -> None:
        assert post(client, "/signin", customer=number).status_code == 404

    def test_outside_a_demo_nobody_is_chosen(self, settings: Settings, engine: Engine, people: People) -> None:
        client = create_app(replace(settings, demo=False), engine).test_client()
        page = client.get("/signin")
        assert "identitetsleverandør" in read(page)
        assert "Kari" not in read(page)
        assert post(client, "/signin", "/", customer=people.invoiced.customer_number).status_code == 404
        assert client.get(f"/mypage/{people.invoiced.number}").status_code == 302

    def test_signing_out(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.invoiced)
        overview = f"/mypage/{people.invoiced.number}"
        assert post(client, "/signout", overview).status_code == 303
        assert client.get(overview).status_code == 302

    def test_the_language_is_the_customers_until_switched(self, client: FlaskClient, people: People) -> None:
        sign_in(client, people.english)
        overview = f"/mypage/{people.english.number}"
        assert "To pay now NOK 0.00" in read(client.get(overview))
        answer = post(client, "/language", overview, language="nb", next=overview)
        assert answer.headers["Location"] == overview
        assert "Å betale nå 0,00 kr" in read(client.get(overview))
        assert post(client, "/language", overview, language="xx", next="//evil.example").headers["Location"] == "/"
        assert "Å betale nå" in read(client.get(overview))


class TestWhoSeesWhat:
    @pytest.mark.parametrize("page", PAGES)
    def test_one_sees_ones_own(self, client: FlaskClient, people: People, page: str) -> None:
        sign_in(client, people.invoiced)
        assert client.get(f"/mypage/{people.invoiced.number}{page}").status_code == 200

    @pytest.mark.parametrize("page", PAGES)
    def test_anothers_does_not_exist(self, client: FlaskClient, people: People, page: str) -> None:
        sign_in(client, people.invoiced)
        missing = client.get(f"/mypage/99999999{page}")
        others = client.get(f"/mypage/{people.blocked.number}{page}")
        assert (others.status_code, read(others)) == (404, read(missing))

    def test_nor_do_anothers_invoice_and_vehicle(self, client: FlaskClient, people: People, session: Session) -> None:
        number = session.scalars(
            text("SELECT number FROM documents WHERE agreement_id = :id"), {"id": people.blocked.agreement_id}
        ).first()
        registration = session.scalars(
            select(Registration.id).where(Registration.agreement_id == people.blocked.agreement_id)
        ).one()
        mine, theirs = f"/mypage/{people.invoiced.number}", f"/mypage/{people.blocked.number}"
        sign_in(client, people.invoiced)
        for base in (mine, theirs):
            for path in (
                f"/invoices/{number}", f"/invoices/{number}.pdf",
                f"/vehicles/{registration}/remove", f"/vehicles/{registration}/removed",
            ):  # fmt: skip
                assert client.get(base + path).status_code == 404, base + path
            for path in (f"/vehicles/{registration}/remove", f"/vehicles/{registration}/removed"):
                assert post(client, base + path, mine, **{"from": "now"}).status_code == 404
        for path in ("/vehicles", "/card/register", "/card/remove"):
            assert post(client, theirs + path, mine, plate="EL99999").status_code == 404
        session.rollback()
        assert session.get_one(Registration, registration).valid_to is None

    @pytest.mark.parametrize("page", PAGES)
    def test_who_is_not_signed_in_is_asked_to(self, client: FlaskClient, people: People, page: str) -> None:
        path = f"/mypage/{people.invoiced.number}{page}"
        answer = client.get(path)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"/signin?next={path}")

    def test_every_form_needs_its_token_and_a_session(self, app: Flask, client: FlaskClient, people: People) -> None:
        rules = [
            rule
            for rule in app.url_map.iter_rules()
            if rule.endpoint.split(".")[0] in ("mypage", "signin") and "POST" in (rule.methods or ())
        ]
        assert len(rules) >= 11
        known: dict[str, Any] = {
            "number": people.invoiced.number,
            "registration_id": 1,
            "passage_id": 1,
            "complaint": 1,
            "card_id": 1,
            "charge_id": 1,
            "invoice_number": 100_000_001,
            "reference": "brikke-1",
        }
        with app.test_request_context():
            for rule in rules:
                path = app.url_for(rule.endpoint, **{name: known[name] for name in rule.arguments})
                if not rule.endpoint.startswith("mypage.") or rule.endpoint == "mypage.create":
                    assert client.post(path).status_code == 403, path
                    continue
                for answer in (client.post(path), post(client, path, "/signin")):
                    assert answer.status_code == 303, path
                    assert answer.headers["Location"].startswith("/signin?next=/mypage"), path
        assert "csrf_token" in client.get("/signin").text
        sign_in(client, people.invoiced)
        with app.test_request_context():
            for rule in rules:
                path = app.url_for(rule.endpoint, **{name: known[name] for name in rule.arguments})
                assert client.post(path).status_code == 403, path


class TestBeingSignedOutMeanwhile:
    @pytest.mark.parametrize(
        ("form", "page"),
        [
            ("/card/register", "/card"), ("/vehicles", "/vehicles"),
            ("/vehicles/{car}/remove", "/vehicles/{car}/remove"),
        ],
    )  # fmt: skip
    def test_a_form_leads_to_signing_in_and_back_and_does_nothing(
        self, client: FlaskClient, people: People, session: Session, form: str, page: str
    ) -> None:
        car = session.scalars(
            select(Registration.id).where(Registration.agreement_id == people.invoiced.agreement_id).limit(1)
        ).one()
        mine = f"/mypage/{people.invoiced.number}"
        sign_in(client, people.invoiced)
        with client.session_transaction() as held:
            held["seen"] -= 3 * 60 * 60
            held["language"] = "en"
            token = held["csrf"]
        before = count(session, Registration)
        fields = {"csrf_token": token, "plate": "EL99999", "from": "now", "country": "NO"}
        answer = client.post((mine + form).format(car=car), data=fields)
        there = (mine + page).format(car=car)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/signin?next={there}&signed_out=1")
        assert "You had been signed out, and nothing was changed." in read(client.get(answer.headers["Location"]))
        back = post(client, "/signin", answer.headers["Location"], customer=people.invoiced.customer_number, next=there)
        assert back.headers["Location"] == there
        assert client.get(there).status_code == 200
        session.rollback()
        assert count(session, Registration) == before
        assert session.get_one(Registration, car).valid_to is None

    def test_without_a_cookie_none_is_set_so_that_no_other_site_can_sign_people_out(
        self, client: FlaskClient, people: People
    ) -> None:
        answer = client.post(f"/mypage/{people.invoiced.number}/card/register")
        assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (303, [])

    def test_it_is_said_outside_a_demo_too(self, settings: Settings, engine: Engine, people: People) -> None:
        client = create_app(replace(settings, demo=False), engine).test_client()
        answer = client.post(f"/mypage/{people.invoiced.number}/card/register", follow_redirects=True)
        assert "Du var logget ut, og ingenting ble endret." in read(answer)
