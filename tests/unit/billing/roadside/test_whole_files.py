"""Looking a file over before anything of it is booked: what it says of itself, and whether it is whole."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.passages.incoming import Answer
from billing.passages.rules import Cancel, Fault
from billing.roadside.formats import FORMATS, Answered, BrokenFile, Head
from tests.unit.billing.roadside.test_formats import GOOD, HEADER, ROW, line, parse

HEAD = json.dumps({"file": {"number": 17, "sender": "HUB", "originator": "FJELL", "records": 2}})
SAID = Head(17, "HUB", "FJELL", 2)


def check(form: str, data: str | bytes) -> Head:
    return FORMATS[form].check(io.BytesIO(data.encode() if isinstance(data, str) else data))


def two(form: str) -> str:
    if form == "jsonl":
        return f"{HEAD}\n{line()}\n{line(id='B')}\n"
    return f"#file,number=17,sender=HUB,originator=FJELL,records=2\n{HEADER}\n{ROW}\n{ROW.replace('A-1', 'B')}\n"


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_file_says_what_it_is(form: str) -> None:
    assert check(form, two(form)) == SAID
    items = parse(form, two(form))
    assert [getattr(item.sent, "id", None) for item in items] == ["A-1", "B"]
    assert check(form, two(form).split("\n", 1)[1]) == Head()


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(data=st.data())
def test_wherever_a_counted_file_is_cut_it_is_refused(form: str, data: st.DataObject) -> None:
    text = two(form)
    # Without its last line break it is whole still.
    cut = data.draw(st.integers(1, len(text) - 2))
    begun = text[:cut]
    if form == "jsonl" or "\n" in begun:
        with pytest.raises(BrokenFile):
            check(form, begun)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("jsonl", line() + "\n" + line()[:-20]),
        ("jsonl", line()[:40]),
        ("json", f"[{line()},{line()[:30]}"),
        ("json", f"[{line()}"),
        ("csv", f"{HEADER}\n{ROW}\n{ROW[:30]}"),
        ("csv", f'{HEADER}\n"A-1'),
        ("csv", ""),
    ],
)
def test_a_file_that_ends_in_the_middle_of_a_record_is_cut_off(form: str, text: str) -> None:
    with pytest.raises(BrokenFile):
        check(form, text)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("jsonl", line()),
        ("jsonl", ""),
        ("jsonl", "rubbish"),
        ("jsonl", "\n\n" + line() + "\n\n"),
        ("jsonl", "\ufeff" + line()),
        ("jsonl", "x" * 40_000),
        ("jsonl", HEAD.replace("2}", "0}")),
        ("json", "[]"),
        ("csv", f"{HEADER}\n{ROW}"),
        ("csv", f"{HEADER}\n"),
        ("csv", f"{HEADER}\n{ROW}\nshort\n{ROW}\n"),
    ],
)
def test_what_is_whole_is_not_refused(form: str, text: str) -> None:
    check(form, text)


@pytest.mark.parametrize(
    "said",
    [
        '{"file": {"number": 0}}',
        '{"file": {"number": "x"}}',
        '{"file": {"colour": 1}}',
        '{"file": 7}',
        '{"file": {}, "x": 1}',
    ],
)
def test_what_a_file_says_of_itself_must_be_right(said: str) -> None:
    with pytest.raises(BrokenFile) as caught:
        check("jsonl", f"{said}\n{line()}\n")
    assert caught.value.line == 1


@pytest.mark.parametrize("said", ["#file,number=0", "#file,number=x", "#file,colour=1", "#file,number"])
def test_and_in_csv(said: str) -> None:
    with pytest.raises(BrokenFile):
        check("csv", f"{said}\n{HEADER}\n{ROW}\n")


def test_empty_lines_are_not_records() -> None:
    assert check("jsonl", f"{HEAD}\n\n{line()}\n \n{line(id='B')}\n\n") == SAID
    with pytest.raises(BrokenFile, match="has 3 records and says 2"):
        check("jsonl", f"{HEAD}\n{line()}\n{line()}\n{line()}\n")


def test_a_cancellation_may_be_short() -> None:
    short = {"id": "C", "action": "cancel", "original": "A-1", "version": 2}
    wanted = Cancel(id="C", action="cancel", original="A-1", version=2)
    assert parse("jsonl", json.dumps(short))[0].sent == wanted
    assert parse("json", json.dumps([short]))[0].sent == wanted
    header = HEADER + ",action,original,version,issued_at"
    rows = f"{header}\nC,,,,,,,,,,cancel,A-1,2,\n{ROW},adjust,A-0,,2026-03-02T08:15:00+01:00\n"
    (cancelled, adjusted) = parse("csv", rows)
    assert cancelled.sent == wanted
    assert getattr(adjusted.sent, "action", None) == "adjust"
    (wrong,) = parse("jsonl", json.dumps(short | {"original": 7}))
    assert isinstance(wrong.sent, Fault)
    assert wrong.sent.field == "original"
    full: dict[str, Any] = GOOD | short
    assert getattr(parse("jsonl", json.dumps(full))[0].sent, "action", None) == "cancel"


def test_answers_are_written_in_each_format() -> None:
    # No charger's object is needed.
    about = Answered(7, "FJELL", "f", Head(), None, {"accepted": 1, "too_old": 1}, {"accepted": 5})  # type: ignore[arg-type]
    chunks = [[Answer(1, "A", "accepted", ("by_plate",))], [], [Answer(2, None, "too_old", (), None, "so")]]
    lines = b"".join(FORMATS["jsonl"].answers(about, chunks)).splitlines()
    assert [json.loads(one)["code"] for one in lines] == ["accepted", "too_old"]
    found = json.loads(b"".join(FORMATS["json"].answers(about, chunks)))
    assert (found["batch"], found["records"], found["sums_ore"]) == (7, 2, {"accepted": 5})
    assert [one["detail"] for one in found["answers"]] == [None, "so"]
    assert json.loads(b"".join(FORMATS["json"].answers(about, [])))["answers"] == []
    rows = b"".join(FORMATS["csv"].answers(about, chunks)).decode().splitlines()
    assert rows == ["position,id,code,flags,field,detail", "1,A,accepted,by_plate,,", "2,,too_old,,,so"]
