"""Our answers, lists and complaints are what the schema says, byte for byte again; the chargers' answers are read."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
from collections.abc import Callable
from typing import get_args

import pytest
from lxml import etree

from billing.passages.incoming import Answer
from billing.passages.rules import Code
from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.form import Answered, Head
from billing.roadside.formats.iso12855 import (
    FORMAT,
    ClaimLine,
    Complaint,
    Provider,
    Response,
    read_ack,
    read_claim,
    read_responses,
    refused,
    render_complaints,
    render_list,
)
from billing.roadside.formats.iso12855.answers import STATUS
from tests.unit.billing.roadside.iso12855.samples import SPACE, is_valid, message, provider

AT = dt.datetime(2026, 3, 2, 8, 15, tzinfo=dt.timezone(dt.timedelta(hours=1)))
ANSWERED = Answered(501, "FJELL", "a&b.xml", Head(17, "DK:HUB", "FJELL", 3), AT, {"accepted": 2, "invalid_record": 1})
CHUNKS = [
    [Answer(1, "A<1", "accepted"), Answer(2, "A2", "accepted", ("by_plate", "tag_plate_mismatch"))],
    [Answer(3, None, "invalid_record", (), "passed_at", "is missing")],
]


def texts(data: bytes, path: str) -> list[str | None]:
    steps = path.removeprefix("//").split("/")
    found = etree.fromstring(data).findall(".//" + "/".join(f"{{{SPACE}}}{step}" for step in steps))
    return [element.text for element in found]


def test_an_answer_file_says_what_became_of_the_message_and_of_each_record() -> None:
    data = b"".join(FORMAT.answers(ANSWERED, CHUNKS))
    assert is_valid(data)
    assert texts(data, "//status") == ["accepted", "acceptedWithRemarks", "rejected"]
    assert texts(data, "//code") == ["accepted", "accepted", "invalid_record"]
    assert texts(data, "//itemAck/claimId") == ["A<1", "A2"]
    assert texts(data, "//field") == ["usageDetail/time"]
    assert texts(data, "//flags") == ["by_plate tag_plate_mismatch"]
    assert (texts(data, "//result"), texts(data, "//file")) == (["accepted"], ["a&b.xml"])
    assert texts(data, "//relatedMessage") == ["17"]
    assert (texts(data, "//numberOfStructs"), texts(data, "//date")) == (["4"], ["20260302071500Z"])
    assert texts(data, "//recipient/providerIdentifier") == ["HUB"]
    assert texts(data, "//recipient/countryCode") == ["DK"]


def test_the_same_answers_are_the_same_bytes_however_they_are_chunked() -> None:
    first = b"".join(FORMAT.answers(ANSWERED, CHUNKS))
    assert first == b"".join(FORMAT.answers(ANSWERED, iter([[answer] for chunk in CHUNKS for answer in chunk])))
    assert b"<amends>" not in first
    amended = b"".join(FORMAT.answers(dataclasses.replace(ANSWERED, amends=77), CHUNKS))
    assert texts(amended, "//amends") == ["77"]
    assert is_valid(amended)


def test_answers_are_written_as_they_come() -> None:
    given = 0

    def chunks() -> object:
        nonlocal given
        for number in range(50):
            given += 1
            yield [Answer(number * 1000 + place, f"id-{place}", "accepted") for place in range(1, 1001)]

    pieces = FORMAT.answers(ANSWERED, chunks())  # type: ignore[arg-type]  # a generator of lists
    for _ in range(4):
        next(pieces)
    assert given < 5


def test_a_refused_file_is_answered_as_a_whole() -> None:
    answered = dataclasses.replace(ANSWERED, head=Head())
    data = refused(answered, "is not well-formed XML (mismatched tag)", 14)
    assert is_valid(data)
    assert (texts(data, "//result"), texts(data, "//line")) == (["rejected"], ["14"])
    assert texts(data, "//recipient/providerIdentifier") == ["FJELL"]
    ack = read_ack(io.BytesIO(data))
    assert (ack.kind, ack.accepted, ack.reason) == ("BillingDetails", False, "is not well-formed XML (mismatched tag)")


def test_every_code_has_a_status_and_only_what_we_owe_is_accepted() -> None:
    assert set(STATUS) == set(get_args(Code))
    assert [code for code, status in STATUS.items() if status == "accepted"] == ["accepted"]
    assert [code for code, status in STATUS.items() if status == "deferred"] == ["deferred_original_missing"]


def test_a_status_list_full_and_empty() -> None:
    rows = [
        ("9578010000000000001", "valid", None, AT),
        (("DK", "Æ&12345"), "blocked", "latePayment", AT + dt.timedelta(microseconds=5)),
    ]
    data = b"".join(render_list("FJELL", "tags", 7, True, AT, rows))  # type: ignore[arg-type]  # a literal
    assert is_valid(data)
    assert texts(data, "//pan") == ["9578010000000000001"]
    assert texts(data, "//plate") == ["Æ&12345"]
    assert texts(data, "//entry/from") == ["2026-03-02T07:15:00Z", "2026-03-02T07:15:00.000005Z"]
    assert texts(data, "//reason") == ["latePayment"]
    assert (texts(data, "//full"), texts(data, "//numberOfEntries")) == (["true"], ["2"])
    empty = b"".join(render_list("SE:SUND", "plates", 1, False, AT, ()))
    assert is_valid(empty)
    assert (texts(empty, "//full"), texts(empty, "//numberOfEntries")) == (["false"], ["0"])
    assert texts(empty, "//recipient/countryCode") == ["SE"]


def ack(body: str, *items: str, **more: str) -> bytes:
    return message(f"<ack>{body}</ack>", *items, kind="Ack", related="<relatedMessage>7</relatedMessage>")


LIST = "<relatedType>ExceptionList</relatedType><listType>tags</listType><listVersion>7</listVersion>"


def test_an_acknowledgement_of_a_list() -> None:
    data = ack(f"{LIST}<result>accepted</result>")
    assert is_valid(data)
    found = read_ack(io.BytesIO(data))
    assert (found.kind, found.related, found.list_type, found.version) == ("ExceptionList", 7, "tags", 7)
    assert (found.accepted, found.reason, found.refused_items) == (True, None, 0)
    item = "<itemAck><position>1</position><status>rejected</status><code>unknown</code></itemAck>"
    data = ack(f"<result>rejected</result><reason>å nei</reason>{LIST}", item, item)
    assert is_valid(data)
    found = read_ack(io.BytesIO(data))
    assert (found.accepted, found.reason, found.refused_items) == (False, "å nei", 2)


@pytest.mark.parametrize(
    ("body", "reason", "seen"),
    [
        (f"{LIST}<result>perhaps</result>", "result", True),
        (LIST, "result is missing", True),
        ("<result>accepted</result>", "relatedType is missing", True),
        ("<relatedType>ExceptionList</relatedType><result>accepted</result>", "which list", False),
        (f"{LIST.replace('7', '0')}<result>accepted</result>", "listVersion", True),
        (f"{LIST}<result>accepted</result><mood>good</mood>", "mood is not", True),
        (f"{LIST}<result>accepted</result></ack>{'<ack>' + LIST}", "second ack", True),
    ],
)
def test_a_bad_acknowledgement_is_refused(body: str, reason: str, seen: bool) -> None:
    structs = body.count("</ack>")
    data = ack(body).replace(b"Structs>1", f"Structs>{1 + structs}".encode())
    with pytest.raises(BrokenFile, match=reason):
        read_ack(io.BytesIO(data))
    assert is_valid(data) is not seen


CLAIM = (
    f"<paymentClaim><claimId>C-1</claimId>{provider('charger', 'FJELL')}"
    "<period><from>2026-02-01</from><to>2026-02-28</to></period><currency>NOK</currency></paymentClaim>"
)


def line(about: str, amount: str = "24.80") -> str:
    return f"<claimLine>{about}<amount>{amount}</amount></claimLine>"


def test_a_claim_by_record_and_by_project() -> None:
    by_record = message(CLAIM, line("<claimId>A</claimId>"), line("<claimId>Æ</claimId>", "-0.05"), kind="PaymentClaim")
    assert is_valid(by_record)
    claim = read_claim(io.BytesIO(by_record))
    assert (claim.claim_id, claim.charger, claim.currency) == ("C-1", "FJELL", "NOK")
    assert (claim.period_from, claim.period_to) == (dt.date(2026, 2, 1), dt.date(2026, 2, 28))
    assert list(claim.lines) == [ClaimLine(1, "A", None, 1, 2480), ClaimLine(2, "Æ", None, 1, -5)]
    project = line("<project>E18</project><count>12000</count>", "123456.00")
    by_project = message(CLAIM, project, kind="PaymentClaim")
    assert is_valid(by_project)
    assert list(read_claim(io.BytesIO(by_project)).lines) == [ClaimLine(1, None, "E18", 12000, 12345600)]
    assert list(read_claim(io.BytesIO(message(CLAIM, kind="PaymentClaim"))).lines) == []


@pytest.mark.parametrize(
    ("structs", "reason", "seen"),
    [
        ([CLAIM, line("<claimId>A</claimId>", "24.8")], "amount", True),
        ([CLAIM, line("")], "either", False),
        ([CLAIM, line("<claimId>A</claimId><project>P</project>")], "either", False),
        ([CLAIM, line("<claimId>A</claimId><count>2</count>")], "count", False),
        ([CLAIM, line("<project>P</project>")], "count", False),
        ([CLAIM, line("<claimId>A</claimId>"), line("<project>P</project><count>1</count>")], "one claim", False),
        ([CLAIM, CLAIM], "second", True),
        ([line("<claimId>A</claimId>")], "no paymentClaim", True),
        ([CLAIM.replace("FJELL", "OTHER")], "originator", False),
        ([CLAIM.replace("NOK", "EUR")], "NOK", True),
        ([CLAIM.replace("2026-02-28", "2026-01-28")], "before it begins", False),
        ([CLAIM.replace("2026-02-28", "2026-02-30")], "date", True),
        ([CLAIM.replace("2026-02-28", "20260228")], "date", True),
        ([CLAIM.replace("C-1", "C" * 65)], "longer than 64", True),
        ([CLAIM, line(f"<claimId>{'x' * 20_000}</claimId>")], "longer than", True),
    ],
)
def test_a_bad_claim_is_refused_whole(structs: list[str], reason: str, seen: bool) -> None:
    data = message(*structs, kind="PaymentClaim")
    with pytest.raises(BrokenFile, match=reason):
        list(read_claim(io.BytesIO(data)).lines)
    assert is_valid(data) is not seen


def test_a_claim_with_fewer_lines_than_it_says_or_cut_off_is_refused() -> None:
    lines = [line("<claimId>A</claimId>")]
    with pytest.raises(BrokenFile, match="holds 2 structs; its header says 3"):
        list(read_claim(io.BytesIO(message(CLAIM, *lines, kind="PaymentClaim", count=3))).lines)
    whole = message(CLAIM, *lines * 2000, kind="PaymentClaim")
    with pytest.raises(BrokenFile, match="cut off"):
        list(read_claim(io.BytesIO(whole[:-100])).lines)


def test_complaints_go_out_and_responses_come_in() -> None:
    complaints = [
        Complaint("T-1", "FJ-1", "not_driven", "Jeg var ikke der & <ser> ikke ut"),
        Complaint("T-2", "B", "other", "å"),
    ]
    data = b"".join(render_complaints("FJELL", 3, AT, complaints))
    assert is_valid(data)
    assert texts(data, "//text") == [one.text for one in complaints]
    assert texts(data, "//claimId") == ["FJ-1", "B"]
    for text in ("x" * 4001, ""):
        with pytest.raises(ValueError, match="4000"):
            b"".join(render_complaints("FJELL", 3, AT, [Complaint("T", "A", "other", text)]))
    answer = "<userComplaintResponse><complaintId>T-{}</complaintId><outcome>{}</outcome>{}</userComplaintResponse>"
    answers = [answer.format(1, "upheld", "<text>Beklager</text>"), answer.format(2, "rejected", "")]
    data = message(*answers, kind="UserComplaintResponse")
    assert is_valid(data)
    found = read_responses(io.BytesIO(data))
    assert found.responses == (Response("T-1", "upheld", "Beklager"), Response("T-2", "rejected", ""))
    assert found.header.sender == Provider("DK", "HUB")
    for bad in (
        answer.format(1, "maybe", ""),
        answer.format("x" * 64, "upheld", ""),
        answer.replace("<outcome>{}</outcome>{}", ""),
    ):
        data = message(bad, kind="UserComplaintResponse")
        with pytest.raises(BrokenFile):
            read_responses(io.BytesIO(data))
        assert not is_valid(data)


@pytest.mark.parametrize("read", [read_ack, read_claim, read_responses])
def test_a_message_of_another_type_is_named(read: Callable[[io.BytesIO], object]) -> None:
    with pytest.raises(BrokenFile, match="is a message of type BillingDetails, not"):
        read(io.BytesIO(message()))


def test_a_provider_as_text() -> None:
    for text in ("FJELL", "DK:SUND"):
        assert str(Provider.read(text)) == text
    assert Provider.read("NO:FJELL") == Provider("NO", "FJELL") == Provider.read("FJELL")
    for bad in ("", "no:FJELL", "A B", "NO:", "NO:A:B", "x" * 41):
        with pytest.raises(ValueError, match="identifier"):
            Provider.read(bad)
