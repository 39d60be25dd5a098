"""Claims in JSON, CSV and XML become the same lines; what is broken says where."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.roadside.settlement.claim import ChargerClaim, ClaimLine
from billing.roadside.settlement.formats import from_csv, from_json
from config.problems import Invalid

FIRST, LAST = dt.date(2026, 3, 1), dt.date(2026, 3, 31)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=20)


def csv(text: str) -> ChargerClaim:
    return from_csv(text.encode(), number="1", period_from=FIRST, period_to=LAST)


def json(**changes: object) -> ChargerClaim:
    said = {"number": "2026-03", "period_from": "2026-03-01", "period_to": "2026-03-31", "lines": []}
    return from_json(msgspec.json.encode(said | changes))


def test_by_record() -> None:
    said = json(lines=[{"record": "A-1", "amount_ore": 2480}, {"record": "A-2", "amount_ore": -100}])
    lines = [ClaimLine("A-1", None, 2480), ClaimLine("A-2", None, -100)]
    assert list(said.lines) == lines == list(csv("record,amount_ore\nA-1,2480\n\nA-2,-100\n").lines)
    assert (said.number, said.period_from, said.period_to, said.currency) == ("2026-03", FIRST, LAST, "NOK")


def test_by_project() -> None:
    said = json(lines=[{"project": "BERGEN", "count": 3, "amount_ore": 7440}], total_ore=7440)
    assert list(said.lines) == [ClaimLine(None, "BERGEN", 7440, 3)]
    assert list(csv("\ufeffproject,count,amount_ore\r\nBERGEN,3,7440\r\n").lines) == [
        ClaimLine(None, "BERGEN", 7440, 3)
    ]
    assert said.total_ore == 7440


@given(st.lists(st.tuples(NAMES, st.integers(-(10**12), 10**12)), max_size=20))
def test_both_say_the_same(rows: list[tuple[str, int]]) -> None:
    quoted = "".join('"' + name.replace('"', '""') + f'",{ore}\n' for name, ore in rows)
    expected = [ClaimLine(name, None, ore) for name, ore in rows]
    assert list(csv("record,amount_ore\n" + quoted).lines) == expected
    assert list(json(lines=[{"record": name, "amount_ore": ore} for name, ore in rows]).lines) == expected


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("record,amount\nA,1\n", 1),
        ("record,amount_ore\nA,1\nB\n", 3),
        ("record,amount_ore\nA,1.5\n", 2),
        ("record,amount_ore\nA,٣\n", 2),
        ('record,amount_ore\n"A,1\n', 2),
        ("project,count,amount_ore\nBERGEN,x,1\n", 2),
    ],
)
def test_broken_csv_says_where(text: str, line: int) -> None:
    with pytest.raises(Invalid) as caught:
        list(csv(text).lines)
    assert caught.value.errors[0]["line"] == line


def test_csv_in_another_alphabet() -> None:
    with pytest.raises(Invalid, match="UTF-8"):
        list(
            from_csv("record,amount_ore\nÆ,1\n".encode("latin-1"), number="1", period_from=FIRST, period_to=LAST).lines
        )


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [{"project": "BERGEN", "amount_ore": 1}]},
        {"lines": [{"record": "A", "count": 2, "amount_ore": 1}]},
        {"lines": [{"record": "A", "amount_ore": 1.5}]},
        {"lines": [{"record": "A", "amount_ore": 1, "price": 1}]},
        {"period_from": "2026-02-30"},
        {"number": 7},
    ],
)
def test_broken_json(change: dict[str, object]) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        list(json(**change).lines)
