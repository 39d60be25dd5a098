"""One request: its transaction, its errors, its headers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select
from werkzeug.test import TestResponse

import web.app
from accounts.access.models import TrailEntry
from config.database import SessionFactory
from config.settings import Settings
from tests.integration.conftest import Bearer

ORDER = {"word": "thing", "amount_ore": 4500}


def entries(sessions: SessionFactory) -> int:
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(TrailEntry)) or 0


def problem(answer: TestResponse, status: int, slug: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = answer.get_json()
    assert {"type", "title", "status", "detail", "request_id"} <= body.keys()
    assert body["status"] == status
    assert slug is None or body["type"] == f"/problems/{slug}"
    return body


def order(http: FlaskClient, headers: dict[str, str], key: str = "k-1", **change: Any) -> TestResponse:
    return http.post("/v1/example/orders", json=ORDER | change, headers={**headers, "Idempotency-Key": key})


def test_what_succeeds_is_committed(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    answer = order(http, bearer("agent"), at="2026-03-02T10:15:00+01:00")
    assert answer.status_code == 201
    assert answer.get_json() == ORDER | {"at": "2026-03-02T09:15:00Z", "parts": []}
    assert entries(sessions) == 1


def test_what_is_refused_changes_nothing(http: FlaskClient, bearer: Bearer, sessions: SessionFactory) -> None:
    problem(order(http, bearer("agent"), word="missing"), 404, "not-found")
    assert entries(sessions) == 0


def test_an_error_is_answered_without_saying_what_it_was(http: FlaskClient, sessions: SessionFactory) -> None:
    answer = http.post("/v1/example/broken/raise", headers={"X-Request-Id": "request-12345"})
    assert problem(answer, 500)["request_id"] == "request-12345"
    assert "kari" not in answer.text
    assert answer.headers["X-Request-Id"] == "request-12345"
    assert entries(sessions) == 0


def test_a_lost_database_is_a_passing_thing(http: FlaskClient, sessions: SessionFactory) -> None:
    answer = http.post("/v1/example/broken/connection")
    problem(answer, 503)
    assert answer.headers["Retry-After"]
    assert entries(sessions) == 0


def test_a_swallowed_database_error_is_not_success(http: FlaskClient, sessions: SessionFactory) -> None:
    problem(http.post("/v1/example/broken/constraint"), 500)
    assert entries(sessions) == 0


@pytest.mark.parametrize(
    ("body", "kind", "status", "slug"),
    [
        (b"{", "application/json", 400, "not-json"),
        (b"\xff", "application/json", 400, "not-json"),
        (b'{"word": "a\\u0000b", "amount_ore": 1}', "application/json", 400, "not-json"),
        (b'{"word": "\\ud800", "amount_ore": 1}', "application/json", 400, "not-json"),
        (b'{"amount_ore": NaN}', "application/json", 400, "not-json"),
        (b'{"amount_ore": 1e999}', "application/json", 400, "not-json"),
        (b"[" * 100_000, "application/json", 400, "not-json"),
        (b'{"word": "a", "amount_ore": 1}', "text/plain", 415, "unsupported-media-type"),
        (b'{"word": "a", "amount_ore": 1}', "", 415, "unsupported-media-type"),
        (b"", "application/json", 422, "invalid"),
        (b"[]", "application/json", 422, "invalid"),
        (b"null", "application/json", 422, "invalid"),
    ],
)
def test_a_body_that_cannot_be_read(
    http: FlaskClient, bearer: Bearer, body: bytes, kind: str, status: int, slug: str
) -> None:
    headers = {**bearer("agent"), "Idempotency-Key": "k"}
    problem(http.post("/v1/example/orders", data=body, content_type=kind, headers=headers), status, slug)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount_ore": "100"}, "amount_ore"),
        ({"amount_ore": 100.0}, "amount_ore"),
        ({"amount_ore": True}, "amount_ore"),
        ({"amount_ore": -1}, "amount_ore"),
        ({"amount_ore": 2**70}, "amount_ore"),
        ({"word": ""}, "word"),
        ({"word": 5}, "word"),
        ({"colour": "red"}, "colour"),
        ({"at": "2026-03-02T09:15:00"}, "at"),
        ({"at": 5}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"parts": [{"count": 1}, {"count": 0}]}, "parts.1.count"),
    ],
)
def test_a_wrong_field_is_named(http: FlaskClient, bearer: Bearer, change: dict[str, Any], field: str) -> None:
    body = problem(order(http, bearer("agent"), **change), 422, "invalid")
    assert [error["field"] for error in body["errors"]] == [field]


def test_a_body_over_the_limit(
    settings: Settings, engine: Engine, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.app, "ROOMS", ("tests.integration.web.example_room",))
    http = web.app.create_app(replace(settings, max_body_bytes=1024), engine).test_client()
    problem(order(http, bearer("agent"), word="x" * 2000), 413)


def test_methods_and_addresses_that_are_not(http: FlaskClient, bearer: Bearer) -> None:
    answer = http.delete("/v1/example/orders", headers=bearer("agent"))
    problem(answer, 405)
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    problem(http.get("/v1/nothing"), 404)
    problem(http.get("/v1/example/orders/99999999999999999999", headers=bearer("agent")), 404)
    problem(http.post("/v1/example/broken/a%00b"), 404)
    problem(http.get("/v1/example/orders?after=%00", headers=bearer("agent")), 400)


def test_people_get_a_page(client: FlaskClient) -> None:
    answer = client.get("/no-such-page")
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "<h1>" in answer.text


def test_every_answer_is_guarded(client: FlaskClient) -> None:
    for address in ("/docs", "/v1/nothing", "/health/live", "/no-such-page"):
        answer = client.get(address)
        content = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in content
        assert "unsafe" not in content
        assert "http" not in content
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert len(answer.headers["X-Request-Id"]) == 16
        assert "Strict-Transport-Security" not in answer.headers


def test_changing_needs_what_was_read(http: FlaskClient, bearer: Bearer) -> None:
    agent = bearer("agent")
    read = http.get("/v1/example/orders/7", headers=agent)
    assert read.headers["ETag"] == '"3"'
    address, change = "/v1/example/orders/7", {"word": "other"}
    problem(http.patch(address, json=change, headers=agent), 428, "precondition-required")
    for stale in ('"2"', 'W/"3"', "nonsense"):
        answer = http.patch(address, json=change, headers={**agent, "If-Match": stale})
        problem(answer, 412, "changed-meanwhile")
    answer = http.patch(address, json=change, headers={**agent, "If-Match": read.headers["ETag"]})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"4"')
    assert http.get(address, headers={**agent, "If-None-Match": '"3"'}).status_code == 304


def test_pages_go_through_everything_once(http: FlaskClient, bearer: Bearer, app: Flask) -> None:
    agent = bearer("agent")
    for number in range(7):
        assert order(http, agent, key=f"k-{number}", word=f"w{number}").status_code == 201
    seen, after = [], None
    for _ in range(4):
        query = {"limit": "2"} | ({"after": after} if after else {})
        page = http.get("/v1/example/orders", query_string=query, headers=agent).get_json()
        seen += [item["action"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"w{number}" for number in range(7)]
    assert after is None


def test_a_page_has_a_limit(http: FlaskClient, example: Flask, bearer: Bearer) -> None:
    example.config["PAGE_MAX"] = 3
    for number in range(5):
        order(http, bearer("agent"), key=f"k-{number}")
    page = http.get("/v1/example/orders?limit=1000", headers=bearer("agent")).get_json()
    assert len(page["items"]) == 3


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "limit=1.5", "after=x", "after=WzFd", "after=WyIwIiwwXQ", "colour=red", "after=bnVsbA"],
)
def test_a_query_that_cannot_be_used(http: FlaskClient, bearer: Bearer, query: str) -> None:
    body = problem(http.get(f"/v1/example/orders?{query}", headers=bearer("agent")), 422, "invalid")
    assert [error["field"] for error in body["errors"]] == [query.split("=", maxsplit=1)[0]]


def test_other_front_ends_are_on_a_list(settings: Settings, engine: Engine) -> None:
    shared = replace(settings, cors_origins=("https://my.example.no",))
    http = web.app.create_app(shared, engine).test_client()
    good = http.get("/v1/nothing", headers={"Origin": "https://my.example.no"})
    assert good.headers["Access-Control-Allow-Origin"] == "https://my.example.no"
    assert "Access-Control-Allow-Credentials" not in good.headers
    bad = http.get("/v1/nothing", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in bad.headers
    assert "Origin" in bad.headers["Vary"]
    page = http.get("/docs", headers={"Origin": "https://my.example.no"})
    assert "Access-Control-Allow-Origin" not in page.headers


def test_a_preflight_names_what_may_be_sent(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web.app, "ROOMS", ("tests.integration.web.example_room",))
    http = web.app.create_app(replace(settings, cors_origins=("https://my.example.no",)), engine).test_client()
    answer = http.options("/v1/example/orders", headers={"Origin": "https://my.example.no"})
    assert answer.status_code == 200
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]


def test_health_and_figures(client: FlaskClient, sessions: SessionFactory) -> None:
    assert client.get("/health/live").get_json() == {"status": "live"}
    assert client.get("/health/ready").get_json()["status"] == "ready"
    client.get("/v1/agreements/12345678?name=kari")
    figures = client.get("/metrics").text
    assert 'brikke_http_requests_total{method="GET",route="/health/live",status="200"}' in figures
    assert "12345678" not in figures
    with sessions.begin() as session:
        session.execute(text_of("UPDATE alembic_version SET version_num = '0001'"))
    body = problem(client.get("/health/ready"), 503, "not-ready")
    assert "brikke migrate" in body["detail"]


def text_of(sql: str) -> Any:
    from sqlalchemy import text

    return text(sql)


def test_the_docs_load_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    assert client.get("/docs/swagger-ui-bundle.js").status_code == 200
    assert client.get("/docs/../web/app.py").status_code == 404
    assert client.get("/docs/oauth2-redirect.html").status_code == 404
    assert client.get("/openapi.json").get_json()["openapi"].startswith("3.1")
