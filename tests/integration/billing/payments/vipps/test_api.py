"""Payments, refunds and webhooks over HTTP: own and other people's, roles, keys, signatures, repeats."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from config.clock import move_clock
from config.settings import Settings, load
from simulator.vipps import VippsServer
from simulator.vipps.courier import signed
from tests.integration.billing.books import body
from tests.integration.billing.payments.vipps.payer import NOW, Payer
from tests.integration.conftest import Bearer

HOOK = "http://127.0.0.1:8000/v1/webhooks/vipps"


@pytest.fixture
def settings(tmp_path: Path, vipps: VippsServer) -> Settings:
    """Vipps as the stand-in is known by."""
    ids = vipps.ids
    return load(
        {
            "BRIKKE_VAR": str(tmp_path / "var"), "VIPPS_URL": vipps.url, "VIPPS_CLIENT_ID": ids.client_id,
            "VIPPS_CLIENT_SECRET": ids.client_secret, "VIPPS_SUBSCRIPTION_KEY": ids.subscription_key,
            "VIPPS_MSN": ids.msn, "VIPPS_WEBHOOK_SECRETS": f"an-old-secret,{ids.webhook_secret}",
        },
        tmp_path / ".env",
    )  # fmt: skip


@pytest.fixture
def customer(payer: Payer) -> Iterator[int]:
    """The payer's customer id, the business clock at NOW."""
    session = payer.books.session
    move_clock(session, NOW, running=False)
    owner = payer.books.one("SELECT customer_id FROM agreements WHERE id = :a", a=payer.invoice.agreement)
    session.commit()
    yield owner
    session.rollback()


def begin(
    client: FlaskClient, payer: Payer, headers: dict[str, str], *, key: str = "", back: str = "/"
) -> TestResponse:
    return client.post(
        f"/v1/invoices/{payer.invoice.number}/vipps-payments",
        headers={**headers, "Idempotency-Key": key or secrets.token_hex(8)},
        json={"return_url": back},
    )


def hook(client: FlaskClient, vipps: VippsServer, raw: bytes, **changed: str) -> TestResponse:
    headers = signed(HOOK, raw, vipps.ids.webhook_secret) | changed
    return client.post("/v1/webhooks/vipps", data=raw, headers=headers)


def test_a_customer_pays_their_own_invoice(
    client: FlaskClient, payer: Payer, customer: int, bearer: Bearer, vipps: VippsServer
) -> None:
    mine = bearer("customer", customer_id=customer)
    made = begin(client, payer, mine, key="first", back="/mypage/1/vipps/{reference}")
    assert (made.status_code, body(made)["state"], body(made)["amount_ore"]) == (201, "created", 12_345)
    assert body(begin(client, payer, mine, key="first"))["reference"] == body(made)["reference"]
    assert body(begin(client, payer, mine, key="second"))["reference"] == body(made)["reference"]
    reference = body(made)["reference"]
    assert vipps.books()["payments"][reference]["return_url"].endswith(f"/mypage/1/vipps/{reference}")
    vipps.do(reference, "approve")
    assert body(hook(client, vipps, vipps.courier.kept[-1]))["effect"] == "capturing"
    shown = body(client.get(f"/v1/vipps-payments/{reference}", headers=mine))
    assert (shown["state"], shown["captured_ore"], shown["url"]) == ("captured", 12_345, None)
    listed = body(client.get(f"/v1/invoices/{payer.invoice.number}/vipps-payments", headers=mine))
    assert [one["reference"] for one in listed["items"]] == [reference]
    assert begin(client, payer, mine).status_code == 409
    payer.prove()


