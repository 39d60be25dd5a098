"""The Digipost channel against its stand-in: whom it reaches, what it hands over, what it hears back."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from billing.delivery.digipost import wire as wires
from billing.delivery.digipost.channel import Digipost, from_settings
from billing.delivery.digipost.wire import Wire
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
from config.clock import now_utc
from config.settings import load
from simulator.digipost.server import DigipostServer
from simulator.digipost.signatures import new_key, private_pem
from tests.integration.billing.delivery.parcels import BILL, KARI, PDF, TODAY, parcel

SENDER, ADDRESS = "1000", "kari.nordmann#1234"


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return new_key()


@pytest.fixture
def server(key: RSAPrivateKey) -> Iterator[DigipostServer]:
    with DigipostServer({SENDER: key.public_key()}, key=key) as made:
        made.add_mailbox(
            ADDRESS,
            national_id="15108695088",
            name="Kari Nordmann",
            street="Storgata 1",
            postal_code="0155",
            city="Oslo",
        )
        yield made


def channel_of(server: DigipostServer, key: RSAPrivateKey, **more: Any) -> Digipost:
    wire = Wire(server.url, SENDER, key, **{"seconds": PATIENT, **more})
    return Digipost(wire, "Brikke Eksempel AS", cost_ore=lambda on: 450)


@pytest.fixture
def channel(server: DigipostServer, key: RSAPrivateKey) -> Digipost:
    return channel_of(server, key)


def asked(delivery_id: int = 1) -> Asked:
    return Asked(delivery_id, parcel(delivery_id).key, None)


def test_it_is_a_channel_that_calls(channel: Digipost) -> None:
    calls: Calls = channel
    assert calls.name == "digipost"


# Look-ups


def test_who_has_a_mailbox_is_found_by_id_or_by_name_and_address(channel: Digipost, server: DigipostServer) -> None:
    server.persons.append({"national_id": "01010750160"})
    server.add_mailbox("fjord#1", org_no="988077917")
    server.add_mailbox("per#1", name="Per Hansen", street="Gata 1", postal_code="5003", city="Bergen")
    server.add_mailbox("per#2", name="Per Hansen", street="Gata 1", postal_code="5003", city="Bergen")
    per: dict[str, Any] = {"name": "Per Hansen", "street": "Gata 1", "postal_code": "5003", "city": "Bergen"}
    readers = [
        KARI,
        replace(KARI, agreement_id=2, national_id=None),
        replace(KARI, agreement_id=3, national_id="01010750160"),
        replace(KARI, agreement_id=4, national_id=None, name="Ola Hansen"),
        replace(KARI, agreement_id=5, kind="business", org_no="988077917", national_id=None),
        replace(KARI, agreement_id=6, national_id=None, **per),
        replace(KARI, agreement_id=7, national_id=None, country="SE"),
        replace(KARI, agreement_id=8, national_id="1510869508X"),
    ]
    assert channel.look_up(readers, TODAY) == {
        1: Yes(ADDRESS),
        2: Yes(ADDRESS),
        3: No("no_mailbox"),
        4: No("not_identified"),
        5: Yes("fjord#1"),
        6: No("several_matches"),
        7: No("not_identifiable"),
        8: No("wrong_national_id"),
    }


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
    {"kind": "signature"},
    {"kind": "slow", "seconds": 3},
    *({"kind": "garbage", "what": what} for what in ("text", "xml", "entities", "empty", "huge", "json")),
]


def for_a(fault: dict[str, Any], server: DigipostServer, key: RSAPrivateKey) -> Digipost:
    """Return a channel that waits long, but not for what is late on purpose; it has called before."""
    late = fault["kind"] in {"timeout", "slow"}
    made = channel_of(server, key, seconds=HASTY if late else PATIENT)
    made.look_up([KARI], TODAY)
    server.seen.clear()
    return made


def name_of(fault: dict[str, Any]) -> str:
    return "-".join(str(value) for value in fault.values())


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_an_error_makes_nobody_a_non_user(
    channel: Digipost, server: DigipostServer, key: RSAPrivateKey, fault: dict[str, Any]
) -> None:
    hasty = for_a(fault, server, key)
    server.faults.add({**fault, "on": "identification"})
    (verdict,) = hasty.look_up([KARI], TODAY).values()
    assert isinstance(verdict, Unsure), verdict
    assert channel.look_up([KARI], TODAY) == {1: Yes(ADDRESS)}
    assert server.faults.waiting() == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 415, 302])
def test_a_refusal_that_is_signed_makes_nobody_a_non_user(
    channel: Digipost, server: DigipostServer, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_identify", lambda _: replace(server._entry(), status=status))
    (verdict,) = channel.look_up([KARI], TODAY).values()
    assert verdict == Unsure(f"http_{status}")


def test_the_rest_is_not_tried_when_nobody_answers(channel: Digipost, server: DigipostServer) -> None:
    channel.look_up([KARI], TODAY)
    server.seen.clear()
    server.stop()
    readers = [replace(KARI, agreement_id=number) for number in range(1, 41)]
    verdicts = channel.look_up(readers, TODAY)
    assert len(verdicts) == 40
    assert all(isinstance(one, Unsure) for one in verdicts.values())
    assert list(verdicts.values()).count(Unsure("not_tried")) >= 30
    parcels = [parcel(number) for number in range(1, 11)]
    assert all(
        isinstance(one, Later | NoAnswer) and not isinstance(one, Refused)
        for one in channel.hand_over(parcels).values()
    )


# Handing over


def test_an_invoice_is_handed_over_with_what_is_to_be_paid(channel: Digipost, server: DigipostServer) -> None:
    result = channel.hand_over([parcel()])[1]
    assert isinstance(result, Delivered)
    assert (result.ref, result.cost_ore, result.opened_at) == (parcel().key, 450, None)
    assert result.proof["status"] == "DELIVERED"
    message = server.messages[parcel().key]
    assert message.mailbox == ADDRESS
    assert message.letter.pdf == PDF
    assert message.letter.login == "TWO_FACTOR"
    assert message.letter.subject == "Faktura 100000007 fra Brikke Eksempel AS"
    assert message.letter.invoice == {
        "due-date": "2026-03-16T00:00:00+01:00",
        "sum": "1234.05",
        "creditor-account": "15030012345",
        "kid": "100000010000000075",
    }


@pytest.mark.parametrize(
    ("bill", "form", "subject"),
    [
        (BILL, "avtalegiro", "Invoice 100000007 from Brikke Eksempel AS, paid by AvtaleGiro"),
        (replace(BILL, kind="receipt", due_on=None), "transfer", "Receipt 100000007 from Brikke Eksempel AS"),
        (
            replace(BILL, kind="credit_note", due_on=None, open_ore=0),
            "transfer",
            "Credit note 100000007 from Brikke Eksempel AS",
        ),
        (replace(BILL, open_ore=0), "transfer", "Invoice 100000007 from Brikke Eksempel AS"),
    ],
)
def test_what_is_not_to_be_paid_there_is_a_letter(
    channel: Digipost, server: DigipostServer, bill: Any, form: str, subject: str
) -> None:
    assert isinstance(channel.hand_over([parcel(bill=bill, form=form, language="en")])[1], Delivered)
    letter = server.messages[parcel().key].letter
    assert (letter.invoice, letter.subject) == (None, subject)


def test_a_batch_is_handed_over_and_one_page_that_cannot_be_made_keeps_nobody_back(
    channel: Digipost, server: DigipostServer
) -> None:
    def broken() -> bytes:
        raise RuntimeError("Kari Nordmann")

    parcels = [parcel(number) for number in range(1, 11)]
    parcels[3] = parcel(4, pdf=broken)
    parcels[5] = parcel(6, address="nobody#1")
    parcels[6] = parcel(7, address=None)
    parcels[7] = parcel(8, pdf=lambda: b"not a page")
    results = channel.hand_over(parcels)
    assert results[4] == Later("no_page")
    assert results[6] == Refused("no_mailbox", {"answer": "UNKNOWN_RECIPIENT"})
    assert results[7] == Refused("no_mailbox", {"answer": "no_address"})
    assert results[8] == Refused("invalid_pdf_content", {"answer": "INVALID_PDF_CONTENT"})
    assert all(isinstance(results[number], Delivered) for number in (1, 2, 3, 5, 9, 10))
    assert len(server.messages) == 6


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_whatever_goes_wrong_a_message_is_delivered_once(
    channel: Digipost, server: DigipostServer, key: RSAPrivateKey, fault: dict[str, Any]
) -> None:
    """What a sender does: hand over; no answer: ask by the key; unheard: hand over once more."""
    hasty = for_a(fault, server, key)
    server.faults.add({**fault, "on": "message"})
    result: Any = hasty.hand_over([parcel()])[1]
    assert isinstance(result, Later | NoAnswer), result
    if isinstance(result, NoAnswer):
        result = channel.ask([asked()])[1]
    if isinstance(result, Later | Unheard):
        assert server.messages == {}
        result = channel.hand_over([parcel()])[1]
    assert isinstance(result, Delivered), result
    assert len(server.messages) == 1
    again = channel.hand_over([parcel()])[1]
    assert again == Handed(parcel().key, {"message_id": parcel().key, "answer": "DUPLICATE_MESSAGE"}, 450)
    assert len(server.messages) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_asking_that_goes_wrong_tells_nothing(
    channel: Digipost, server: DigipostServer, key: RSAPrivateKey, fault: dict[str, Any]
) -> None:
    hasty = for_a(fault, server, key)
    channel.hand_over([parcel()])
    server.faults.add({**fault, "on": "status"})
    assert isinstance(hasty.ask([asked()])[1], NoAnswer)
    assert isinstance(channel.ask([asked()])[1], Delivered)


def test_when_it_was_opened_is_told(channel: Digipost, server: DigipostServer) -> None:
    channel.hand_over([parcel(number) for number in (1, 2, 3)])
    server.open(parcel(2).key)
    found = channel.ask([asked(number) for number in (1, 2, 3, 4)])
    opened = server.messages[parcel(2).key].opened_at
    assert opened is not None
    first, second, third, fourth = (found[number] for number in (1, 2, 3, 4))
    assert isinstance(first, Delivered)
    assert isinstance(second, Delivered)
    assert isinstance(third, Delivered)
    assert (first.opened_at, third.opened_at, fourth) == (None, None, Unheard())
    assert second.opened_at is not None
    assert abs(second.opened_at - opened) < dt.timedelta(milliseconds=2)


def test_when_it_was_opened_comes_from_the_events_where_the_status_does_not_say(
    channel: Digipost, server: DigipostServer
) -> None:
    server.tells_read = False
    channel.hand_over([parcel(1), parcel(2)])
    server.open(parcel(2).key)
    found = channel.ask([asked(1), asked(2)])
    assert isinstance(found[1], Delivered)
    assert isinstance(found[2], Delivered)
    assert (found[1].opened_at is None, found[2].opened_at is None) == (True, False)
    server.fault("error", on="events")
    unsure = channel.ask([asked(2)])[2]
    assert isinstance(unsure, Delivered)
    assert unsure.opened_at is None


def test_only_what_never_came_is_taken_back(channel: Digipost, server: DigipostServer) -> None:
    channel.hand_over([parcel(1)])
    server.fault("error", on="status")
    assert channel.take_back([asked(1)]) == {1: NoAnswer("http_500")}
    assert channel.take_back([asked(1), asked(2)]) == {1: TooLate("in_mailbox"), 2: TakenBack()}


# Signatures


def test_a_sender_that_they_do_not_know_is_told_and_nobody_is_refused_for_it(server: DigipostServer) -> None:
    stranger = channel_of(server, new_key())
    (verdict,) = stranger.look_up([KARI], TODAY).values()
    assert isinstance(verdict, Unsure)
    assert isinstance(stranger.hand_over([parcel()])[1], Later)
    assert server.messages == {}


@pytest.mark.parametrize("minutes", [6, -6])
def test_clocks_too_far_apart(server: DigipostServer, key: RSAPrivateKey, minutes: int) -> None:
    apart = channel_of(server, key, now=lambda: now_utc() + dt.timedelta(minutes=minutes))
    (verdict,) = apart.look_up([KARI], TODAY).values()
    assert isinstance(verdict, Unsure)
    assert isinstance(apart.hand_over([parcel()])[1], Later)
    near = channel_of(server, key, now=lambda: now_utc() + dt.timedelta(minutes=minutes * 4 / 6))
    assert near.look_up([KARI], TODAY) == {1: Yes(ADDRESS)}


def test_their_certificate_may_change(channel: Digipost, server: DigipostServer) -> None:
    assert channel.look_up([KARI], TODAY) == {1: Yes(ADDRESS)}
    server.change_certificate()
    assert channel.look_up([KARI], TODAY) == {1: Yes(ADDRESS)}


def test_the_entry_point_is_read_seldom(
    channel: Digipost, server: DigipostServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        channel.look_up([KARI, replace(KARI, agreement_id=2)], TODAY)
    assert server.seen.count(("GET", "/")) == 1
    monkeypatch.setattr(wires, "ENTRY_SECONDS", -1)
    channel.look_up([KARI], TODAY)
    assert server.seen.count(("GET", "/")) >= 2


@pytest.mark.parametrize("fault", FAULTS[:5] + FAULTS[-6:], ids=name_of)
def test_without_an_entry_point_nothing_is_sent(
    server: DigipostServer, key: RSAPrivateKey, fault: dict[str, Any]
) -> None:
    server.faults.add({**fault, "on": "entry", "times": None})
    late = fault["kind"] == "timeout"
    result = channel_of(server, key, seconds=HASTY if late else PATIENT).hand_over([parcel()])[1]
    assert isinstance(result, Later)
    assert result.unreachable
    assert {path for _, path in server.seen} == {"/"}


def test_what_is_sent_at_another_path_or_changed_on_its_way_is_refused(
    server: DigipostServer, key: RSAPrivateKey
) -> None:
    """The stand-in checks: it refuses what the real one refuses."""
    wire = Wire(server.url, SENDER, key, seconds=1)
    wire.entry()
    sent = wire._send("POST", "/identification", "", b"<x/>", wires.MEDIA)
    assert b"SCHEMA_VALIDATION_ERROR" in sent.body  # past the signature
    for change, code in (
        ({"Date": "Wed, 29 Jun 2011 14:58:11 GMT"}, b"DATE_HEADER_OUTSIDE"),
        ({"X-Content-SHA256": "x"}, b"INVALID_SHA256"),
        ({"X-Digipost-UserId": "1001"}, b"UNKNOWN_USER_ID"),
        ({"X-Digipost-Signature": "eA=="}, b"INVALID_SIGNATURE"),
    ):
        answer = wire._client.post(f"{server.url}/identification", content=b"<x/>", headers=_headers(wire) | change)
        assert code in answer.content
    unchanged = wire._client.post(f"{server.url}/identification", content=b"<x/>", headers=_headers(wire))
    assert b"SCHEMA_VALIDATION_ERROR" in unchanged.content
    elsewhere = wire._client.post(f"{server.url}/messages", content=b"<x/>", headers=_headers(wire))
    assert b"INVALID_SIGNATURE" in elsewhere.content


def _headers(wire: Wire) -> dict[str, str]:
    from billing.delivery.digipost import signing

    date, hashed = signing.date_header(wire.now()), signing.content_hash(b"<x/>")
    text = signing.request_string("POST", "/identification", "", date=date, sender=SENDER, hashed=hashed)
    signature = signing.sign(wire._key, text)
    return {"Date": date, signing.HASH: hashed, signing.SENDER: SENDER, signing.SIGNATURE: signature}


# Settings, and what is kept quiet


def test_it_is_made_from_the_settings(server: DigipostServer, key: RSAPrivateKey, tmp_path: Path) -> None:
    (tmp_path / "digipost.pem").write_bytes(private_pem(key))
    environ = {"DIGIPOST_URL": server.url, "DIGIPOST_SENDER_ID": SENDER, "DIGIPOST_KEY_FILE": "digipost.pem"}
    made = from_settings(load(environ, tmp_path / ".env"))
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


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_a_key_that_cannot_be_used_refuses_nobody_and_stops_no_other_channel(
    server: DigipostServer, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "digipost.pem").write_bytes(content)
    environ = {"DIGIPOST_URL": server.url, "DIGIPOST_SENDER_ID": SENDER, "DIGIPOST_KEY_FILE": "digipost.pem"}
    made = from_settings(load(environ, tmp_path / ".env"))
    assert made.look_up([KARI], TODAY) == {1: Unsure("key_unusable")}
    assert made.hand_over([parcel()]) == {1: Later("key_unusable", unreachable=True)}
    assert made.ask([asked()]) == {1: NoAnswer("key_unusable")}
    assert server.seen == []


def test_nothing_of_a_person_is_in_addresses_logs_or_errors(
    channel: Digipost, server: DigipostServer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server.fault("error", on="identification")
    results = [channel.look_up([KARI], TODAY), channel.look_up([KARI], TODAY)]
    server.fault("garbage", on="message", what="text")
    handed = [channel.hand_over([parcel()]), channel.ask([asked()])]
    text = caplog.text + "".join(capsys.readouterr()) + repr(server.seen) + repr(handed) + repr(KARI)
    assert "15108695088" not in text + repr(results)
    assert "Storgata" not in text.replace(repr(KARI), "")
