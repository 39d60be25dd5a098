"""Becoming a customer, and changing what we know of one."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer, Message
from accounts.vehicles.models import Registration
from tests.browser.world import People, Town
from tests.integration.web.mypage.pages import count, post, read, sign_in

NEWCOMER = {
    "kind": "private",
    "name": "Nora Ny",
    "email": "nora@kunde.example",
    "street": "Storgata 1",
    "postal_code": "0181",
    "city": "Oslo",
    "country": "NO",
    "language": "nb",
    "plate": "EL 90909",
    "plate_country": "NO",
}


class TestBecomingACustomer:
    def test_a_private_person_with_a_vehicle(self, client: FlaskClient, town: Town, session: Session) -> None:
        answer = post(client, "/mypage/new", **NEWCOMER)
        assert answer.status_code == 303
        page = read(client.get(answer.headers["Location"]))
        assert "Velkommen, Nora Ny" in page
        assert "EL 90909" in page
        assert "1–5 virkedager" in page
        customer = session.scalars(select(Customer)).one()
        assert (customer.kind, customer.email, customer.language) == ("private", "nora@kunde.example", "nb")
        assert session.scalars(select(Registration.plate)).all() == ["EL90909"]
        assert session.scalars(select(Message.template)).all() == ["welcome"]

    def test_a_business_in_english(self, client: FlaskClient, town: Town, session: Session) -> None:
        form = {**NEWCOMER, "kind": "business", "org_no": "999 999 980", "language": "en", "plate": ""}
        answer = post(client, "/mypage/new", **form)
        assert "What happens now" in read(client.get(answer.headers["Location"]))
        customer = session.scalars(select(Customer)).one()
        assert (customer.kind, customer.org_no, customer.language) == ("business", "999999980", "en")
        assert count(session, Registration) == 0

    def test_mistakes_stand_beside_their_fields_and_nothing_is_lost(
        self, client: FlaskClient, town: Town, session: Session
    ) -> None:
        form = {**NEWCOMER, "kind": "business", "org_no": "123456789", "email": "nora", "postal_code": "18", "name": ""}
        answer = post(client, "/mypage/new", **form)
        assert answer.status_code == 422
        body = answer.get_data(as_text=True)
        for field in ("name", "org_no", "email", "postal_code"):
            shown = re.search(rf'<input id="{field}"[^>]*>', body)
            assert shown, field
            assert 'aria-invalid="true"' in shown[0]
            assert f'aria-describedby="{field}-error' in shown[0]
            assert f'id="{field}-error"' in body
        assert "aria-invalid" not in re.findall(r'<input id="city"[^>]*>', body)[0]
        for value in ("123456789", "nora", "18", "Storgata 1", "EL 90909"):
            assert f'value="{value}"' in body
        assert "Navn: Dette må fylles ut." in read(answer)
        assert "Et norsk postnummer har fire sifre." in read(answer)
        assert count(session, Customer) == 0

    @pytest.mark.parametrize(
        ("plate", "country"), [("EL12345", "NO"), ("ABC 123 456 789 012 345", "NO"), ("A1", "xx1")]
    )
    def test_a_vehicle_that_cannot_be_had_makes_no_customer(
        self, client: FlaskClient, people: People, session: Session, plate: str, country: str
    ) -> None:
        before = count(session, Customer), count(session, Agreement)
        answer = post(client, "/mypage/new", **{**NEWCOMER, "plate": plate, "plate_country": country})
        assert answer.status_code == 422
        assert 'value="Nora Ny"' in answer.get_data(as_text=True)
        session.rollback()
        assert (count(session, Customer), count(session, Agreement)) == before

    def test_markup_in_a_name_is_only_text(self, client: FlaskClient, town: Town) -> None:
        answer = post(client, "/mypage/new", **{**NEWCOMER, "name": "<b onclick=x>Ola</b> {name}"})
        page = client.get(answer.headers["Location"]).get_data(as_text=True)
        assert "&lt;b onclick=x&gt;Ola&lt;/b&gt; {name}" in page

    def test_a_form_sent_twice_at_once_makes_one_customer(self, app: Flask, town: Town, session: Session) -> None:
        client = app.test_client()
        body = client.get("/mypage/new").get_data(as_text=True)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)"', body))
        cookie = client.get_cookie("brikke")
        assert cookie
        assert hidden["once"]

        def send(_: int) -> tuple[int, str]:
            other = app.test_client()
            other.set_cookie("brikke", cookie.value)
            answer = other.post("/mypage/new", data={**NEWCOMER, **hidden})
            return answer.status_code, answer.headers["Location"]

        with ThreadPoolExecutor(4) as pool:
            answers = set(pool.map(send, range(4)))
        assert len(answers) == 1
        assert count(session, Customer) == 1
        assert count(session, Agreement) == 1

    def test_a_further_agreement(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.blocked)
        assert "Fornavn" not in read(client.get("/mypage/new"))
        answer = post(client, "/mypage/new/agreement", "/mypage/new", plate="EK 11111", plate_country="NO")
        assert answer.status_code == 303
        mine = select(Agreement.number).where(Agreement.customer_id == people.blocked.customer_id)
        [new] = set(session.scalars(mine)) - {people.blocked.number}
        listed = read(client.get("/mypage/"))
        assert f"Brikkeavtale {people.blocked.number} Sperret" in listed
        assert f"Brikkeavtale {new} Åpen" in listed


class TestContact:
    FORM: ClassVar[dict[str, str]] = {
        "email": "per@ny.example", "phone": "22 33 44 55", "street": "Nygata 2", "postal_code": "5003",
        "city": "Bergen", "country": "NO", "language": "en",
    }  # fmt: skip

    def test_changing(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.blocked)
        assert post(client, "/mypage/contact", version=1, **self.FORM).status_code == 303
        assert "Your details are saved." in read(client.get("/mypage/contact"))
        customer = session.get_one(Customer, people.blocked.customer_id)
        assert (customer.email, customer.phone, customer.language) == ("per@ny.example", "+4722334455", "en")
        assert customer.name == people.blocked.name

    def test_mistakes_keep_what_was_typed(self, client: FlaskClient, people: People, session: Session) -> None:
        sign_in(client, people.blocked)
        answer = post(client, "/mypage/contact", version=1, **{**self.FORM, "email": "a b", "phone": "12"})
        assert answer.status_code == 422
        body = answer.get_data(as_text=True)
        assert 'value="a b"' in body
        assert 'value="Nygata 2"' in body
        assert "Telefon: Skriv et telefonnummer" in read(answer)
        assert session.get_one(Customer, people.blocked.customer_id).street == "Fjellveien 12"

    @pytest.mark.parametrize("version", ["0", "7", "", "x", "9" * 40])
    def test_what_changed_meanwhile_is_not_overwritten(
        self, client: FlaskClient, people: People, session: Session, version: str
    ) -> None:
        sign_in(client, people.blocked)
        answer = post(client, "/mypage/contact", version=version, **self.FORM)
        assert answer.status_code == 422
        assert "Dette ble endret et annet sted i mellomtiden." in read(answer)
        assert session.get_one(Customer, people.blocked.customer_id).version == 1