def test_others_do_not_see_it_and_roles_are_kept(
    client: FlaskClient, payer: Payer, customer: int, bearer: Bearer, vipps: VippsServer
) -> None:
    reference = body(begin(client, payer, bearer("customer", customer_id=customer)))["reference"]
    other, path = bearer("customer", customer_id=customer + 1), f"/v1/invoices/{payer.invoice.number}/vipps-payments"
    assert begin(client, payer, other).status_code == 404
    assert client.get(path, headers=other).status_code == 404
    assert client.get(f"/v1/vipps-payments/{reference}", headers=other).status_code == 404
    for role in ("agent", "lead", "accountant", "operator"):
        assert begin(client, payer, bearer(role)).status_code == 403
    for role in ("customer", "accountant"):
        who = bearer(role, **({"customer_id": customer} if role == "customer" else {}))
        asked = client.post(
            f"/v1/vipps-payments/{reference}/refunds", json={"reason": "x"}, headers={**who, "Idempotency-Key": "r"}
        )
        assert asked.status_code == 403
    assert client.get("/v1/vipps-refunds", headers=bearer("customer", customer_id=customer)).status_code == 403
    assert client.get(path, headers=bearer("accountant")).status_code == 200


def test_a_key_is_needed_and_the_way_back_is_ours(
    client: FlaskClient, payer: Payer, customer: int, bearer: Bearer
) -> None:
    mine, path = bearer("customer", customer_id=customer), f"/v1/invoices/{payer.invoice.number}/vipps-payments"
    assert client.post(path, headers=mine, json={"return_url": "/"}).status_code == 428
    assert begin(client, payer, mine, back="https://evil.example/").status_code == 422
    assert payer.books.one("SELECT count(*) FROM vipps_payments") == 0


def test_vipps_that_does_not_answer_is_503_and_again_is_harmless(
    client: FlaskClient, payer: Payer, customer: int, bearer: Bearer, vipps: VippsServer
) -> None:
    mine = bearer("customer", customer_id=customer)
    vipps.fault("error", on="create")
    assert begin(client, payer, mine, key="k").status_code == 503
    assert begin(client, payer, mine, key="k").status_code == 201
    assert len(vipps.books()["payments"]) == 1


def test_support_refunds_and_a_second_person_approves(
    client: FlaskClient, payer: Payer, customer: int, bearer: Bearer, vipps: VippsServer
) -> None:
    reference = payer.pay()
    payer.overpaid(5_000)
    path = f"/v1/vipps-payments/{reference}/refunds"
    kari = {**bearer("agent", subject="kari"), "Idempotency-Key": "r1"}
    asked = client.post(path, json={"amount_ore": 1_000, "reason": "Feil klasse"}, headers=kari)
    assert (asked.status_code, body(asked)["state"]) == (201, "approved")
    again = client.post(path, json={"amount_ore": 1_000, "reason": "Feil klasse"}, headers=kari)
    assert body(again)["id"] == body(asked)["id"]
    stopped = client.post(
        f"/v1/vipps-refunds/{body(asked)['id']}/cancel", headers={**bearer("lead"), "Idempotency-Key": "c"}
    )
    assert body(stopped)["state"] == "cancelled"
    refused = client.post(
        f"/v1/vipps-refunds/{body(asked)['id']}/approve", headers={**bearer("lead"), "Idempotency-Key": "a"}
    )
    assert refused.status_code == 409
    listed = body(client.get("/v1/vipps-refunds?state=cancelled", headers=bearer("accountant")))
    assert [one["id"] for one in listed["items"]] == [body(asked)["id"]]
    told = payer.books.session.scalars(
        text("SELECT action FROM audit_trail WHERE action LIKE 'vipps_refund%' ORDER BY id")
    )
    assert list(told) == ["vipps_refund.request", "vipps_refund.cancel"]


