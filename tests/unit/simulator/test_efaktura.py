"""The stand-in for the eFaktura hub, by its control face; what it says in SOAP is tested with our client."""

from __future__ import annotations

import datetime as dt
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.efaktura import HubServer
from simulator.efaktura.hub import Transaction

ID = "0d5b0c8a-0000-4000-8000-000000000001"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


def call(hub: HubServer, method: str, path: str, body: object = None, raw: bytes | None = None) -> tuple[int, Any]:
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{hub.address}{path}", data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else text


def given(hub: HubServer, id_: str = ID, **other: Any) -> None:
    """A transaction as it would have come in."""
    told: dict[str, Any] = {
        "id": id_, "shipment": "s", "identifier": "1", "payment_type": "EFAKTURA", "document_type": "INVOICE",
        "number": "1", "issued_on": dt.date(2026, 3, 1), "due_on": dt.date(2026, 3, 16), "amount_ore": 100,
        "kid": "18", "account": "15030012345", "url": "https://x", "pdf": b"%PDF",
    }  # fmt: skip
    hub.hub.transactions[id_] = Transaction(**told | other)


def test_people_are_added_and_replaced(hub: HubServer) -> None:
    assert call(hub, "POST", "/_control/consumers", {"identifier": "1", "name": "Kari"})[0] == 200
    assert call(hub, "POST", "/_control/consumers", {"identifier": "1", "yes_to_all": False})[0] == 200
    [kari] = call(hub, "GET", "/_control/consumers")[1]["consumers"]
    assert (kari["name"], kari["yes_to_all"]) == ("", False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("consumers", {}),
        ("consumers", {"identifier": ""}),
        ("consumers", {"identifier": 1}),
        ("consumers", {"identifier": "1", "shoe_size": 43}),
        ("consumers", {"identifier": "1", "blocked": 1}),
        ("consumers", []),
        ("faults", {"kind": "flood"}),
        ("faults", {"kind": "double", "when": "after"}),
        ("faults", {"kind": "timeout", "when": "during"}),
        ("faults", {"kind": "timeout", "hold_seconds": "long"}),
        ("faults", {"kind": "double", "times": 0}),
        ("faults", {"kind": "double", "times": True}),
        ("faults", {"kind": "double", "on": "mars"}),
        ("faults", {"kind": "garbage", "body": "cake"}),
        ("faults", {"kind": ["double"]}),
        ("settings", {"at_once": "no"}),
        ("settings", {}),
        (f"transactions/{ID}", {"do": "accept"}),
        (f"transactions/{ID}", {"do": "dance"}),
        (f"transactions/{ID}", {"do": "change", "amount_ore": 1.5}),
        (f"transactions/{ID}", {"do": "change", "on": "soon"}),
    ],
)
def test_wrong_input_changes_nothing(hub: HubServer, path: str, body: object) -> None:
    assert call(hub, "POST", f"/_control/{path}", body)[0] == 400
    assert hub.hub.consumers == {}
    assert hub.faults.waiting() == []
    assert hub.hub.at_once


def test_what_is_not_there(hub: HubServer) -> None:
    for method, path in (("GET", "/"), ("POST", "/_control/unicorns"), ("GET", "/_control/consumers/1"), ("GET", "/x")):
        assert call(hub, method, path)[0] == 404
    assert call(hub, "POST", "/_control/settings", raw=b"{")[0] == 400


def test_statuses_move_when_told(hub: HubServer) -> None:
    given(hub)
    second = ID[:-1] + "2"
    given(hub, second)
    assert call(hub, "POST", f"/_control/transactions/{ID}", {"do": "reject", "reason": "closed"})[0] == 200
    assert call(hub, "POST", "/_control/advance", {})[1] == {"advanced": 1}
    told = {
        one["id"]: (one["status"], one["reason"])
        for one in call(hub, "GET", "/_control/transactions")[1]["transactions"]
    }
    assert told == {ID: ("REJECTED", "closed"), second: ("ACCEPTED", "")}


def test_what_consumers_pay(hub: HubServer) -> None:
    given(hub, status="ACCEPTED")
    given(hub, ID[:-1] + "2", payment_type="EFAKTURA_AND_AVTALEGIRO", status="ACCEPTED")
    given(hub, ID[:-1] + "3")
    line = {"transaction": ID, "kid": "18", "account": "15030012345", "amount_ore": 100, "on": "2026-03-16"}
    assert call(hub, "GET", "/_control/payments")[1] == {"payments": [line]}
    change = {"do": "change", "amount_ore": 40, "on": "2026-04-01"}
    assert call(hub, "POST", f"/_control/transactions/{ID}", change)[0] == 200
    assert call(hub, "POST", f"/_control/transactions/{ID}", {"do": "change", "amount_ore": 0})[0] == 400
    changed = line | {"amount_ore": 40, "on": "2026-04-01"}
    assert call(hub, "POST", "/_control/payments", {})[1] == {"payments": [changed]}
    assert call(hub, "GET", "/_control/payments")[1] == {"payments": []}
    assert hub.hub.cancel(ID) == ("TOO_LATE", "paid")


def test_faults_are_used_up(hub: HubServer) -> None:
    for times in (2, None):
        assert call(hub, "POST", "/_control/faults", {"kind": "stop", "about": "1", "times": times})[0] == 200
    assert len(call(hub, "GET", "/_control/faults")[1]["faults"]) == 2
    assert hub.faults.take("stop", on="shipment", about="2") is None
    for _ in range(5):
        assert hub.faults.take("stop", on="shipment", about="1") is not None
    assert len(hub.faults.waiting()) == 1
    assert call(hub, "DELETE", "/_control/faults")[0] == 200
    assert hub.faults.waiting() == []
