"""The stand-ins for Digipost and e-Boks: what control tells them, and what they refuse."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from simulator.digipost.server import DigipostServer
from simulator.digipost.signatures import new_key
from simulator.eboks.server import EboksServer
from simulator.partner import GARBAGE

BEARER = {"Authorization": "Bearer key"}
MESSAGE: dict[str, Any] = {
    "address": "box",
    "title": "x",
    "language": "nb",
    "document": {"type": "application/pdf", "sha256": "", "content": ""},
    "payment": None,
}


@pytest.fixture
def eboks() -> Iterator[EboksServer]:
    with EboksServer("key") as server:
        yield server


@pytest.fixture(scope="module")
def digipost() -> Iterator[DigipostServer]:
    with DigipostServer({}, key=new_key()) as server:
        yield server


def tell(server: Any, method: str, path: str, given: Any = None) -> httpx.Response:
    return httpx.request(method, f"{server.url}/_control/{path}", json=given)


def ask(server: Any, method: str, path: str, given: Any = None) -> httpx.Response:
    return httpx.request(method, f"{server.url}{path}", json=given, headers=BEARER)


def test_mailboxes_and_messages_are_told_over_http(eboks: EboksServer) -> None:
    page = b"%PDF-1.7"
    document = {"sha256": hashlib.sha256(page).hexdigest(), "content": base64.b64encode(page).decode()}
    message = {**MESSAGE, "document": document}
    assert ask(eboks, "PUT", "/messages/k1", message).status_code == 404
    assert tell(eboks, "POST", "mailboxes", {"address": "box", "org_no": "988077917"}).status_code == 200
    assert tell(eboks, "POST", "persons", {"org_no": "999999980"}).status_code == 200
    asked = {"recipients": [{"ref": "1", "org_no": "988077917"}, {"ref": "2", "org_no": "999999980"}]}
    rows = ask(eboks, "POST", "/recipients", asked).json()["recipients"]
    assert [row["result"] for row in rows] == ["member", "not_member"]
    assert tell(eboks, "POST", "settings", {"by_hand": True}).status_code == 200
    assert ask(eboks, "PUT", "/messages/k1", message).json()["state"] == "received"
    for what, state in (("deliver", "delivered"), ("open", "delivered"), ("fail", "failed")):
        assert tell(eboks, "POST", "messages/k1", {"do": what}).status_code == 200
        assert ask(eboks, "GET", "/messages/k1").json()["state"] == state
    (shown,) = tell(eboks, "GET", "messages").json()["messages"]
    assert (shown["id"], shown["bytes"], "document" in shown) == ("k1", len(page), False)
    assert tell(eboks, "DELETE", "mailboxes/box").status_code == 200
    assert ask(eboks, "PUT", "/messages/k2", message).status_code == 404


def test_digipost_is_told_over_http(digipost: DigipostServer) -> None:
    assert tell(digipost, "POST", "mailboxes", {"address": "a#1", "national_id": "1"}).status_code == 200
    assert tell(digipost, "POST", "persons", {"national_id": "2"}).status_code == 200
    assert digipost.mailboxes == [{"address": "a#1", "national_id": "1"}]
    assert tell(digipost, "DELETE", "mailboxes/a%231").status_code == 200
    assert digipost.mailboxes == []
    assert tell(digipost, "POST", "clock", {"ahead_seconds": 600}).status_code == 200
    assert digipost.ahead.total_seconds() == 600
    before = digipost._certificate
    assert tell(digipost, "POST", "certificate").status_code == 200
    assert digipost._certificate != before
    assert tell(digipost, "GET", "messages").json() == {"messages": []}
    unsigned = httpx.get(f"{digipost.url}/")
    assert (unsigned.status_code, b"INVALID_USER_ID_HEADER" in unsigned.content) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("POST", "mailboxes", {}, 400),
        ("POST", "mailboxes", [], 400),
        ("POST", "messages/none", {"do": "open"}, 404),
        ("POST", "clock", {"ahead_seconds": "soon"}, 400),
        ("GET", "nothing", None, 404),
        ("POST", "faults", {"kind": "flood"}, 400),
        ("POST", "faults", {"kind": "error", "on": "charge"}, 400),
        ("POST", "faults", {"kind": "error", "times": 0}, 400),
        ("POST", "faults", {"kind": "error", "hold_seconds": 1}, 400),
        ("POST", "faults", {"kind": "timeout", "when": "never"}, 400),
        ("POST", "faults", {"kind": "garbage", "what": "pearls"}, 400),
    ],
)
def test_wrong_control_changes_nothing(
    digipost: DigipostServer, method: str, path: str, given: Any, status: int
) -> None:
    assert tell(digipost, method, path, given).status_code == status
    assert digipost.faults.waiting() == []


def test_faults_are_listed_used_up_and_cleared(eboks: EboksServer) -> None:
    assert tell(eboks, "POST", "faults", {"kind": "error", "on": "status", "times": 2}).status_code == 200
    assert tell(eboks, "POST", "faults", {"kind": "rate_limit", "on": "status", "retry_after": 7}).status_code == 200
    assert len(tell(eboks, "GET", "faults").json()["faults"]) == 2
    limited = ask(eboks, "GET", "/messages/x")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert [ask(eboks, "GET", "/messages/x").status_code for _ in range(3)] == [500, 500, 404]
    tell(eboks, "POST", "faults", {"kind": "garbage", "what": "huge", "times": None})
    for _ in range(2):
        assert ask(eboks, "GET", "/messages/x").content == GARBAGE["huge"]
    assert tell(eboks, "DELETE", "faults").status_code == 200
    assert ask(eboks, "GET", "/messages/x").json() == {"error": "unknown_message"}


@pytest.mark.parametrize(
    "change",
    [
        {"document": {"sha256": "x", "content": "JVBERi0="}},
        {"document": {"sha256": "x", "content": "not base64"}},
        {"payment": {"amount_ore": 0}},
        {"payment": {"amount_ore": "1"}},
        {"document": None},
    ],
)
def test_a_message_that_is_none_is_refused(eboks: EboksServer, change: dict[str, Any]) -> None:
    eboks.add_mailbox("box")
    assert ask(eboks, "PUT", "/messages/k", {**MESSAGE, **change}).status_code == 422
    assert eboks.messages == {}


def test_who_may_not_is_kept_out(eboks: EboksServer) -> None:
    assert httpx.get(f"{eboks.url}/messages/x").status_code == 401
    assert httpx.post(f"{eboks.url}/token", data={"grant_type": "client_credentials"}).status_code == 401
    assert ask(eboks, "POST", "/recipients", {"recipients": [{"ref": "1"}] * 101}).status_code == 422
    assert ask(eboks, "POST", "/recipients", {"recipients": 7}).status_code == 422
    assert ask(eboks, "PATCH", "/messages/x").status_code == 501