class TestWebhook:
    """Signed, once, in any order; what is not ours is harmless."""

    def test_repeats_and_old_news_do_nothing(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        reference = payer.pay()
        assert payer.row().reference == reference
        effects = [body(hook(client, vipps, raw))["effect"] for raw in reversed(vipps.courier.kept)]
        assert effects == ["captured"] * 3  # CAPTURED, AUTHORIZED, CREATED
        again = [body(hook(client, vipps, raw))["effect"] for raw in vipps.courier.kept]
        assert again == ["repeated"] * 3
        assert payer.books.one("SELECT count(*) FROM provider_events WHERE provider = 'vipps'") == 3
        payer.prove()

    def test_an_event_alone_pays_the_invoice(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        """The browser never comes back."""
        made = payer.begin()
        vipps.do(made.reference, "approve")
        assert hook(client, vipps, vipps.courier.kept[-1]).status_code == 200
        assert payer.row().state == "captured"
        payer.prove()

    @pytest.mark.parametrize(
        "said",
        [
            b"[]", b"not json", b'{"name": 7, "reference": {}}', b'{"reference": "brikke-of-others", "name": "X"}',
            b"[" * 5_000, b'{"reference": "' + b"x" * 70 + b'"}', '{"name": "Æ", "reference": "\\u0000"}'.encode(),
        ],
    )  # fmt: skip
    def test_what_is_not_ours_is_stored_as_ignored(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer, said: bytes
    ) -> None:
        answer = hook(client, vipps, said)
        assert (answer.status_code, body(answer)["effect"]) == (200, "ignored")
        assert body(hook(client, vipps, said))["effect"] == "repeated"

    def test_another_sales_units_event_is_ignored(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        event: dict[str, Any] = json.loads(vipps.courier.kept[-1]) | {"msn": "999999"}
        assert body(hook(client, vipps, json.dumps(event).encode()))["effect"] == "ignored"
        assert payer.row().state == "created"

    @pytest.mark.parametrize(
        "changed",
        [
            {"Authorization": "x"}, {"x-ms-date": "Sun, 22 Nov 2020 12:00:00 GMT"}, {"x-ms-content-sha256": "x"},
            {"Host": "evil.example"},
        ],
    )  # fmt: skip
    def test_what_is_not_signed_changes_nothing(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer, changed: dict[str, str]
    ) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        if "Host" in changed:
            raw = vipps.courier.kept[-1]
            headers = signed("http://evil.example/v1/webhooks/vipps", raw, vipps.ids.webhook_secret)
            headers.pop("Host")
            answer = client.post("/v1/webhooks/vipps", data=raw, headers=headers)
        else:
            answer = hook(client, vipps, vipps.courier.kept[-1], **changed)
        assert (answer.status_code, body(answer)["type"]) == (400, "/problems/bad-signature")
        assert payer.row().state == "created"
        assert payer.books.one("SELECT count(*) FROM provider_events") == 0

    def test_what_is_empty_or_too_large_is_no_event(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        for raw in (b"", b"x" * (64 * 1024 + 1)):
            assert hook(client, vipps, raw).status_code == 422

    def test_the_secret_of_before_is_good_while_it_is_changed(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        raw = b'{"name": "CREATED"}'
        answer = client.post("/v1/webhooks/vipps", data=raw, headers=signed(HOOK, raw, "an-old-secret"))
        assert answer.status_code == 200

    def test_what_cannot_be_read_now_comes_again(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        vipps.fault("error", on="get")
        assert hook(client, vipps, vipps.courier.kept[-1]).status_code == 503
        assert payer.books.one("SELECT count(*) FROM provider_events") == 0
        assert hook(client, vipps, vipps.courier.kept[-1]).status_code == 200
        assert payer.row().state == "captured"

    def test_a_capture_that_fails_then_is_the_jobs(
        self, client: FlaskClient, payer: Payer, customer: int, vipps: VippsServer
    ) -> None:
        made = payer.begin()
        vipps.do(made.reference, "approve")
        vipps.fault("error", on="capture", when="before")
        assert body(hook(client, vipps, vipps.courier.kept[-1]))["effect"] == "capturing"
        assert payer.row().state == "capturing"
        assert payer.carry() == "captured"
        payer.prove()


def test_without_vipps_there_is_none(tmp_path: Path, engine: Any, payer: Payer, customer: int) -> None:
    from accounts.access import tokens
    from tests.applications import application

    bare = load({"BRIKKE_VAR": str(tmp_path / "var")}, tmp_path / ".env")
    app: Flask = application(bare, engine)
    who = {"Authorization": f"Bearer {tokens.issue(bare, 'customer', customer_id=customer)}"}
    refused = begin(app.test_client(), payer, who)
    assert (refused.status_code, body(refused)["type"]) == (409, "/problems/no-vipps")
    assert app.test_client().post("/v1/webhooks/vipps", data=b"{}").status_code == 409
