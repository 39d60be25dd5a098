"""Handing over, asking, taking back: once each, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from billing.delivery.efaktura import channel as module
from billing.delivery.efaktura.channel import Efaktura
from billing.delivery.efaktura.soap import XSD, Account
from billing.delivery.port import (
    Asked,
    Delivered,
    Form,
    Handed,
    Later,
    NoAnswer,
    Parcel,
    Refused,
    TakenBack,
    TooLate,
    Unheard,
)
from simulator.efaktura import HubServer
from tests.integration.billing.delivery.efaktura.conftest import COST, channel_on
from tests.unit.billing.delivery.efaktura.made import PDF, parcel

SPACE = "{urn:brikke:efaktura-atg:1}"


def _nowhere(_document: int, _form: Form) -> str:
    raise AssertionError


def asked(*parcels: Parcel) -> list[Asked]:
    return [Asked(one.delivery_id, one.key, None) for one in parcels]


def test_what_arrives(hub: HubServer, channel: Efaktura) -> None:
    outcome = channel.hand_over([parcel(1)])[1]
    [held] = hub.hub.transactions.values()
    assert outcome == Delivered(held.shipment, {"status": "ACCEPTED"}, COST)
    assert (held.id, held.identifier, held.number) == (parcel(1).key, "100000001", "100000001")
    assert (held.amount_ore, held.due_on, held.kid) == (12345, dt.date(2026, 3, 16), "100000011000000017")
    assert (held.payment_type, held.document_type, held.account) == ("EFAKTURA", "INVOICE", "15030012345")
    assert (held.url, held.pdf) == ("https://b.example/transfer/7", PDF)
    sent = etree.fromstring(hub.bodies[-1]).find(f".//{SPACE}addShipment")
    assert sent is not None
    etree.XMLSchema(etree.parse(str(XSD))).assertValid(sent)


def test_beside_avtalegiro_it_is_not_paid_there(hub: HubServer, channel: Efaktura) -> None:
    channel.hand_over([parcel(1, form="avtalegiro"), parcel(2, template="reminder")])
    kinds = [(one.payment_type, one.document_type) for one in hub.hub.transactions.values()]
    assert kinds == [("EFAKTURA_AND_AVTALEGIRO", "INVOICE"), ("EFAKTURA", "REMINDER")]
    assert [one["transaction"] for one in hub.hub.payments()] == [parcel(2).key]


def test_each_step_of_its_way(hub: HubServer, channel: Efaktura) -> None:
    hub.hub.at_once = False
    parcels = [parcel(number) for number in range(1, 6)]
    handed = channel.hand_over(parcels)
    shipment = next(iter(hub.hub.shipments))
    assert handed == {number: Handed(shipment, {"status": "IN_PROGRESS"}, COST) for number in range(1, 6)}
    hub.hub.end(parcels[1].key, "REJECTED", "account closed")
    hub.hub.end(parcels[2].key, "STOPPED", "by the bank")
    hub.hub.end(parcels[3].key, "CANCELLED")
    hub.hub.end(parcels[4].key, "ACCEPTED")
    with_ref = [replace(one, ref=shipment) for one in asked(*parcels, parcel(6))]
    assert channel.ask(with_ref) == {
        1: Handed(shipment, {"status": "IN_PROGRESS"}, COST),
        2: Refused("rejected", {"status": "REJECTED", "reason": "account closed"}),
        3: Refused("stopped", {"status": "STOPPED", "reason": "by the bank"}),
        4: Refused("cancelled", {"status": "CANCELLED"}),
        5: Delivered(shipment, {"status": "ACCEPTED"}, COST),
        6: Unheard(),
    }
    assert channel.ask(asked(parcels[4])) == {5: Delivered(parcels[4].key, {"status": "ACCEPTED"}, COST)}


def test_rejected_and_stopped_at_once(hub: HubServer, channel: Efaktura) -> None:
    hub.fault("reject_later", reason="bank says no")
    hub.fault("stop", reason="limit")
    assert channel.hand_over([parcel(1), parcel(2), parcel(3)]) == {
        1: Refused("rejected", {"status": "REJECTED", "reason": "bank says no"}),
        2: Refused("stopped", {"status": "STOPPED", "reason": "limit"}),
        3: Delivered(next(iter(hub.hub.shipments)), {"status": "ACCEPTED"}, COST),
    }


def test_the_same_again_is_taken_before(hub: HubServer, channel: Efaktura) -> None:
    channel.hand_over([parcel(1)])
    outcomes = channel.hand_over([parcel(1), parcel(2)])
    assert isinstance(outcomes[1], Handed)
    assert outcomes[1].proof["error"] == 3003
    assert isinstance(outcomes[2], Delivered)
    assert len(hub.hub.transactions) == 2


@pytest.mark.parametrize("code", ["Client", "Server"])
def test_the_same_call_twice_is_asked_about(hub: HubServer, channel: Efaktura, code: str) -> None:
    """A shipment's id is new with each call: a duplicate is the very call, heard before."""
    hub.fault("soap_fault", number=3002, when="after", code=code)
    assert channel.hand_over([parcel(1), parcel(2, address="nobody")]) == {
        1: Delivered(next(iter(hub.hub.shipments)), {"status": "ACCEPTED"}, COST),
        2: NoAnswer("not_mentioned"),
    }
    assert hub.calls == ["addShipment", "getShipmentStatus"]


