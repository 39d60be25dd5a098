"""Access through HTTP: guards, idempotency, the browser's session, the trail."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace

import flask
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

import web.app
from accounts.access import browser, idempotency
from accounts.access.models import IdempotencyKey, TrailEntry
from accounts.access.principal import Principal, principal
from config.clock import now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.conftest import Bearer
from tests.integration.web.test_requests import entries, order, problem


def test_a_guard_stands_before_the_body(http: FlaskClient, bearer: Bearer) -> None:
    answer = http.post("/v1/example/orders", data=b"{", content_type="application/json")
    problem(answer, 401, "no-token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="brikke"'
    answer = http.post("/v1/example/orders", data=b"{", headers={"Authorization": "Bearer x.y.z"})
    problem(answer, 401, "invalid-token")
    assert "invalid_token" in answer.headers["WWW-Authenticate"]
    headers = bearer("customer", customer_id=7)
    problem(http.post("/v1/example/orders", data=b"{", headers=headers), 403, "forbidden")


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_only_bearer_tokens_are_taken(http: FlaskClient, bearer: Bearer, scheme: str) -> None:
    token = bearer("agent")["Authorization"].removeprefix("Bearer ")
    problem(http.get("/v1/example/orders", headers={"Authorization": f"{scheme} {token}".strip()}), 401)


def test_a_repeat_gets_the_same_answer(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    first, again = order(http, bearer("agent")), order(http, bearer("agent"))
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.status_code, again.get_json()) == (first.status_code, first.get_json()) == (201, first.get_json())
    assert again.headers["Location"] == first.headers["Location"]
    assert entries(sessions) == 1


def test_a_key_is_for_one_request_of_one_principal(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    order(http, bearer("agent"))
    problem(order(http, bearer("agent"), amount_ore=1), 422, "idempotency-key-reused")
    assert order(http, bearer("agent", subject="ola"), amount_ore=1).status_code == 201
    assert order(http, bearer("agent"), key="k-2").status_code == 201
    assert entries(sessions) == 3


def test_a_key_is_demanded(http: FlaskClient, bearer: Bearer) -> None:
    problem(order(http, bearer("agent"), key=""), 428, "precondition-required")
    problem(order(http, bearer("agent"), key="x" * 201), 422, "invalid")


def test_what_was_refused_may_be_put_right(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    problem(order(http, bearer("agent"), word="missing"), 404)
    problem(order(http, bearer("agent"), word=""), 422, "invalid")
    assert order(http, bearer("agent")).status_code == 201
    assert entries(sessions) == 1


def test_of_many_at_once_one_has_an_effect(example: Flask, bearer: Bearer, sessions: SessionFactory) -> None:
    headers, start, found = bearer("agent"), threading.Barrier(6), []

    def send() -> None:
        http = example.test_client()
        start.wait()
        answer = order(http, headers)
        found.append((answer.status_code, answer.headers.get("Idempotent-Replayed")))

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=str) == [(201, "true")] * 5 + [(201, None)]
    assert entries(sessions) == 1


def test_one_that_takes_long_is_not_waited_for_for_ever(
    http: FlaskClient, bearer: Bearer, sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "WAIT", "100ms")
    with sessions() as other:
        other.add(
            IdempotencyKey(
                principal="agent:agent",
                key="k-1",
                request_hash=b"",
                status=0,
                body={},
                headers={},
                created_at=now_utc(),
            )
        )
        other.flush()
        problem(order(http, bearer("agent")), 409, "under-way")
        other.rollback()
    assert order(http, bearer("agent")).status_code == 201


def test_old_keys_are_forgotten(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    before = now_utc()
    order(http, bearer("agent"))
    with sessions.begin() as session:
        assert idempotency.forget_before(session, before) == 0
        assert idempotency.forget_before(session, now_utc()) == 1


def test_the_job_forgets_after_a_month(
    http: FlaskClient, bearer: Bearer, sessions: SessionFactory, settings: Settings
) -> None:
    order(http, bearer("agent"))
    context = JobContext(sessions, settings)
    assert idempotency.job(context, now_utc() + dt.timedelta(days=29)) == {"forgotten": 0}
    assert order(http, bearer("agent")).headers["Idempotent-Replayed"] == "true"
    assert idempotency.job(context, now_utc() + dt.timedelta(days=31)) == {"forgotten": 1}


def test_the_trail_says_who_did_what(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    order(http, bearer("agent", subject="kari"))
    with sessions() as session:
        entry = session.scalars(select(TrailEntry)).one()
    assert (entry.actor, entry.role, entry.action, entry.subject) == ("kari", "agent", "thing", "order:1")


@pytest.fixture
def paged(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The application with pages of the tests' own."""
    monkeypatch.setattr(web.app, "ROOMS", ("tests.integration.web.example_room",))
    app = web.app.create_app(settings, engine)

    @app.get("/t/in/<role>")
    def enter(role: str) -> str:
        browser.sign_in(Principal("kari", role, customer_id=7 if role == "customer" else None))
        return browser.csrf_token()

    @app.get("/t/door")
    def door() -> str:
        return "door"

    @app.route("/t/mine", methods=["GET", "POST"])
    @browser.signed_in("customer", otherwise="door")
    def mine() -> str:
        return principal().key

    @app.post("/t/out")
    def leave() -> str:
        browser.sign_out()
        return "out"

    return app


