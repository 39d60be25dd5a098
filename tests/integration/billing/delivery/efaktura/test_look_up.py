"""Looking readers up in the hub: every kind of answer, every key, a thousand at once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from billing.delivery.efaktura.channel import Efaktura
from billing.delivery.efaktura.soap import Account
from billing.delivery.port import No, Unsure, Verdict, Yes
from simulator.efaktura import HubServer
from tests.integration.billing.delivery.efaktura.conftest import channel_on
from tests.unit.billing.delivery.efaktura.made import reader

TODAY = dt.date(2026, 3, 1)
KARI = "13097248022"


def yes(by: str, address: str = "100000001", *, all_: bool = True, agreement: bool = False) -> Yes:
    return Yes(address, {"by": by, "auto_accept": all_, "agreement": agreement})


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"national_id": KARI}, yes("national_id")),
        ({"efaktura_id": "100000001"}, yes("efaktura_id")),
        ({}, yes("email_and_phone")),
        ({"phone": None}, yes("email_and_address")),
        ({"email": "old@example.no"}, yes("phone_and_address")),
        ({"email": "old@example.no", "phone": "1"}, No("not_found")),
        # Not found by the national id is not there, whoever else has the e-mail and the telephone.
        ({"national_id": "01010112345"}, No("not_found")),
        ({"efaktura_id": "199999999"}, yes("email_and_phone")),
        ({"phone": None, "street": ""}, No("no_key")),
    ],
)
def test_by_every_key(channel: Efaktura, known: dict[str, Any], expected: Verdict) -> None:
    assert channel.look_up([reader(1, **known)], TODAY) == {1: expected}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"yes_to_all": True}, yes("national_id", "2")),
        ({"yes_to_all": False, "agreement": True}, yes("national_id", "2", all_=False, agreement=True)),
        ({"yes_to_all": False}, No("no_consent")),
        ({"yes_to_all": True, "agreement": True, "blocked": True}, No("issuer_blocked")),
    ],
)
def test_what_the_consumer_said(hub: HubServer, channel: Efaktura, told: dict[str, bool], expected: Verdict) -> None:
    hub.consumer("2", national_id="2", **told)
    assert channel.look_up([reader(1, national_id="2")], TODAY) == {1: expected}


def test_a_business_by_its_number(hub: HubServer, channel: Efaktura) -> None:
    hub.consumer("3", org_no="999999980")
    firm = reader(1, kind="business", org_no="999999980")
    assert channel.look_up([firm], TODAY) == {1: yes("org_no", "3")}
    assert b"13097248022" not in hub.bodies[-1]


def test_several_of_one_key_are_told_apart_by_the_next(hub: HubServer, channel: Efaktura) -> None:
    told = {"email": "shared@example.no", "phone": "90000009"}
    hub.consumer("4", name="Ola Nordmann", street="Storgata 1", postal_code="0155", **told)
    hub.consumer("5", name="Per Nordmann", street="Storgata 1", postal_code="0155", **told)
    readers = [reader(1, name="ola  NORDMANN", **told), reader(2, name="Siri", **told), reader(3, street="", **told)]
    assert channel.look_up(readers, TODAY) == {
        1: yes("email_and_address", "4"),
        2: No("not_found"),
        3: No("several_found"),
    }


def test_all_readers_share_the_calls(hub: HubServer, channel: Efaktura) -> None:
    hub.hub.consumers.clear()
    for number in range(1, 1500, 2):
        hub.consumer(f"id{number}", national_id=f"n{number}")
    verdicts = channel.look_up([reader(number, national_id=f"n{number}") for number in range(1, 1502)], TODAY)
    assert hub.calls == ["getEfakturaIdentifiers"] * 2
    assert len(verdicts) == 1501
    assert verdicts[1499] == yes("national_id", "id1499")
    assert sum(isinstance(one, Yes) for one in verdicts.values()) == 750
    assert {one for one in verdicts.values() if isinstance(one, No)} == {No("not_found")}
    assert all(one.address == f"id{agreement}" for agreement, one in verdicts.items() if isinstance(one, Yes))


def test_answers_in_any_order_and_twice(hub: HubServer, channel: Efaktura) -> None:
    hub.fault("reorder")
    hub.fault("double")
    hub.consumer("2", national_id="2")
    readers = [reader(1, national_id=KARI), reader(2, national_id="2"), reader(3, national_id="3")]
    verdicts = channel.look_up(readers, TODAY)
    assert verdicts == {1: yes("national_id"), 2: yes("national_id", "2"), 3: No("not_found")}


def test_what_is_not_said_or_said_in_two_ways_is_unsure(hub: HubServer, channel: Efaktura) -> None:
    readers = [reader(1, national_id=KARI), reader(2, national_id=KARI)]
    hub.fault("leave_out")
    assert channel.look_up(readers, TODAY) == {1: yes("national_id"), 2: Unsure("not_mentioned")}
    hub.fault("contradict")
    assert channel.look_up(readers, TODAY) == {1: Unsure("not_mentioned"), 2: yes("national_id")}


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ({"kind": "timeout", "when": "before"}, "time_out"),
        ({"kind": "timeout", "when": "after", "hold_seconds": 0.05}, "cut_off"),
        ({"kind": "error", "status": 500}, "http_500"),
        ({"kind": "error", "status": 503}, "http_503"),
        ({"kind": "error", "status": 429}, "http_429"),
        ({"kind": "soap_fault"}, "fault_Server"),
        ({"kind": "soap_fault", "number": 9001}, "fault_9001"),
        ({"kind": "soap_fault", "code": "Client"}, "fault_Client"),
    ],
)
def test_an_error_makes_nobody_a_non_user(hub: HubServer, channel: Efaktura, fault: dict[str, Any], why: str) -> None:
    hub.fault(**fault)
    assert channel.look_up([reader(1, national_id=KARI)], TODAY) == {1: Unsure(why)}
    assert channel.look_up([reader(1, national_id=KARI)], TODAY) == {1: yes("national_id")}


def test_an_error_on_the_second_key_is_an_error(hub: HubServer, channel: Efaktura) -> None:
    """Who was not found by the first key may be found by the second, which has had no answer."""
    known = reader(1, efaktura_id="199999999")
    hub.fault("timeout", when="before", hold_seconds=0)
    assert isinstance(channel.look_up([known], TODAY)[1], Unsure)
    hub.hub.consumers.clear()
    assert channel.look_up([known], TODAY) == {1: No("not_found")}


def test_nobody_there_and_nobody_known(hub: HubServer, account: Account) -> None:
    gone = channel_on(account, url="http://127.0.0.1:1/x")
    assert gone.look_up([reader(1)], TODAY) == {1: Unsure("no_connection")}
    stranger = channel_on(account, password="wrong")
    assert stranger.look_up([reader(1), reader(2)], TODAY) == {
        1: Unsure("fault_FailedAuthentication"),
        2: Unsure("fault_FailedAuthentication"),
    }
    elsewhere = channel_on(account, issuer="SOMEBODY")
    assert elsewhere.look_up([reader(1)], TODAY) == {1: Unsure("fault_3001")}
    assert hub.calls == ["getEfakturaIdentifiers"]


def test_a_name_that_xml_cannot_hold_costs_nobody(channel: Efaktura) -> None:
    odd = reader(1, name="Kari\x00 Nordmann\x0b", phone=None)
    assert channel.look_up([odd, reader(2, national_id=KARI)], TODAY) == {
        1: yes("email_and_address"),
        2: yes("national_id"),
    }


def test_off_reaches_nobody_and_calls_nobody() -> None:
    off = Efaktura(None, name="vipps", address=lambda _document, _form: "")
    assert off.look_up([reader(1)], TODAY) == {1: No("not_set_up")}