def test_a_call_refused_for_one_taken_before(hub: HubServer, channel: Efaktura) -> None:
    channel.hand_over([parcel(1)])
    hub.fault("soap_fault", number=3003, code="Client")
    outcomes = channel.hand_over([parcel(1), parcel(2)])
    assert isinstance(outcomes[1], Delivered)
    assert outcomes[2] == NoAnswer("not_there")
    assert channel.ask(asked(parcel(2))) == {2: Unheard()}
    hub.fault("soap_fault", number=3003, code="Client", on="shipment")
    hub.fault("error", on="status")
    assert channel.hand_over([parcel(1)]) == {1: NoAnswer("http_500")}


@pytest.mark.parametrize(("number", "why"), [(3020, "kid_missing"), (3100, "type_not_implemented"), (4711, "hub_4711")])
def test_one_refused_costs_the_others_nothing(hub: HubServer, channel: Efaktura, number: int, why: str) -> None:
    hub.consumer("200000002")
    hub.fault("reject", number=number, about="200000002")
    outcomes = channel.hand_over([parcel(1), parcel(2, address="200000002"), parcel(3)])
    assert isinstance(outcomes[1], Delivered)
    assert isinstance(outcomes[3], Delivered)
    assert isinstance(outcomes[2], Refused)
    assert (outcomes[2].why, outcomes[2].proof["error"]) == (why, number)


def test_consent_withdrawn_since_the_look_up(hub: HubServer, channel: Efaktura) -> None:
    hub.consumer("100000001", blocked=True)
    assert channel.hand_over([parcel(1), parcel(2, address="100000009")]) == {
        1: Refused("hub_3011", {"error": 3011, "text": "The consumer takes no eFaktura from this issuer"}),
        2: Refused("hub_3010", {"error": 3010, "text": "The eFaktura identifier is not known"}),
    }


def test_one_that_cannot_be_read_is_found_among_many(hub: HubServer, channel: Efaktura) -> None:
    """A call that is refused as a whole goes again in halves."""
    parcels = [parcel(number) for number in range(1, 21)]
    parcels[6] = parcel(7, address="x" * 10, key="not-a-uuid")
    outcomes = dict(channel.hand_over(parcels))
    assert outcomes.pop(7) == Later("fault_1000")
    assert all(isinstance(one, Delivered) for one in outcomes.values())
    assert len(outcomes) == len(hub.hub.transactions) == 19


def test_alone_in_a_refused_call_it_is_refused(hub: HubServer, channel: Efaktura) -> None:
    hub.fault("soap_fault", code="Client", number=3100, times=3)
    outcomes = channel.hand_over([parcel(1), parcel(2)])
    assert outcomes == dict.fromkeys((1, 2), Refused("type_not_implemented", {"error": 3100, "text": ""}))


def _broken() -> bytes:
    raise RuntimeError("Kari's page")


