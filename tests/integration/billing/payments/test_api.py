"""Payments over HTTP."""

from __future__ import annotations

import datetime as dt

import pytest
from flask.testing import FlaskClient

from config.clock import move_clock
from simulator.bank import BankPayment
from tests.integration.billing.books import Books, Invoice, body, noon
from tests.integration.conftest import Bearer

TODAY = dt.date(2026, 2, 10)


@pytest.fixture
def invoice(books: Books) -> Invoice:
    """An invoice, and a payment of 7 000 øre without KID in suspense."""
    invoice = books.invoice(books.agreement(), 10_000)
    books.pay("", 7_000, TODAY)
    move_clock(books.session, noon(TODAY), running=False)
    books.session.commit()
    return invoice


def test_a_file_in_and_the_same_again(books: Books, client: FlaskClient, bearer: Bearer, invoice: Invoice) -> None:
    content = books.file(BankPayment(invoice.kid, 4_000, TODAY))
    headers = {**bearer("operator"), "Content-Type": "application/octet-stream"}
    first = client.post("/v1/bank-files?name=OCR.D1", data=content, headers=headers)
    assert first.status_code == 200, body(first)
    assert (body(first)["state"], body(first)["matched"], body(first)["name"]) == ("booked", 1, "OCR.D1")
    assert body(client.post("/v1/bank-files", data=content, headers=headers))["state"] == "already"
    assert books.open_ore(invoice) == 6_000


def test_a_refused_file_is_a_problem_and_is_kept(books: Books, client: FlaskClient, bearer: Bearer) -> None:
    books.session.commit()
    headers = {**bearer("operator"), "Content-Type": "text/plain"}
    answer = client.post("/v1/bank-files", data=b"NY", headers=headers)
    assert answer.status_code == 422
    assert body(answer)["type"] == "/problems/bank-file-refused"
    assert body(answer)["errors"][0]["line"] == 1
    assert books.value("SELECT state FROM bank_files") == "refused"
    assert client.post("/v1/bank-files", json={}, headers=bearer("operator")).status_code == 415
    assert client.post("/v1/bank-files", data=b"NY", headers=bearer("agent")).status_code == 403


def test_suspense_is_listed_and_placed_once(
    books: Books, client: FlaskClient, bearer: Bearer, invoice: Invoice
) -> None:
    listed = body(client.get("/v1/payments?state=suspense", headers=bearer("accountant")))["items"]
    assert [(row["amount_ore"], row["why"]) for row in listed] == [(7_000, "no_kid")]
    path = f"/v1/payments/{listed[0]['id']}/assign"
    what = {"agreement": books.number(invoice.agreement), "invoice": invoice.number, "reason": "A receipt by mail."}
    headers = {**bearer("agent", subject="kari"), "Idempotency-Key": "k1"}
    done = client.post(path, json=what, headers=headers)
    assert done.status_code == 200, body(done)
    assert (body(done)["state"], body(done)["invoice"]) == ("settled", invoice.number)
    assert body(client.post(path, json=what, headers=headers)) == body(done)
    again = client.post(path, json=what, headers={**headers, "Idempotency-Key": "k2"})
    assert (again.status_code, body(again)["type"]) == (409, "/problems/already-placed")
    assert books.open_ore(invoice) == 3_000
    assert books.value("SELECT action FROM audit_trail WHERE reason = 'A receipt by mail.'") == "payment.assign"
    books.prove(noon(TODAY))


def test_a_payment_placed_on_an_agreement_becomes_credit(
    books: Books, client: FlaskClient, bearer: Bearer, invoice: Invoice
) -> None:
    payment = books.one("SELECT id FROM payments")
    what = {"agreement": books.number(invoice.agreement), "reason": "Called."}
    headers = {**bearer("agent"), "Idempotency-Key": "k1"}
    assert client.post(f"/v1/payments/{payment}/assign", json=what, headers=headers).status_code == 200
    assert books.credit(invoice.agreement) == 7_000
    books.prove(noon(TODAY))


def test_an_invoice_of_somebody_else_is_refused(
    books: Books, client: FlaskClient, bearer: Bearer, invoice: Invoice
) -> None:
    other = books.number(books.agreement())
    books.session.commit()
    payment = books.one("SELECT id FROM payments")
    headers = {**bearer("agent"), "Idempotency-Key": "k1"}
    what = {"agreement": other, "invoice": invoice.number, "reason": "Wrong."}
    assert client.post(f"/v1/payments/{payment}/assign", json=what, headers=headers).status_code == 422
    assert client.post("/v1/payments/99/assign", json=what, headers=headers).status_code in (404, 422)
    assert books.value("SELECT state FROM payments") == "suspense"


def test_a_customer_sees_their_own_payments_only(
    books: Books, client: FlaskClient, bearer: Bearer, invoice: Invoice
) -> None:
    books.pay(invoice.kid, 4_000, TODAY)
    books.session.commit()
    number = books.number(invoice.agreement)
    customer = books.one("SELECT customer_id FROM agreements WHERE id = :id", id=invoice.agreement)
    page = client.get(f"/v1/agreements/{number}/payments", headers=bearer("customer", customer_id=customer))
    assert page.status_code == 200, body(page)
    assert [(row["amount_ore"], row["invoice"]) for row in body(page)["items"]] == [(4_000, invoice.number)]
    assert "archive_ref" not in body(page)["items"][0]
    other = client.get(f"/v1/agreements/{number}/payments", headers=bearer("customer", customer_id=customer + 1))
    assert other.status_code == 404
