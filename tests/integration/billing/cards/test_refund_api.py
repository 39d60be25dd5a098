"""Refunds and disputes over HTTP: who may do what, and what a repeat does."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from billing.cards.models import Charge
from config.clock import move_clock
from tests.integration.billing.books import Books, body
from tests.integration.billing.cards.payer import NOW, CardPayer
from tests.integration.conftest import Bearer


@pytest.fixture
def payer(books: Books) -> CardPayer:
    """A business card's payment of NOK 3,000 and some."""
    made = CardPayer(books, "commercial")
    made.paid(300_000, 5_000, 700)
    move_clock(books.session, NOW, running=False)
    books.session.commit()
    return made


@pytest.fixture
def charge(books: Books, payer: CardPayer) -> int:
    """The charge's id."""
    del payer
    return books.one("SELECT id FROM charges")


def test_an_agent_refunds_a_passage_once(
    books: Books, payer: CardPayer, charge: int, client: FlaskClient, bearer: Bearer
) -> None:
    where, asked = f"/v1/charges/{charge}/refunds", {"passages": [payer.passages[1]], "reason": "wrong class"}
    headers = {**bearer("agent"), "Idempotency-Key": "a"}
    answers = [client.post(where, json=asked, headers=headers) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 201], answers[0].text
    first: dict[str, Any] = body(answers[0])
    assert first == body(answers[1])
    assert (first["refund"]["state"], first["refund"]["amount_ore"]) == ("approved", 5_101), "with its part of the fee"
    assert first["credit_note"]
    listed = body(client.get(where, headers=bearer("accountant")))
    assert [one["id"] for one in listed["items"]] == [first["refund"]["id"]]
    again = client.post(where, json=asked, headers={**bearer("agent"), "Idempotency-Key": "b"})
    assert (again.status_code, body(again)["type"]) == (409, "/problems/nothing-left")
    books.prove(NOW)


def test_a_large_one_takes_a_second_agent(
    books: Books, payer: CardPayer, charge: int, client: FlaskClient, bearer: Bearer
) -> None:
    asked = client.post(
        f"/v1/charges/{charge}/refunds", json={"everything": True, "reason": "sold"},
        headers={**bearer("agent", subject="kari"), "Idempotency-Key": "a"},
    )  # fmt: skip
    assert asked.status_code == 201, asked.text
    number = body(asked)["refund"]["id"]
    assert body(asked)["refund"]["state"] == "requested"

    def post(role: str, subject: str, what: str) -> int:
        headers = {**bearer(role, subject=subject), "Idempotency-Key": f"{role}{subject}{what}"}
        return client.post(f"/v1/card-refunds/{number}/{what}", headers=headers).status_code

    assert post("agent", "kari", "approve") == 403
    assert post("lead", "kari", "approve") == 403, "one person has two roles"
    assert post("accountant", "eva", "approve") == 403
    assert [post("agent", "ola", "approve") for _ in range(2)] == [200, 200]
    assert post("agent", "ola", "cancel") == 200
    assert [one["state"] for one in body(client.get("/v1/card-refunds", headers=bearer("lead")))["items"]] == [
        "cancelled"
    ]
    assert body(client.get("/v1/card-refunds?state=requested", headers=bearer("lead")))["items"] == []
    assert books.one("SELECT count(*) FROM audit_trail WHERE action LIKE 'card_refund.%'") >= 3
    books.prove(NOW)


@pytest.mark.parametrize("role", ["customer", "accountant", "operator", "charger"])
def test_others_refund_nothing(books: Books, charge: int, client: FlaskClient, bearer: Bearer, role: str) -> None:
    about: dict[str, Any] = {
        "customer": {"customer_id": books.one("SELECT min(customer_id) FROM agreements")},
        "charger": {"charger": "FJELL"},
    }
    headers = {**bearer(role, **about.get(role, {})), "Idempotency-Key": "a"}
    asked = {"everything": True, "reason": "x"}
    assert client.post(f"/v1/charges/{charge}/refunds", json=asked, headers=headers).status_code == 403
    for what in ("approve", "cancel"):
        assert client.post(f"/v1/card-refunds/1/{what}", headers=headers).status_code == 403
    if role != "accountant":
        for path in (f"/v1/charges/{charge}/refunds", "/v1/card-refunds", "/v1/card-disputes"):
            assert client.get(path, headers=headers).status_code == 403
    assert books.one("SELECT count(*) FROM card_refunds") == 0


def test_what_makes_no_sense(charge: int, client: FlaskClient, bearer: Bearer) -> None:
    def post(number: int, **asked: object) -> int:
        headers = {**bearer("agent"), "Idempotency-Key": str(asked)}
        return client.post(f"/v1/charges/{number}/refunds", json=asked, headers=headers).status_code

    assert post(charge) == 422
    assert post(charge, reason=" ") == 422
    assert post(charge, reason="x", amount_ore=-1) == 422
    assert post(charge, reason="x", amount_ore=5, everything=True) == 422
    assert post(charge, reason="x", amount_ore=5) == 409
    assert post(charge, reason="x", passages=[4711]) == 404
    assert post(4711, reason="x", everything=True) == 404
    headers = {**bearer("agent"), "Idempotency-Key": "n"}
    assert client.post("/v1/card-refunds/4711/approve", headers=headers).status_code == 404
    assert client.get("/v1/charges/4711/refunds", headers=bearer("agent")).status_code == 404


def test_disputes_are_listed_with_the_day_by_which_the_bank_wants_an_answer(
    books: Books, payer: CardPayer, client: FlaskClient, bearer: Bearer
) -> None:
    payer.dispute(books.session.query(Charge).one(), "open", 1_000)
    books.session.commit()
    (row,) = body(client.get("/v1/card-disputes?state=opened", headers=bearer("agent")))["items"]
    assert (row["withdrawn_ore"], row["state"], row["evidence_due_at"][:10]) == (1_000, "opened", "2026-02-16")
    assert body(client.get("/v1/card-disputes?state=lost", headers=bearer("agent")))["items"] == []