def test_a_browser_signs_in_and_out(paged: Flask) -> None:
    http = paged.test_client()
    away = http.get("/t/mine")
    assert (away.status_code, away.headers["Location"]) == (302, "/t/door?next=/t/mine")
    entered = http.get("/t/in/customer")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # on one's own machine; see the next test
    assert http.get("/t/mine").text == "customer:kari"
    assert http.post("/t/out", data={"csrf_token": entered.text}).text == "out"
    assert http.get("/t/mine").status_code == 302


@pytest.mark.parametrize("url", ["https://my.example.no", "http://my.example.no", "https://127.0.0.1"])
def test_elsewhere_the_cookie_is_secure(settings: Settings, engine: Engine, url: str) -> None:
    app = web.app.create_app(replace(settings, url=url), engine)
    assert app.config["SESSION_COOKIE_SECURE"] is True


def test_a_form_needs_its_token(paged: Flask) -> None:
    http = paged.test_client()
    token = http.get("/t/in/customer").text
    assert http.post("/t/mine").status_code == 403
    assert http.post("/t/mine", data={"csrf_token": "x"}).status_code == 403
    assert http.post("/t/mine", data={"csrf_token": "é"}).status_code == 403
    assert http.post("/t/mine", data={"csrf_token": token}).status_code == 200
    assert http.post("/t/mine", headers={"X-CSRF-Token": token}).status_code == 200
    other = paged.test_client()
    other.get("/t/in/customer")
    assert other.post("/t/mine", data={"csrf_token": token}).status_code == 403


def test_a_page_is_for_its_roles(paged: Flask) -> None:
    http = paged.test_client()
    http.get("/t/in/agent")
    answer = http.get("/t/mine")
    assert (answer.status_code, answer.mimetype) == (403, "text/html")


def test_the_api_takes_no_cookie_and_pages_no_token(paged: Flask, bearer: Bearer) -> None:
    http = paged.test_client()
    http.get("/t/in/agent")
    problem(http.get("/v1/example/orders"), 401, "no-token")
    assert paged.test_client().get("/t/mine", headers=bearer("customer", customer_id=7)).status_code == 302


def test_a_session_ends_when_left_alone_and_after_a_day(paged: Flask) -> None:
    http = paged.test_client()
    with time_machine.travel("2026-03-02T08:00:00Z", tick=False) as clock:
        http.get("/t/in/customer")
        for _ in range(8):
            clock.shift(browser.IDLE / 2)
            assert http.get("/t/mine").status_code == 200
        clock.shift(browser.IDLE + (browser.IDLE / 120))
        assert http.get("/t/mine").status_code == 302
        http.get("/t/in/customer")
        left = browser.LONGEST
        while left > browser.IDLE / 2:
            clock.shift(browser.IDLE / 2)
            left -= browser.IDLE / 2
            assert http.get("/t/mine").status_code == 200
        clock.shift(browser.IDLE * 0.9)
        assert http.get("/t/mine").status_code == 302


def test_a_cookie_of_ones_own_making_is_nobody(paged: Flask) -> None:
    other = flask.Flask("other")
    other.secret_key = "x" * 40
    serializer = flask.sessions.SecureCookieSessionInterface().get_signing_serializer(other)
    assert serializer is not None
    forged = serializer.dumps({"who": {"sub": "kari", "role": "agent"}, "since": 2**33, "seen": 2**33})
    http = paged.test_client()
    http.set_cookie("brikke", str(forged))
    assert http.get("/t/mine").status_code == 302