def test_a_page_that_cannot_be_made_or_is_too_large(
    hub: HubServer, channel: Efaktura, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PDF_BYTES", 100)
    outcomes = channel.hand_over([parcel(1), parcel(2, pdf=_broken), parcel(3, pdf=lambda: b"x" * 101)])
    assert outcomes[2] == Later("no_page")
    assert [len(one.pdf) for one in hub.hub.transactions.values()] == [len(PDF), 0]
    assert isinstance(outcomes[3], Delivered)


def test_pages_are_held_one_shipment_at_a_time(
    hub: HubServer, channel: Efaktura, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SHIPMENT_BYTES", 3 * len(PDF))
    outcomes = channel.hand_over([parcel(number) for number in range(1, 9)])
    assert [len(ids) for ids in hub.hub.shipments.values()] == [3, 3, 2]
    assert all(isinstance(one, Delivered) for one in outcomes.values())


def test_a_thousand_in_a_call_and_no_more(hub: HubServer, channel: Efaktura) -> None:
    parcels = [parcel(number) for number in range(1, 1002)]
    outcomes = channel.hand_over(parcels)
    assert channel.batch == 1000
    assert [len(ids) for ids in hub.hub.shipments.values()] == [1000, 1]
    assert all(isinstance(one, Delivered) for one in outcomes.values())
    hub.fault("double")
    hub.fault("reorder")
    told = channel.ask(asked(*parcels))
    assert len(told) == 1001
    assert all(isinstance(one, Delivered) for one in told.values())
    assert hub.calls == ["addShipment"] * 2 + ["getTransactionStatus"] * 2


@pytest.mark.parametrize(
    ("fault", "outcome", "heard"),
    [
        ({"kind": "timeout", "when": "before"}, NoAnswer("time_out"), False),
        ({"kind": "timeout", "when": "after"}, NoAnswer("time_out"), True),
        ({"kind": "timeout", "when": "after", "hold_seconds": 0}, NoAnswer("cut_off"), True),
        ({"kind": "error", "status": 500, "when": "after"}, NoAnswer("http_500"), True),
        ({"kind": "error", "status": 503}, NoAnswer("http_503"), False),
        ({"kind": "error", "status": 429}, Later("http_429"), False),
        ({"kind": "error", "status": 403}, Later("http_403", unreachable=True), False),
        ({"kind": "error", "status": 302}, Later("http_302"), False),
        ({"kind": "soap_fault", "when": "after"}, NoAnswer("fault_Server"), True),
        ({"kind": "soap_fault", "code": "Client", "number": 77}, Later("fault_77"), False),
        ({"kind": "leave_out", "on": "shipment"}, NoAnswer("not_mentioned"), True),
        ({"kind": "contradict", "on": "shipment"}, NoAnswer("not_mentioned"), True),
    ],
)
def test_what_had_no_answer_is_asked_for_and_goes_once(
    hub: HubServer, channel: Efaktura, fault: dict[str, Any], outcome: object, heard: bool
) -> None:
    hub.fault(**fault)
    assert channel.hand_over([parcel(1)]) == {1: outcome}
    assert isinstance(channel.ask(asked(parcel(1)))[1], Delivered if heard else Unheard)
    again = channel.hand_over([parcel(1)])[1]
    assert isinstance(again, Handed if heard else Delivered)
    assert len(hub.hub.transactions) == 1


def test_a_hub_that_is_down_is_called_once(hub: HubServer, channel: Efaktura, account: Account) -> None:
    parcels = [parcel(number) for number in range(1, 1003)]
    hub.fault("timeout", when="before", hold_seconds=0, times=None)
    outcomes = channel.hand_over(parcels)
    assert outcomes[1] == outcomes[1000] == NoAnswer("cut_off")
    assert outcomes[1002] == Later("not_tried", unreachable=True)
    assert channel.ask(asked(*parcels))[1002] == NoAnswer("not_tried")
    assert hub.calls == ["addShipment", "getTransactionStatus"]
    gone = channel_on(account, url="http://127.0.0.1:1/x")
    assert gone.hand_over(parcels[:2]) == dict.fromkeys((1, 2), Later("no_connection", unreachable=True))
    assert gone.ask(asked(parcels[0])) == {1: NoAnswer("no_connection")}
    assert gone.take_back(asked(*parcels[:2])) == {
        1: Later("no_connection", unreachable=True),
        2: Later("not_tried", unreachable=True),
    }


@pytest.mark.parametrize(
    ("other", "why"), [({"password": "x"}, "fault_FailedAuthentication"), ({"user": "x"}, "fault_FailedAuthentication")]
)
def test_who_is_not_known_hands_nothing_over(hub: HubServer, account: Account, other: dict[str, str], why: str) -> None:
    stranger = channel_on(account, **other)
    assert stranger.hand_over([parcel(1), parcel(2)]) == dict.fromkeys((1, 2), Later(why, unreachable=True))
    assert stranger.ask(asked(parcel(1))) == {1: NoAnswer(why)}
    assert hub.calls == []


def test_taking_back(hub: HubServer, channel: Efaktura) -> None:
    hub.hub.at_once = False
    parcels = [parcel(number) for number in range(1, 5)]
    channel.hand_over(parcels[:3])
    hub.hub.end(parcels[1].key, "ACCEPTED")
    hub.hub.end(parcels[2].key, "ACCEPTED")
    assert channel.take_back(asked(*parcels[:2])) == {1: TakenBack(), 2: TakenBack()}
    [payment] = hub.hub.payments(take=True)
    assert payment["transaction"] == parcels[2].key
    assert channel.take_back(asked(*parcels)) == {
        1: TakenBack(),
        2: TakenBack(),
        3: TooLate("paid"),
        4: TakenBack(),
    }
    assert channel.ask(asked(parcels[0])) == {1: Refused("cancelled", {"status": "CANCELLED"})}
    assert isinstance(channel.ask(asked(parcels[2]))[3], Delivered)


@pytest.mark.parametrize(
    ("fault", "first", "rest"),
    [
        ({"kind": "timeout", "when": "after"}, NoAnswer("time_out"), Later("not_tried", unreachable=True)),
        ({"kind": "error"}, NoAnswer("http_500"), Later("not_tried", unreachable=True)),
        ({"kind": "soap_fault", "code": "Client", "number": 8}, Later("fault_8"), TakenBack()),
    ],
)
def test_taking_back_without_an_answer(
    hub: HubServer, channel: Efaktura, fault: dict[str, Any], first: object, rest: object
) -> None:
    parcels = [parcel(1), parcel(2)]
    channel.hand_over(parcels)
    hub.fault(**fault)
    assert channel.take_back(asked(*parcels)) == {1: first, 2: rest}
    assert channel.take_back(asked(*parcels)) == {1: TakenBack(), 2: TakenBack()}


def test_the_consumer_pays_another_sum_on_another_day(hub: HubServer, channel: Efaktura) -> None:
    """What the bank tells is theirs: the eFaktura stands as it was sent."""
    channel.hand_over([parcel(1)])
    status, _ = hub.control.answer(
        "POST",
        f"/_control/transactions/{parcel(1).key}",
        b'{"do": "change", "amount_ore": 5000, "on": "2026-04-01"}',
    )
    assert status == 200
    [payment] = hub.control.answer("GET", "/_control/payments", b"")[1]["payments"]
    assert (payment["amount_ore"], payment["on"], payment["kid"]) == (5000, "2026-04-01", parcel(1).bill.kid)
    assert isinstance(channel.ask(asked(parcel(1)))[1], Delivered)


def test_in_vipps_it_is_the_same_by_another_name(hub: HubServer, account: Account) -> None:
    hub.consumer("100000001", vipps=True)
    vipps = channel_on(account, name="vipps")
    assert vipps.name == "vipps"
    assert isinstance(vipps.hand_over([parcel(1)])[1], Delivered)
    assert hub.hub.listed()[0]["vipps"] is True


def test_off_hands_nothing_over_and_loses_nothing() -> None:
    off = Efaktura(None, name="efaktura", address=_nowhere)
    assert off.hand_over([parcel(1)]) == {1: Later("not_set_up", unreachable=True)}
    assert off.ask(asked(parcel(1))) == {1: NoAnswer("not_set_up")}
    assert off.take_back(asked(parcel(1))) == {1: Later("not_set_up", unreachable=True)}


def test_nothing_of_anybody_is_logged(hub: HubServer, channel: Efaktura, capfd: pytest.CaptureFixture[str]) -> None:
    hub.fault("garbage", body="text", times=2)
    channel.hand_over([parcel(1, pdf=_broken), parcel(2)])
    channel.ask(asked(parcel(1)))
    said = "".join(capfd.readouterr())
    assert "efaktura_page_failed" in said
    assert "efaktura_call_failed" in said
    for word in ("Kari", "100000001", "kari@", hub.password, hashlib.sha256(PDF).hexdigest()):
        assert word not in said
