"""What is written to the distributor, what is read of it, and what that means. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.calling import Reply
from billing.delivery.eboks import protocol
from billing.delivery.port import (
    Delivered,
    Handed,
    Later,
    No,
    NoAnswer,
    Refused,
    TakenBack,
    TooLate,
    Unheard,
    Unsure,
    Yes,
)
from tests.integration.billing.delivery.parcels import BILL, KARI, PDF, parcel

KEY = parcel().key
AT = "2026-03-02T09:00:00+00:00"


def reply(status: int, body: Any = None, kind: str = "application/json; charset=utf-8") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, httpx.Headers({"Content-Type": kind}), content)


def row(**fields: Any) -> Reply:
    return reply(200, {"recipients": [{"ref": "1", **fields}]})


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (row(result="member", address="a"), Yes("a")),
        (row(result="member"), Unsure("no_address_told")),
        (row(result="member", address=""), Unsure("no_address_told")),
        (row(result="member", address="a" * 201), Unsure("no_address_told")),
        (row(result="member", address=["a"]), Unsure("no_address_told")),
        (row(result="not_member"), No("no_mailbox")),
        (row(result="not_found"), No("not_identified")),
        (row(result="several"), No("several_matches")),
        (row(result="invalid"), No("not_identified")),
        (row(result="perhaps"), Unsure("garbled")),
        (row(result=["not_member"]), Unsure("garbled")),
        (row(), Unsure("garbled")),
        (reply(200, {"recipients": [{"ref": "2", "result": "not_member"}]}), Unsure("garbled")),
        (reply(200, {"recipients": [{"ref": 1, "result": "not_member"}]}), Unsure("garbled")),
        (reply(200, {"recipients": [7, None]}), Unsure("garbled")),
        (reply(200, {"recipients": {}}), Unsure("garbled")),
        (reply(200, []), Unsure("garbled")),
        (reply(200, {"recipients": [{"ref": "1", "result": "not_member"}]}, "text/html"), Unsure("garbled")),
        (reply(200, b"[" * 100_000), Unsure("garbled")),
        (reply(404, {"error": "nothing_here"}), Unsure("nothing_here")),
        (reply(500, {"recipients": [{"ref": "1", "result": "not_member"}]}), Unsure("http_500")),
        (reply(401, {"error": "A <b>"}), Unsure("http_401")),
    ],
)
def test_who_has_a_mailbox(answer: Reply, verdict: Any) -> None:
    assert protocol.verdicts(answer, [KARI]) == {1: verdict}


def state(what: Any, **fields: Any) -> Any:
    return {"id": KEY, "state": what, **fields}


PROOF = {"message_id": KEY, "state": "delivered"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(201, state("delivered")), Delivered(KEY, PROOF, 450)),
        (reply(200, state("received")), Handed(KEY, {"message_id": KEY, "state": "received"}, 450)),
        (reply(201, state("received") | {"id": "other"}), NoAnswer("garbled")),
        (reply(201, state("lost")), NoAnswer("garbled")),
        (reply(201), NoAnswer("garbled")),
        (reply(202, state("received")), NoAnswer("http_202")),
        (reply(409, {"error": "other_content"}), Handed(KEY, {"message_id": KEY, "answer": "other_content"}, 450)),
        (reply(409, {"error": "odd"}), Later("odd", unreachable=True)),
        (reply(404, {"error": "unknown_address"}), Refused("no_mailbox", {"answer": "unknown_address"})),
        (reply(404), Later("http_404", unreachable=True)),
        (reply(413, {"error": "too_large"}), Refused("too_large", {"answer": "too_large"})),
        (reply(422, b"<html>"), Later("http_422", unreachable=True)),
        (reply(401), Later("http_401", unreachable=True)),
        (reply(429), Later("http_429", unreachable=True)),
        (reply(302), Later("http_302", unreachable=True)),
        (reply(500, {"error": "unknown_address"}), NoAnswer("unknown_address")),
        (reply(503), NoAnswer("http_503")),
    ],
)
def test_what_came_of_a_message(answer: Reply, outcome: Any) -> None:
    assert protocol.outcome(answer, KEY, 450) == outcome


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (reply(200, state("delivered", delivered_at=AT)), Delivered(KEY, PROOF | {"delivered_at": AT}, 450)),
        (reply(200, state("delivered", opened_at="then")), Delivered(KEY, PROOF, 450)),
        (reply(200, state("delivered", opened_at="2026-03-02T09:00:00")), Delivered(KEY, PROOF, 450)),
        (reply(200, state("withdrawn")), Refused("withdrawn", {"message_id": KEY, "state": "withdrawn"})),
        (reply(200, state("failed", reason="gone")), Refused("gone", {"message_id": KEY, "state": "failed"})),
        (reply(200, state("failed", reason="<b>")), Refused("failed", {"message_id": KEY, "state": "failed"})),
        (reply(200, state(["delivered"])), NoAnswer("garbled")),
        (reply(404, {"error": "unknown_message"}), Unheard()),
        (reply(404, b"<html>"), NoAnswer("http_404")),
        (reply(403), NoAnswer("http_403")),
        (reply(500), NoAnswer("http_500")),
    ],
)
def test_what_has_become_of_a_message(answer: Reply, found: Any) -> None:
    assert protocol.found(answer, KEY, 450) == found


@pytest.mark.parametrize(
    ("answer", "back"),
    [
        (Reply(204, httpx.Headers(), b""), TakenBack()),
        (reply(404, {"error": "unknown_message"}), TakenBack()),
        (reply(404), Later("http_404", unreachable=True)),
        (reply(409, {"error": "opened"}), TooLate("opened")),
        (reply(409), Later("http_409", unreachable=True)),
        (reply(429), Later("http_429", unreachable=True)),
        (reply(500), NoAnswer("http_500")),
    ],
)
def test_what_came_of_taking_back(answer: Reply, back: Any) -> None:
    assert protocol.back(answer) == back


@pytest.mark.parametrize(
    ("told", "token"),
    [
        ({"access_token": "a", "token_type": "Bearer", "expires_in": 9}, ("a", 9)),
        ({"access_token": "a", "token_type": "bearer"}, ("a", 60)),
        ({"access_token": "a", "token_type": "mac"}, None),
        ({"access_token": "a\r\nX: y", "token_type": "bearer"}, None),
        ({"access_token": "a", "token_type": "bearer", "expires_in": "9"}, None),
        ({"access_token": "a", "token_type": "bearer", "expires_in": -1}, None),
        ({"access_token": "a", "token_type": "bearer", "expires_in": True}, None),
        ({"access_token": 7, "token_type": "bearer"}, None),
        ([], None),
    ],
)
def test_tokens(told: Any, token: Any) -> None:
    assert protocol.token(reply(200, told)) == token
    assert protocol.token(reply(400, told)) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "state", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.integers(100, 599), json_values | st.binary(max_size=100))
@settings(max_examples=200)
def test_garbage_makes_nobody_a_non_user_and_delivers_nothing(status: int, body: Any) -> None:
    answer = reply(status, body)
    assert isinstance(protocol.verdicts(answer, [KARI])[1], Unsure)
    assert isinstance(protocol.outcome(answer, KEY, 1), Later | NoAnswer)
    assert protocol.found(answer, KEY, 1) == NoAnswer("garbled") or status != 200
    assert not isinstance(protocol.found(answer, KEY, 1), Delivered | Handed | Unheard | Refused)
    assert status in {200, 204} or isinstance(protocol.back(answer), Later | NoAnswer)


@given(st.lists(st.text(max_size=50), min_size=4, max_size=4))
@settings(max_examples=50)
def test_a_question_names_a_reader_by_number_and_one_key(places: list[str]) -> None:
    name, street, code, city = places
    reader = replace(KARI, name=name, street=street, postal_code=code, city=city)
    assert json.loads(protocol.question([reader])) == {"recipients": [{"ref": "1", "national_id": "15108695088"}]}
    (asked,) = json.loads(protocol.question([replace(reader, national_id=None)]))["recipients"]
    assert asked == {"ref": "1", "name": name, "street": street, "postal_code": code, "city": city, "country": "NO"}
    business = replace(reader, kind="business", org_no="988077917")
    assert json.loads(protocol.question([business]))["recipients"] == [{"ref": "1", "org_no": "988077917"}]


@pytest.mark.parametrize(
    ("bill", "form", "pays"),
    [
        (BILL, "transfer", True),
        (BILL, "avtalegiro", False),
        (replace(BILL, open_ore=0), "transfer", False),
        (replace(BILL, due_on=None), "transfer", False),
        (replace(BILL, kind="receipt"), "transfer", False),
        (replace(BILL, kind="credit_note"), "transfer", False),
    ],
)
def test_only_what_is_to_be_paid_there_is_offered(bill: Any, form: Any, pays: bool) -> None:
    made = json.loads(protocol.message(parcel(bill=bill, form=form), "Brikke", PDF))
    assert (made["payment"] is not None) == pays
    assert "15108695088" not in json.dumps({**made, "document": None})
