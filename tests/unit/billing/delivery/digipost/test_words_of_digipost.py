"""What is written to Digipost, what is read of it, and what that means. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from billing.delivery.calling import Reply
from billing.delivery.digipost import outcomes, reading, writing
from billing.delivery.port import Delivered, Handed, Later, No, NoAnswer, Refused, Unheard, Unsure, Yes
from billing.delivery.titles import LONGEST, payable, title
from simulator.digipost import letters
from tests.integration.billing.delivery.parcels import BILL, KARI, PDF, parcel

KEY = parcel().key
NS = 'xmlns="http://api.digipost.no/schema/v8"'
texts = st.text(max_size=300)


def reply(status: int, body: str | bytes = b"") -> Reply:
    return Reply(status, httpx.Headers(), body.encode() if isinstance(body, str) else body)


def error(code: str, status: int = 400) -> Reply:
    return reply(status, f"<error {NS}><error-code>{code}</error-code><error-message>x</error-message></error>")


def identification(inner: str, status: int = 200) -> Reply:
    return reply(status, f"<identification-result {NS}>{inner}</identification-result>")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (identification("<result>DIGIPOST</result><digipost-address>a#1</digipost-address>"), Yes("a#1")),
        (identification("<result>DIGIPOST</result>"), Unsure("no_address_told")),
        (identification("<result>IDENTIFIED</result><person-alias>x</person-alias>"), No("no_mailbox")),
        (identification("<result>UNIDENTIFIED</result>"), No("not_identified")),
        (
            identification("<result>UNIDENTIFIED</result><unidentified-reason>NOT_FOUND</unidentified-reason>"),
            No("not_identified"),
        ),
        (
            identification("<result>UNIDENTIFIED</result><unidentified-reason>MULTIPLE_MATCHES</unidentified-reason>"),
            No("several_matches"),
        ),
        (
            identification(
                "<result>INVALID</result><invalid-reason>INVALID_PERSONAL_IDENTIFICATION_NUMBER</invalid-reason>"
            ),
            No("wrong_national_id"),
        ),
        (identification("<result>INVALID</result><invalid-reason>UNKNOWN</invalid-reason>"), No("not_identified")),
        (identification("<result>PERHAPS</result>"), Unsure("garbled")),
        (identification(""), Unsure("garbled")),
        (identification("<result>IDENTIFIED</result>", 201), Unsure("http_201")),
        (identification("<result>IDENTIFIED</result>", 500), Unsure("http_500")),
        (reply(200), Unsure("garbled")),
        (reply(200, "<result>IDENTIFIED</result>"), Unsure("garbled")),
        (reply(429), Unsure("http_429")),
        (error("NOT_APPROVED_FOR_REST_API_USAGE", 403), Unsure("not_approved_for_rest_api_usage")),
        (error("UNKNOWN_RECIPIENT", 404), Unsure("unknown_recipient")),
    ],
)
def test_who_has_a_mailbox(answer: Reply, verdict: Any) -> None:
    assert outcomes.verdict(answer) == verdict


@given(st.integers(100, 599), st.binary(max_size=300))
@settings(max_examples=200)
def test_garbage_makes_nobody_a_non_user_and_delivers_nothing(status: int, body: bytes) -> None:
    assert isinstance(outcomes.verdict(reply(status, body)), Unsure)
    assert not isinstance(outcomes.outcome(reply(status, body), KEY, 1), Delivered | Handed)
    assert isinstance(outcomes.found(reply(status, body), KEY, 1), NoAnswer | Unheard)


def delivery(method: str, status: str) -> str:
    return (
        f"<message-delivery {NS}><delivery-method>{method}</delivery-method><sender-id>1</sender-id>"
        f"<status>{status}</status><delivery-time>2026-03-02T10:00:00.5+01:00</delivery-time></message-delivery>"
    )


AT = "2026-03-02T09:00:00.500000+00:00"
PROOF = {"message_id": KEY, "delivered_at": AT}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            reply(201, delivery("DIGIPOST", "DELIVERED")),
            Delivered(KEY, PROOF | {"method": "DIGIPOST", "status": "DELIVERED"}, 450),
        ),
        (
            reply(200, delivery("DIGIPOST", "COMPLETE")),
            Handed(KEY, PROOF | {"method": "DIGIPOST", "status": "COMPLETE"}, 450),
        ),
        (
            reply(201, delivery("PRINT", "DELIVERED_TO_PRINT")),
            Handed(KEY, PROOF | {"method": "PRINT", "status": "DELIVERED_TO_PRINT"}, 450),
        ),
        (reply(201), NoAnswer("garbled")),
        (reply(429), Later("too_many_requests", unreachable=True)),
        (reply(500), NoAnswer("http_500")),
        (error("UNKNOWN_RECIPIENT", 500), NoAnswer("http_500")),
        (error("UNKNOWN_RECIPIENT", 404), Refused("no_mailbox", {"answer": "UNKNOWN_RECIPIENT"})),
        (reply(404), Later("http_404", unreachable=True)),
        (error("INVALID_SIGNATURE", 403), Later("invalid_signature", unreachable=True)),
        (error("ORGANISATION_LETTERS_PER_MONTH_EXCEEDED"), Later("organisation_letters_per_month_exceeded", True)),
        (error("FILE_TOO_LARGE"), Refused("file_too_large", {"answer": "FILE_TOO_LARGE"})),
        (error("a code <b>", 400), Later("http_400", unreachable=True)),
        (reply(302), Later("http_302", unreachable=True)),
        *((error(code), Handed(KEY, {"message_id": KEY, "answer": code}, 450)) for code in sorted(outcomes.ALREADY)),
    ],
)
def test_what_came_of_a_message(answer: Reply, outcome: Any) -> None:
    assert outcomes.outcome(answer, KEY, 450) == outcome


def status(attributes: str) -> str:
    return f"<document-status {NS} {attributes}/>"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            reply(200, status(f'uuid="{KEY}" status="DELIVERED" channel="DIGIPOST" read="Y" delivered="{AT}"')),
            Delivered(KEY, PROOF | {"method": "DIGIPOST", "read": True}, 450),
        ),
        (
            reply(200, status('status="DELIVERED" channel="DIGIPOST"')),
            Delivered(KEY, {"message_id": KEY, "method": "DIGIPOST", "read": None}, 450),
        ),
        (
            reply(200, status(f'uuid="{KEY}" status="NOT_DELIVERED" channel="DIGIPOST" read="N"')),
            Handed(KEY, {"message_id": KEY, "method": "DIGIPOST", "read": False}, 450),
        ),
        (reply(200, status(f'uuid="{KEY[:-1]}x" status="DELIVERED"')), NoAnswer("garbled")),
        (reply(200, status(f'uuid="{KEY}" status="LOST"')), NoAnswer("garbled")),
        (error("DOCUMENT_NOT_FOUND", 404), Unheard()),
        (error("INVALID_SIGNATURE", 403), NoAnswer("invalid_signature")),
        (reply(502), NoAnswer("http_502")),
    ],
)
def test_what_has_become_of_a_message(answer: Reply, found: Any) -> None:
    assert outcomes.found(answer, KEY, 450) == found


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY b "c">]><identification-result xmlns="http://api.digipost.no/schema/v8"/>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a" * 2000,
        b"",
        b"\xff\xfe",
        f"<error {NS}/>".encode(),
    ],
)
def test_documents_with_a_type_and_garbage_are_not_read(body: bytes) -> None:
    for read in (reading.identified, reading.taken, reading.entry, reading.events):
        with pytest.raises(reading.Garbled):
            read(body)
    assert reading.error_code(body) == ""


def test_events_are_read_and_those_without_an_instant_left_out() -> None:
    body = (
        f'<document-events {NS}><event uuid="A1" type="OPENED" created="2026-03-02T10:00:00+01:00"/>'
        '<event uuid="A2" type="OPENED" created="then"/><event/></document-events>'
    )
    at = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
    assert reading.events(body.encode()) == [reading.Event("a1", "OPENED", at)]


def test_the_entry_point_gives_paths_on_the_same_host_only() -> None:
    body = (
        f"<entrypoint {NS}><certificate>-----BEGIN CERTIFICATE-----</certificate>"
        '<link rel="https://x/relations/document_events" uri="https://elsewhere.example/documents/events?a=b"/>'
        '<link rel="https://x/relations/odd" uri="mailto:x"/></entrypoint>'
    )
    assert reading.entry(body.encode()).paths == {"document_events": "/documents/events"}


# Writing


@given(texts, texts, texts, texts)
@settings(max_examples=100)
def test_whatever_a_name_holds_the_question_is_read_by_the_other_side(
    name: str, street: str, code: str, city: str
) -> None:
    reader = replace(KARI, national_id=None, name=name, street=street, postal_code=code, city=city)
    question = writing.identification(reader)
    assert (question is None) == (not street.strip() or not code.strip())
    if question is not None:
        who = letters.question(question)
        assert set(who) == {"name", "street", "postal_code", "city"}
        assert [len(who[field]) for field in ("name", "street", "postal_code", "city")] <= [130, 100, 10, 80]


def test_an_id_goes_before_a_name_and_alone() -> None:
    question = writing.identification(KARI)
    assert question is not None
    assert letters.question(question) == {"national_id": "15108695088"}
    assert b"Kari" not in question
    business = writing.identification(replace(KARI, kind="business", org_no="988077917", national_id=None))
    assert business is not None
    assert letters.question(business) == {"org_no": "988077917"}


@given(st.binary(max_size=200), texts, st.integers(1, 10**12), st.dates(dt.date(2000, 1, 1), dt.date(2199, 12, 31)))
@settings(max_examples=100)
def test_the_other_side_reads_what_we_write(pdf: bytes, seller: str, ore: int, due_on: dt.date) -> None:
    made = parcel(bill=replace(BILL, open_ore=ore, due_on=due_on))
    content = b"%PDF-" + pdf
    body, kind = writing.multipart(made, seller, content)
    read = letters.letter(kind, body)
    assert (read.message_id, read.uuid, read.recipient) == (made.key, made.key, {"address": "kari.nordmann#1234"})
    assert read.invoice is not None
    kroner, _, rest = read.invoice["sum"].partition(".")
    assert int(kroner) * 100 + int(rest) == ore
    assert read.invoice["due-date"][:10] == due_on.isoformat()
    assert content.rstrip(b"\r\n") == read.pdf.rstrip(b"\r\n")
    assert content in body
    assert KARI.national_id is not None
    assert KARI.national_id.encode() not in body.replace(content, b"")


def test_a_page_that_holds_the_boundary_is_not_cut() -> None:
    page = PDF + f"\r\n--brikke-{KEY}\r\n".encode() + f"--brikke-{KEY}--\r\n".encode()
    body, kind = writing.multipart(parcel(), "Brikke", page)
    assert kind.endswith("-")
    assert page in body


@pytest.mark.parametrize(
    ("day", "offset"), [("2026-01-15", "+01:00"), ("2026-07-15", "+02:00"), ("2026-03-29", "+01:00")]
)
def test_a_due_date_is_the_start_of_the_day_in_oslo(day: str, offset: str) -> None:
    body = writing.message(parcel(bill=replace(BILL, due_on=dt.date.fromisoformat(day))), "Brikke")
    due = etree.fromstring(body).findtext(f".//{{{writing.DATA_TYPES}}}due-date")
    assert due == f"{day}T00:00:00{offset}"


@pytest.mark.parametrize("language", ["nb", "en"])
@pytest.mark.parametrize("kind", ["invoice", "receipt", "credit_note"])
@pytest.mark.parametrize("form", ["transfer", "avtalegiro"])
def test_every_document_has_a_title(language: str, kind: Any, form: Any) -> None:
    bill = replace(BILL, kind=kind)
    shown = title(bill, form, language, "S" * 500)
    assert "100000007" in shown
    assert len(shown) <= LONGEST
    assert payable(bill, form) == (kind == "invoice" and form == "transfer")
