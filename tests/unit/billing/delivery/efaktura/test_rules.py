"""What the hub's words mean, by table."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from billing.delivery.efaktura import rules
from billing.delivery.efaktura.hub import Fault, KeyAnswer, NeverHeard, State, Told
from billing.delivery.port import (
    Delivered,
    Handed,
    No,
    NoAnswer,
    Outcome,
    Refused,
    TakenBack,
    TooLate,
    Unheard,
    Unsure,
    Verdict,
    Yes,
)
from tests.unit.billing.delivery.efaktura.made import PDF, parcel, reader

FOUND: Literal["UNIQUE_FOUND"] = "UNIQUE_FOUND"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (KeyAnswer(FOUND, "1", True), Yes("1", {"by": "org_no", "auto_accept": True, "agreement": False})),
        (KeyAnswer(FOUND, "1", False, True), Yes("1", {"by": "org_no", "auto_accept": False, "agreement": True})),
        (KeyAnswer(FOUND, "1", True, True), Yes("1", {"by": "org_no", "auto_accept": True, "agreement": True})),
        (KeyAnswer(FOUND, "1"), No("no_consent")),
        (KeyAnswer(FOUND, "1", True, True, True), No("issuer_blocked")),
        (KeyAnswer(FOUND, "1", blocked=True), No("issuer_blocked")),
        (KeyAnswer(FOUND, None, True, True), Unsure("no_identifier")),
        (KeyAnswer("NOT_FOUND"), No("not_found")),
        (KeyAnswer("KEY_LACKS_DATA"), No("key_lacks_data")),
        (KeyAnswer("SEVERAL_FOUND"), No("several_found")),
        (KeyAnswer("SEVERAL_FOUND", "1", True, True), No("several_found")),
    ],
)
def test_what_an_answer_means(answer: KeyAnswer, expected: Verdict) -> None:
    assert rules.verdict("org_no", answer) == expected


@pytest.mark.parametrize("result", [FOUND, "NOT_FOUND", "KEY_LACKS_DATA", "SEVERAL_FOUND"])
@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("agreement", [False, True])
@pytest.mark.parametrize("accepts", [False, True])
def test_yes_is_said_in_one_case_only(result: Any, accepts: bool, agreement: bool, blocked: bool) -> None:
    verdict = rules.verdict("org_no", KeyAnswer(result, "1", accepts, agreement, blocked))
    assert isinstance(verdict, Yes) is (result == FOUND and (accepts or agreement) and not blocked)


HANDED, DELIVERED = Handed("S", {"status": "IN_PROGRESS"}, 250), Delivered("S", {"status": "ACCEPTED"}, 250)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (State("IN_PROGRESS"), HANDED),
        (State("ACCEPTED"), DELIVERED),
        (State("REJECTED", "closed"), Refused("rejected", {"status": "REJECTED", "reason": "closed"})),
        (State("STOPPED"), Refused("stopped", {"status": "STOPPED"})),
        (State("CANCELLED"), Refused("cancelled", {"status": "CANCELLED"})),
        (Fault(3002, "dup"), Handed("S", {"error": 3002, "text": "dup"}, 250)),
        (Fault(3003), Handed("S", {"error": 3003, "text": ""}, 250)),
        (Fault(3020), Refused("kid_missing", {"error": 3020, "text": ""})),
        (Fault(3100), Refused("type_not_implemented", {"error": 3100, "text": ""})),
        (Fault(4711, "new"), Refused("hub_4711", {"error": 4711, "text": "new"})),
        (NeverHeard(), Unheard()),
        (None, NoAnswer("not_mentioned")),
    ],
)
def test_what_has_become_of_it(told: Told | None, expected: Outcome | Unheard) -> None:
    assert rules.found(told, "S", 250) == expected
    # Just sent, "not there" is not to be believed at once: it would be sent again.
    assert rules.taken(told, "S", 250) == (NoAnswer("not_there") if expected == Unheard() else expected)


def test_taking_back() -> None:
    assert rules.back("CANCELLED", "") == TakenBack()
    assert rules.back("UNKNOWN", "") == TakenBack()
    assert rules.back("TOO_LATE", "paid") == TooLate("paid")
    assert rules.back("TOO_LATE", "") == TooLate("too_late")


WHERE = {"name": "Kari Nordmann", "street": "Storgata 1", "postalCode": "0155"}
MAIL, PHONE = "kari@example.no", "+47 900 00 001"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"national_id": "13097248022", "efaktura_id": "100000001"}, ["national_id", "efaktura_id", "email_and_phone"]),
        ({"efaktura_id": "100000001"}, ["efaktura_id", "email_and_phone", "email_and_address", "phone_and_address"]),
        ({"kind": "business", "org_no": "999999980", "national_id": "13097248022"}, ["org_no", "email_and_phone"]),
        ({"phone": None}, ["email_and_address"]),
        ({"email": ""}, ["phone_and_address"]),
        ({"street": " "}, ["email_and_phone"]),
        ({"phone": None, "street": ""}, []),
        ({"national_id": "1" * 65, "street": ""}, ["email_and_phone"]),
    ],
)
def test_keys_in_order(known: dict[str, Any], expected: list[str]) -> None:
    assert [way.name for way in rules.ways(reader(1, **known))][: len(expected)] == expected
    assert bool(expected) == bool(rules.ways(reader(1, **known)))


def test_what_a_key_holds() -> None:
    held = {way.name: dict(way.fields) for way in rules.ways(reader(1, national_id="13097248022", efaktura_id="9"))}
    assert held == {
        "national_id": {"nationalId": "13097248022"},
        "efaktura_id": {"efakturaId": "9"},
        "email_and_phone": {"email": MAIL, "phone": PHONE},
        "email_and_address": {"email": MAIL, **WHERE},
        "phone_and_address": {"phone": PHONE, **WHERE},
    }


@pytest.mark.parametrize(
    ("way", "result", "last"),
    [
        ("national_id", "NOT_FOUND", True),
        ("org_no", "NOT_FOUND", True),
        ("efaktura_id", "NOT_FOUND", False),
        ("email_and_phone", "NOT_FOUND", False),
        ("national_id", "KEY_LACKS_DATA", False),
        ("national_id", "SEVERAL_FOUND", False),
        ("email_and_phone", FOUND, True),
    ],
)
def test_which_answer_is_the_last_word(way: str, result: Any, last: bool) -> None:
    assert rules.settles(way, KeyAnswer(result, "1")) is last


@given(st.text(max_size=90))
@settings(max_examples=150)
def test_any_name_can_be_written(name: str) -> None:
    for way in rules.ways(reader(1, name=name)):
        for value in way.fields.values():
            etree.Element("x").text = value
            assert value == value.strip() != ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"bill_kind": "receipt"}, "nothing_to_pay"),
        ({"bill_kind": "credit_note"}, "nothing_to_pay"),
        ({"bill_due_on": None}, "nothing_to_pay"),
        ({"bill_open_ore": 0}, "nothing_to_pay"),
        ({"bill_open_ore": -1}, "nothing_to_pay"),
        ({"address": None}, "no_address"),
        ({"bill_kid": None}, "kid_missing"),
    ],
)
def test_what_cannot_be_shown(other: dict[str, Any], why: str) -> None:
    assert rules.unfit(parcel(1, **other)) == Refused(why)
    assert rules.unfit(parcel(1)) is None


@pytest.mark.parametrize(
    ("template", "form", "expected"),
    [
        ("invoice", "transfer", ("EFAKTURA", "INVOICE")),
        ("card_failed", "transfer", ("EFAKTURA", "INVOICE")),
        ("reissued", "avtalegiro", ("EFAKTURA_AND_AVTALEGIRO", "INVOICE")),
        ("reminder", "transfer", ("EFAKTURA", "REMINDER")),
        ("collection_notice", "transfer", ("EFAKTURA", "COLLECTION_NOTICE")),
    ],
)
def test_what_is_sent(template: str, form: Any, expected: tuple[str, str]) -> None:
    given = parcel(3, template=template, form=form, bill_open_ore=5)
    made = rules.transaction(given, "https://b.example/efaktura/t", PDF)
    assert (made.payment_type, made.document_type) == expected
    assert (made.id, made.identifier, made.amount_ore, made.kid) == (given.key, "100000001", 5, given.bill.kid)
    assert (made.issued_on, made.due_on, made.account) == (given.bill.issued_on, given.bill.due_on, "15030012345")
