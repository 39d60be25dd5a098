"""Reading records: what is one record's break, and what is the file's."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.passages.incoming import Item
from billing.passages.rules import Fault, Sent
from billing.roadside.formats import FORMATS, BrokenFile, by_name, json_array
from billing.roadside.formats.broken import LONGEST_LINE

GOOD: dict[str, Any] = {
    "id": "A-1", "passed_at": "2026-03-02T08:15:00+01:00", "station": "S1", "service": "toll", "list_price": 3100,
    "amount": 2480, "vat_rate": 0, "plate": "EV12345",
}  # fmt: skip
HEADER = "id,passed_at,station,service,list_price,amount,vat_rate,plate,flags,vat_included"
ROW = "A-1,2026-03-02T08:15:00+01:00,S1,toll,3100,2480,0,EV12345,hour_rule tag_discount,false"


def parse(form: str, data: bytes | str) -> list[Item]:
    return list(FORMATS[form].parse(io.BytesIO(data.encode() if isinstance(data, str) else data)))


def line(**changes: Any) -> str:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not ...})


def fault(item: Item) -> tuple[str, str | None]:
    assert isinstance(item.sent, Fault)
    assert item.sent.reason
    return item.sent.code, item.sent.field


def test_the_three_formats_say_the_same() -> None:
    fields = {"flags": ["hour_rule", "tag_discount"], "vat_included": False}
    (lined,) = parse("jsonl", line(**fields))
    (listed,) = parse("json", f"[{line(**fields)}]")
    (row,) = parse("csv", f"{HEADER}\n{ROW}\n")
    assert lined.sent == listed.sent == row.sent
    assert isinstance(row.sent, Sent)
    assert row.sent.passed_at.utcoffset() is not None
    assert (lined.position, listed.position, row.position) == (1, 1, 2)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "12"}, "amount"),
        ({"amount": 12.5}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": ...}, "amount"),
        ({"colour": "red"}, "colour"),
        ({"passed_at": "2026-03-02T08:15:00"}, "passed_at"),
        ({"passed_at": "yesterday"}, "passed_at"),
        ({"passed_at": 1772000000}, "passed_at"),
        ({"id": "x" * 65}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"service": "train"}, "service"),
        ({"vat_rate": -1}, "vat_rate"),
        ({"vat_included": "no"}, "vat_included"),
        ({"flags": ["by_plate"]}, "flags"),
        ({"flags": "hour_rule"}, "flags"),
        ({"station": "x" * 41}, "station"),
        ({"plate": ["EV12345"]}, "plate"),
    ],
)
def test_a_wrong_field_is_named_in_every_json(changes: dict[str, Any], field: str) -> None:
    data = f"{line()}\n{line(**changes)}\n{line(id='A-3')}"
    items = parse("jsonl", data)
    assert [isinstance(item.sent, Sent) for item in items] == [True, False, True]
    assert fault(items[1]) == ("invalid_record", field)
    items = parse("json", f"[{data.replace(chr(10), ',')}]")
    assert fault(items[1]) == ("invalid_record", field)
    assert isinstance(items[2].sent, Sent)


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"id":"\xff"}',
        b'{"id":"\\ud800"}',
        b"[" * 5000,
        b'{"flags":[{"a":' + b"[" * 5000,
        b"NaN",
        b"{} {}",
    ],
)
def test_a_line_that_is_no_record_costs_only_itself(bad: bytes) -> None:
    items = parse("jsonl", line().encode() + b"\n\n" + bad + b"\r\n" + line(id="A-3").encode())
    assert [item.position for item in items] == [1, 3, 4]
    assert fault(items[1])[0] == "invalid_record"
    assert isinstance(items[2].sent, Sent)


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id":"bad\\ud83d"}',
        b'{"id":"\\"],[\\ud83d"}',
        b'{"\\ud83d":1}',
        b'"\\x"',
        b'{"id":"\x01"}',
        b'{"id":"\xff"}',
        b"[" * 5000 + b"]" * 5000,
        b'{"flags":' + b'[{"a":' * 5000 + b'"\\ud83d]"' + b"}]" * 5000 + b"}",
    ],
)
def test_an_element_that_is_no_record_costs_only_itself(bad: bytes) -> None:
    good, other = line().encode(), line(id="A, [3]", station='"\\').encode()
    items = parse("json", b"[ " + good + b" ,\n" + bad + b",\n\n" + bad + b"\t, " + other + b"\n]\n")
    assert [item.position for item in items] == [1, 2, 3, 4]
    assert [item.raw for item in items] == [good, bad, bad, other]
    assert [fault(item)[0] for item in items[1:3]] == ["invalid_record"] * 2
    assert [item.sent.id for item in items if isinstance(item.sent, Sent)] == ["A-1", "A, [3]"]


class Counted:
    """Stands for something that works, and counts how often it is asked."""

    def __init__(self, real: Any, name: str, *, each: bool = False) -> None:
        self._real, self._each, self.calls = getattr(real, name), each, 0
        setattr(self, name, self._answer)

    def _answer(self, *given: Any) -> Any:
        self.calls += not self._each
        answer = self._real(*given)
        return self._one_by_one(answer) if self._each else answer

    def _one_by_one(self, answers: Any) -> Any:
        for answer in answers:
            self.calls += 1
            yield answer


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts the rows of brackets that are looked at."""
    counted = Counted(json_array._BRACKETS, "finditer", each=True)
    monkeypatch.setattr(json_array, "_BRACKETS", counted)
    return counted


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts how often a whole array is decoded."""
    counted = Counted(json_array._ARRAY, "decode")
    monkeypatch.setattr(json_array, "_ARRAY", counted)
    return counted


MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (b"[" + b"[" * MIB + b"]" * MIB + b"]", 3),
        (b"[" * MIB, 3),
        (b"[" + b",".join([b"[" * 2000 + b"]" * 2000] * 100) + b"]", 202),
        (b'["' + b"[" * MIB + b'",' + b"[" * 5000 + b"]" * 5000 + b"]", 4),
        (b'["\\ud83d"' + b',""' * MIB + b"]", 0),
        (b'["\\ud83d' + b'\\"' * MIB + b'"]', 0),
        (b"[" + b'"' * MIB, 0),
    ],
    ids=["deep", "brackets", "deep-ones", "in-a-string", "strings", "escapes", "quotes"],
)
def test_a_hostile_array_is_read_thrice_at_most(body: bytes, most: int, rows: Counted, decoded: Counted) -> None:
    with suppress(BrokenFile):
        json_array.count(io.BytesIO(body))
    assert decoded.calls <= 3
    assert rows.calls <= most


def test_more_brackets_than_records_have_are_not_looked_at(rows: Counted) -> None:
    body = b"[" + b"[" * 5000 + b"]" * 5000 + b",[],{}" * MIB + b"]"
    with pytest.raises(BrokenFile, match="nested too deeply"):
        json_array.elements(io.BytesIO(body))
    assert rows.calls < 400_000
    sound = line(flags=[], id="1").encode()
    many = b"[" + b"[" * 5000 + b"]" * 5000 + (b"," + sound) * 150_000 + b"]"
    assert len(json_array.elements(io.BytesIO(many))) == 150_001


@given(data=st.binary(max_size=60).map(lambda data: data + b'"x' * (len(data) % 3)), at=st.integers(0, 20))
def test_brackets_are_found_wherever_one_begins(data: bytes, at: int) -> None:
    """One that could fail would be tried again from every byte of what is left."""
    assert json_array._BRACKETS.match(data, min(at, len(data))) is not None


def test_counting_cuts_nothing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(*_: Any) -> list[bytes]:
        raise AssertionError("an array that is too long must not be cut up first")

    monkeypatch.setattr(json_array, "_split", cut)
    assert json_array.count(io.BytesIO(b'["\\ud83d"' + b",1" * 1000 + b"]")) == 1001


def test_a_broken_record_keeps_its_id_where_it_can_be_read() -> None:
    assert parse("jsonl", line(amount="x"))[0].name == "A-1"
    assert parse("jsonl", "{")[0].name is None
    assert parse("csv", f"{HEADER}\n{ROW.replace('2480', 'x')}")[0].name == "A-1"


def test_a_line_over_the_limit_is_passed_over() -> None:
    items = parse("jsonl", b'{"id":"' + b"x" * (3 * LONGEST_LINE) + b'"}\n' + line().encode())
    assert fault(items[0]) == ("invalid_record", None)
    assert len(items[0].raw) <= LONGEST_LINE + 1
    assert (items[1].position, isinstance(items[1].sent, Sent)) == (2, True)


@pytest.mark.parametrize("form", ["jsonl", "csv", "json"])
def test_a_mark_at_the_beginning_is_passed_over(form: str) -> None:
    text = {"jsonl": line(), "csv": f"{HEADER}\n{ROW}", "json": f"[{line()}]"}[form]
    (item,) = parse(form, b"\xef\xbb\xbf" + text.encode())
    assert isinstance(item.sent, Sent)


@pytest.mark.parametrize(
    ("form", "data", "at"),
    [
        ("jsonl", line().encode("utf-16"), 1),
        ("csv", HEADER.encode("utf-16"), 1),
        ("csv", b"", 1),
        ("csv", b"\n\nid,amount\n", 3),
        ("csv", HEADER.replace("plate", "colour").encode(), 1),
        ("csv", HEADER.replace("plate", "id").encode(), 1),
        ("csv", b'id,"amount\n', 1),
        ("csv", b"id\xff,amount\n", 1),
        ("json", b"[\n\n{},\n{\n", 5),
        ("json", b"[{},\n{} {}]", 2),
        ("json", b'{"id": 1}', 1),
        ("json", b"[\xff]", 1),
        ("json", b'["\\ud83d",\n oops]', 2),
        ("json", b'["\\ud83d",\n{"id": "a]', 2),
        ("json", b'["\\ud83d"', 1),
        ("json", b'"\\ud83d"', 1),
        ("json", b"[" * 100_000, 1),
        ("json", b"[" + b"[" * 5000 + b"]" * 5000 + b",\n{} {}]", 2),
        ("json", b'["' + b'\\"' * 100_000, 1),
        ("json", b"", 1),
    ],
)
def test_a_broken_file_says_at_which_line(form: str, data: bytes, at: int) -> None:
    with pytest.raises(BrokenFile) as caught:
        parse(form, data)
    assert caught.value.line == at
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (ROW + ",more", None),
        ("A-1,2026", None),
        (ROW.replace("S1", '"S1'), None),
        (ROW.replace("2480", "24.80"), "amount"),
        (ROW.replace("2480", "٣"), "amount"),
        (ROW.replace("2480", "--1"), "amount"),
        (ROW.replace("2480", ""), "amount"),
        (ROW.replace("+01:00", ""), "passed_at"),
        (ROW.replace("2026-03-02T08:15:00+01:00", "1772000000"), "passed_at"),
        (ROW.replace("false", "no"), "vat_included"),
        (ROW.replace("hour_rule", "rush"), "flags"),
    ],
)
def test_a_wrong_row_costs_only_itself(row: str, field: str | None) -> None:
    items = parse("csv", f"{HEADER}\n{row}\n{ROW}\n")
    assert fault(items[0]) == ("invalid_record", field)
    assert items[0].position == 2
    assert isinstance(items[1].sent, Sent)


def test_cells_are_taken_as_they_are() -> None:
    row = ROW.replace("EV12345", '"NULL, EV"')
    (item,) = parse("csv", f"{HEADER}\n{row}")
    assert isinstance(item.sent, Sent)
    assert item.sent.plate == "NULL, EV"


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.jsonl", "jsonl"), ("A.NDJSON", "jsonl"), ("a.json", "json"), ("a.csv", "csv"), ("a.txt", None)],
)
def test_a_files_name_says_its_format(name: str, form: str | None) -> None:
    assert by_name(Path(name)) == form


@settings(max_examples=120)
@given(form=st.sampled_from(["jsonl", "csv"]), data=st.binary(max_size=200))
def test_no_bytes_break_more_than_they_may(form: str, data: bytes) -> None:
    head = (HEADER + "\n" if form == "csv" else "").encode()
    last = (ROW if form == "csv" else line()).encode()
    items = parse(form, head + b"{}\n" + data + b"\n" + last)
    assert isinstance(items[-1].sent, Sent)
    assert [item.position for item in items] == sorted({item.position for item in items})
