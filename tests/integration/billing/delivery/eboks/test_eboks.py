"""The e-Boks channel against its stand-in: whom it reaches, what it hands over, hears back and takes back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from billing.delivery.eboks.channel import Eboks, Line, from_settings
from billing.delivery.port import (
    Asked,
    Calls,
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
from config.settings import load
from simulator.eboks.server import EboksServer
from tests.integration.billing.delivery.parcels import BILL, KARI, PDF, TODAY, parcel

KEY, ADDRESS = "a-bearer.key_of~ours+/=", "box-1"


@pytest.fixture
def server() -> Iterator[EboksServer]:
    with EboksServer(KEY) as made:
        made.add_mailbox(
            ADDRESS,
            national_id="15108695088",
            name="Kari Nordmann",
            street="Storgata 1",
            postal_code="0155",
            city="Oslo",
        )
        yield made


def channel_of(server: EboksServer, key: str = KEY, **more: Any) -> Eboks:
    return Eboks(Line(server.url, key, **{"seconds": PATIENT, **more}), "Brikke Eksempel AS", cost_ore=lambda on: 450)


@pytest.fixture
def channel(server: EboksServer) -> Eboks:
    return channel_of(server)


def asked(delivery_id: int = 1) -> Asked:
    return Asked(delivery_id, parcel(delivery_id).key, None)


PATIENT, HASTY = 5.0, 0.3
"""Seconds a call may take: no machine is so slow, and no test need wait so long."""
FAULTS: list[dict[str, Any]] = [
    {"kind": "timeout", "when": "before", "hold_seconds": 2},
    {"kind": "timeout", "when": "after", "hold_seconds": 2},
    {"kind": "timeout", "when": "after", "hold_seconds": 0},
    {"kind": "error"},
    {"kind": "error", "status": 503},
    {"kind": "error", "when": "after"},
    {"kind": "rate_limit", "retry_after": 5},
    {"kind": "slow", "seconds": 3},
    *({"kind": "garbage", "what": what} for what in ("text", "xml", "entities", "empty", "huge", "json")),
]


def for_a(fault: dict[str, Any], server: EboksServer) -> Eboks:
    """Return a channel that waits long, but not for what is late on purpose; it has called before."""
    late = fault["kind"] in {"timeout", "slow"}
    made = channel_of(server, seconds=HASTY if late else PATIENT)
    made.look_up([KARI], TODAY)
    server.seen.clear()
    return made


def name_of(fault: dict[str, Any]) -> str:
    return "-".join(str(value) for value in fault.values())


def test_who_has_a_mailbox_is_found_in_one_call(channel: Eboks, server: EboksServer) -> None:
    calls: Calls = channel
    server.persons.append({"national_id": "01010750160"})
    server.add_mailbox("fjord", org_no="988077917")
    for box in ("per-1", "per-2"):
        server.add_mailbox(box, name="Per Hansen", street="Gata 1", postal_code="5003", city="Bergen")
    per: dict[str, Any] = {"name": "Per Hansen", "street": "Gata 1", "postal_code": "5003", "city": "Bergen"}
    readers = [
        KARI,
        replace(KARI, agreement_id=2, national_id=None),
        replace(KARI, agreement_id=3, national_id="01010750160"),
        replace(KARI, agreement_id=4, national_id=None, name="Ola Hansen"),
        replace(KARI, agreement_id=5, kind="business", org_no="988077917", national_id=None),
        replace(KARI, agreement_id=6, national_id=None, **per),
        replace(KARI, agreement_id=7, national_id=None, street=" "),
        replace(KARI, agreement_id=8, national_id="1510869508X"),
    ]
    assert calls.look_up(readers, TODAY) == {
        1: Yes(ADDRESS),
        2: Yes(ADDRESS),
        3: No("no_mailbox"),
        4: No("not_identified"),
        5: Yes("fjord"),
        6: No("several_matches"),
        7: No("not_identifiable"),
        8: No("not_identified"),
    }
    assert server.seen == [("POST", "/recipients")]
    many = channel.look_up([replace(KARI, agreement_id=number) for number in range(1, 251)], TODAY)
    assert list(many.values()) == [Yes(ADDRESS)] * 250
    assert len(server.seen) == 4
    assert channel.look_up([], TODAY) == {}


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_an_error_makes_nobody_a_non_user(channel: Eboks, server: EboksServer, fault: dict[str, Any]) -> None:
    hasty = for_a(fault, server)
    server.faults.add({**fault, "on": "recipients"})
    (verdict,) = hasty.look_up([KARI], TODAY).values()
    assert isinstance(verdict, Unsure), verdict
    assert channel.look_up([KARI], TODAY) == {1: Yes(ADDRESS)}
    assert server.faults.waiting() == []


def test_an_invoice_is_handed_over_with_what_is_to_be_paid(channel: Eboks, server: EboksServer) -> None:
    result = channel.hand_over([parcel()])[1]
    assert isinstance(result, Delivered)
    assert (result.ref, result.cost_ore, result.opened_at) == (parcel().key, 450, None)
    message = server.messages[parcel().key]
    assert message.pdf == PDF
    assert (message.body["address"], message.body["language"]) == (ADDRESS_OF_PARCEL, "nb")
    assert message.body["title"] == "Faktura 100000007 fra Brikke Eksempel AS"
    assert message.body["payment"] == {
        "due_on": "2026-03-16",
        "amount_ore": 123_405,
        "account": "15030012345",
        "kid": "100000010000000075",
    }
    assert isinstance(channel.hand_over([parcel(2, ADDRESS_OF_PARCEL, form="avtalegiro")])[2], Delivered)
    assert server.messages[parcel(2).key].body["payment"] is None


ADDRESS_OF_PARCEL = "kari.nordmann#1234"


@pytest.fixture(autouse=True)
def _box_of_parcels(server: EboksServer) -> None:
    server.add_mailbox(ADDRESS_OF_PARCEL)


def test_what_is_refused_is_told_by_message(channel: Eboks, server: EboksServer) -> None:
    def broken() -> bytes:
        raise RuntimeError("Kari Nordmann")

    parcels = [
        parcel(1),
        parcel(2, pdf=broken),
        parcel(3, address="nobody"),
        parcel(4, address=None),
        parcel(5, pdf=lambda: b"no page"),
        parcel(6),
    ]
    results = channel.hand_over(parcels)
    assert results[2] == Later("no_page")
    assert results[3] == Refused("no_mailbox", {"answer": "unknown_address"})
    assert results[4] == Refused("no_mailbox", {"answer": "no_address"})
    assert results[5] == Refused("invalid_document", {"answer": "invalid_document"})
    assert isinstance(results[1], Delivered)
    assert isinstance(results[6], Delivered)
    assert len(server.messages) == 2


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_whatever_goes_wrong_a_message_is_delivered_once(
    channel: Eboks, server: EboksServer, fault: dict[str, Any]
) -> None:
    hasty = for_a(fault, server)
    server.faults.add({**fault, "on": "message"})
    result: Any = hasty.hand_over([parcel()])[1]
    assert isinstance(result, Later | NoAnswer), result
    if isinstance(result, NoAnswer):
        result = channel.ask([asked()])[1]
    if isinstance(result, Later | Unheard):
        assert server.messages == {}
        result = channel.hand_over([parcel()])[1]
    assert isinstance(result, Delivered), result
    assert isinstance(channel.hand_over([parcel()])[1], Delivered)
    part_paid = parcel(bill=replace(BILL, open_ore=100))
    assert channel.hand_over([part_paid])[1] == Handed(
        parcel().key, {"message_id": parcel().key, "answer": "other_content"}, 450
    )
    assert len(server.messages) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_asking_that_goes_wrong_tells_nothing(channel: Eboks, server: EboksServer, fault: dict[str, Any]) -> None:
    hasty = for_a(fault, server)
    channel.hand_over([parcel()])
    server.faults.add({**fault, "on": "status"})
    assert isinstance(hasty.ask([asked()])[1], NoAnswer)
    assert isinstance(channel.ask([asked()])[1], Delivered)


def test_what_becomes_of_a_message_is_heard(channel: Eboks, server: EboksServer) -> None:
    server.by_hand = True
    assert isinstance(channel.hand_over([parcel()])[1], Handed)
    assert isinstance(channel.ask([asked()])[1], Handed)
    server.become(parcel().key, "deliver")
    delivered = channel.ask([asked()])[1]
    assert isinstance(delivered, Delivered)
    assert delivered.opened_at is None
    server.become(parcel().key, "open")
    opened = channel.ask([asked()])[1]
    assert isinstance(opened, Delivered)
    assert opened.opened_at == server.messages[parcel().key].opened_at
    channel.hand_over([parcel(2)])
    server.become(parcel(2).key, "fail")
    failed = channel.ask([asked(2), asked(3)])
    assert failed[3] == Unheard()
    assert isinstance(failed[2], Refused)
    assert failed[2].why == "mailbox_closed"


def test_what_was_not_opened_is_taken_back(channel: Eboks, server: EboksServer) -> None:
    channel.hand_over([parcel(number) for number in (1, 2, 3)])
    server.become(parcel(2).key, "open")
    server.become(parcel(3).key, "pay")
    back = channel.take_back([asked(number) for number in (1, 2, 3, 4)])
    assert back == {1: TakenBack(), 2: TooLate("opened"), 3: TooLate("paid"), 4: TakenBack()}
    gone = channel.ask([asked(1)])[1]
    assert isinstance(gone, Refused)
    assert gone.why == "withdrawn"


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_taking_back_that_goes_wrong_is_not_taken_for_done(
    channel: Eboks, server: EboksServer, fault: dict[str, Any]
) -> None:
    hasty = for_a(fault, server)
    channel.hand_over([parcel()])
    server.become(parcel().key, "open")
    server.faults.add({**fault, "on": "withdrawal"})
    result = hasty.take_back([asked()])[1]
    assert isinstance(result, Later | NoAnswer), result
    assert channel.take_back([asked()]) == {1: TooLate("opened")}


def test_the_rest_is_not_tried_when_nobody_answers(channel: Eboks, server: EboksServer) -> None:
    server.stop()
    readers = [replace(KARI, agreement_id=number) for number in range(1, 1201)]
    verdicts = channel.look_up(readers, TODAY)
    assert all(isinstance(one, Unsure) for one in verdicts.values())
    assert list(verdicts.values()).count(Unsure("not_tried")) >= 500
    results = channel.hand_over([parcel(number) for number in range(1, 11)])
    assert set(results.values()) <= {Later("unreachable", True), Later("not_tried", True)}
    assert set(channel.ask([asked()]).values()) == {NoAnswer("unreachable")}
    assert set(channel.take_back([asked()]).values()) == {Later("unreachable", True)}


# Keys and tokens


@pytest.mark.parametrize("key", ["other", "a key\r\nX: y", "nøkkel", ""])
def test_a_key_that_is_not_taken_refuses_nobody(server: EboksServer, key: str) -> None:
    stranger = channel_of(server, key)
    (verdict,) = stranger.look_up([KARI], TODAY).values()
    assert isinstance(verdict, Unsure)
    result = stranger.hand_over([parcel()])[1]
    assert isinstance(result, Later)
    assert result.unreachable
    assert isinstance(stranger.ask([asked()])[1], NoAnswer)
    assert server.messages == {}


@pytest.fixture
def guarded() -> Iterator[EboksServer]:
    with EboksServer("hush", client="us") as made:
        made.add_mailbox(ADDRESS_OF_PARCEL, national_id="15108695088")
        yield made


def with_tokens(server: EboksServer, **more: Any) -> Eboks:
    return channel_of(server, "hush", token_url=f"{server.url}/token", client_id="us", scope="post", **more)


def test_tokens_are_got_kept_and_got_anew(guarded: EboksServer) -> None:
    channel = with_tokens(guarded)
    for _ in range(3):
        assert channel.look_up([KARI], TODAY) == {1: Yes(ADDRESS_OF_PARCEL)}
    assert guarded.seen.count(("POST", "/token")) == 1
    guarded.forget_tokens()
    assert isinstance(channel.hand_over([parcel()])[1], Delivered)
    assert guarded.seen.count(("POST", "/token")) == 2


def test_a_token_is_not_used_to_its_last_second(guarded: EboksServer) -> None:
    guarded.token_seconds = 60
    channel = with_tokens(guarded)
    for _ in range(2):
        assert channel.look_up([KARI], TODAY) == {1: Yes(ADDRESS_OF_PARCEL)}
    assert guarded.seen.count(("POST", "/token")) == 2


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_without_a_token_nothing_is_sent(guarded: EboksServer, fault: dict[str, Any]) -> None:
    late = fault["kind"] in {"timeout", "slow"}
    guarded.faults.add({**fault, "on": "token"})
    result = with_tokens(guarded, seconds=HASTY if late else PATIENT).hand_over([parcel()])[1]
    assert isinstance(result, Later)
    assert result.unreachable
    assert {path for _, path in guarded.seen} == {"/token"}
    assert isinstance(with_tokens(guarded).hand_over([parcel()])[1], Delivered)


def test_a_wrong_secret_sends_nothing(guarded: EboksServer) -> None:
    assert channel_of(guarded, "wrong", token_url=f"{guarded.url}/token", client_id="us").look_up([KARI], TODAY) == {
        1: Unsure("token_http_401")
    }


# Settings, and what is kept quiet


def test_it_is_made_from_the_settings(server: EboksServer, tmp_path: Path) -> None:
    made = from_settings(load({"EBOKS_URL": server.url, "EBOKS_KEY": KEY}, tmp_path / ".env"))
    assert made.look_up([KARI], TODAY) == {1: Yes(ADDRESS)}
    result = made.hand_over([parcel()])[1]
    assert isinstance(result, Delivered)
    assert result.cost_ore > 0


def test_without_an_address_it_is_not_set_up(tmp_path: Path) -> None:
    made = from_settings(load({}, tmp_path / ".env"))
    assert made.look_up([KARI], TODAY) == {1: No("not_set_up")}
    assert made.hand_over([parcel()]) == {1: Later("not_set_up", unreachable=True)}
    assert made.ask([asked()]) == {1: NoAnswer("not_set_up")}
    assert made.take_back([asked()]) == {1: NoAnswer("not_set_up")}


def test_nothing_of_a_person_or_a_key_is_in_addresses_or_logs(
    channel: Eboks, server: EboksServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server.fault("error", on="recipients")
    results = [channel.look_up([KARI], TODAY), channel.look_up([KARI], TODAY)]
    handed = [channel.hand_over([parcel()]), channel.ask([asked()])]
    text = caplog.text + "".join(capsys.readouterr()) + repr(server.seen) + repr(handed) + repr(results)
    assert not any(secret in text for secret in ("15108695088", "Storgata", KEY))
