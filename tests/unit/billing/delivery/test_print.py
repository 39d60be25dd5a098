"""Addresses, batches and confirmations of the print house: what is printed, what is refused, and never a cut line."""

from __future__ import annotations

import datetime as dt
import json
import zipfile
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.delivery.paper.address import LONGEST, MOST_LINES, BadAddress, Place, lines
from billing.delivery.paper.batch import Letter, batch_name, build
from billing.delivery.paper.channel import Paper
from billing.delivery.paper.confirm import BadConfirmation, Confirmation, Sheet, parse
from billing.delivery.port import No, Reader, Yes
from simulator.printhouse.check import WrongBatch, check

MADE = dt.datetime(2026, 2, 2, 5, tzinfo=dt.UTC)
KARI = Place("Kari Nordmann", "Fjøsveien 215 B", "5073", "Bergen", "NO")


def _place(changed: dict[str, str]) -> Place:
    held = {
        "name": KARI.name,
        "street": KARI.street,
        "postal_code": KARI.postal_code,
        "city": KARI.city,
        "country": "NO",
    }
    return Place(**{**held, **changed})


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, ("Kari Nordmann", "Fjøsveien 215 B", "5073 BERGEN")),
        ({"name": "  Kari \t Nordmann\n"}, ("Kari Nordmann", "Fjøsveien 215 B", "5073 BERGEN")),
        ({"city": "Ålesund"}, ("Kari Nordmann", "Fjøsveien 215 B", "5073 ÅLESUND")),
        (
            {"postal_code": "9170", "city": "Longyearbyen", "country": "SJ"},
            ("Kari Nordmann", "Fjøsveien 215 B", "9170 LONGYEARBYEN"),
        ),
        (
            {"postal_code": "111 22", "city": "Stockholm", "country": "SE"},
            ("Kari Nordmann", "Fjøsveien 215 B", "111 22 STOCKHOLM", "SWEDEN"),
        ),
        (
            {"postal_code": "SW1A 1AA", "city": "London", "country": "GB"},
            ("Kari Nordmann", "Fjøsveien 215 B", "LONDON", "SW1A 1AA", "UNITED KINGDOM"),
        ),
        (
            {"postal_code": "NY 10001", "city": "New York", "country": "US"},
            ("Kari Nordmann", "Fjøsveien 215 B", "NEW YORK NY 10001", "UNITED STATES OF AMERICA"),
        ),
        (
            {"postal_code": "", "city": "Dublin", "country": "IE"},
            ("Kari Nordmann", "Fjøsveien 215 B", "DUBLIN", "IRELAND"),
        ),
        (
            {"name": "Łukasz Żółć", "postal_code": "00-001", "city": "Warszawa", "country": "PL"},
            ("Lukasz Zólc", "Fjøsveien 215 B", "00-001 WARSZAWA", "POLAND"),
        ),
        (
            {"name": "Stiftelsen for eldre menneskers velferd i Ytre og Indre Sogn"},
            ("Stiftelsen for eldre menneskers velferd", "i Ytre og Indre Sogn", "Fjøsveien 215 B", "5073 BERGEN"),
        ),
    ],
)  # fmt: skip
def test_what_stands_on_an_envelope(changed: dict[str, str], shown: tuple[str, ...]) -> None:
    assert lines(_place(changed)) == shown


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"name": " "}, "no_name"),
        ({"street": ""}, "no_street"),
        ({"street": "-"}, "no_street"),
        ({"city": "\t"}, "no_city"),
        ({"postal_code": "507"}, "postal_code"),
        ({"postal_code": "50733"}, "postal_code"),
        ({"postal_code": "0000"}, "postal_code"),
        ({"postal_code": "٥٠٧٣"}, "characters"),
        ({"postal_code": "N-5073"}, "postal_code"),
        ({"country": "XX"}, "country"),
        ({"country": "sweden"}, "country"),
        ({"street": "x" * 41}, "line_too_long"),
        ({"name": "x" * 41}, "line_too_long"),
        ({"name": "Ja " + "x" * 41}, "line_too_long"),
        ({"city": "y" * 40}, "line_too_long"),
        ({"name": "山田太郎"}, "characters"),
    ],
)
def test_where_no_letter_can_be_sent(changed: dict[str, str], why: str) -> None:
    with pytest.raises(BadAddress, match=f"^{why}$"):
        lines(_place(changed))


@settings(max_examples=200, deadline=None)
@given(*[st.text(max_size=60)] * 4, st.sampled_from(["NO", "SE", "GB", "US", "CI", "TR", "AX", "HK", "??"]))
def test_no_line_is_cut_or_unprintable(name: str, street: str, code: str, city: str, country: str) -> None:
    try:
        found = lines(Place(name, street, code, city, country))
    except BadAddress:
        return
    assert 3 <= len(found) <= MOST_LINES
    for line in found:
        assert 0 < len(line) <= LONGEST
        assert line.encode("iso-8859-1")
        assert line.isprintable()


def test_every_country_has_a_name_that_fits() -> None:
    from accounts.customers.rules import countries

    for country in countries():
        assert lines(_place({"country": country, "postal_code": "1234"}))[-1].isupper()


def reader(**changed: Any) -> Reader:
    told = {"street": "Gata 1", "postal_code": "0155", "city": "Oslo", "country": "NO"} | changed
    return Reader(7, 10_000_007, "private", "Kari", None, "k@example.no", None, language="nb", **told)


def test_paper_reaches_whose_address_can_be_printed() -> None:
    today = dt.date(2026, 2, 2)
    assert Paper(set_up=True).look_up([reader()], today) == {7: Yes("Kari, Gata 1, 0155 OSLO")}
    assert Paper(set_up=True).look_up([reader(street="")], today) == {7: No("bad_address")}
    assert Paper(set_up=False).look_up([reader()], today) == {7: No("not_set_up")}


LETTERS = [
    Letter(("Kari; \"Nordmann\"", "Fjøsveien 1", "5073 BERGEN"), "NO", b"%PDF-1" + b"x" * 3_000),
    Letter(("Sven", "Gatan 1", "111 22 STOCKHOLM", "SWEDEN"), "SE", b"%PDF-2"),
]  # fmt: skip


def test_a_batch_is_what_the_print_house_checks() -> None:
    printed = check("brikke-print-0000012.zip", build(12, LETTERS, made_at=MADE))
    assert [one.lines for one in printed] == [letter.lines for letter in LETTERS]
    assert [one.sheet for one in printed] == [1, 2]


def test_the_same_letters_are_the_same_bytes() -> None:
    once = build(12, LETTERS, made_at=MADE)
    assert build(12, list(LETTERS), made_at=MADE) == once
    assert build(13, LETTERS, made_at=MADE) != once
    with zipfile.ZipFile(BytesIO(once)) as archive:
        assert archive.namelist() == ["manifest.json", "index.csv", "letters/000001.pdf", "letters/000002.pdf"]
        assert archive.read("letters/000002.pdf") == LETTERS[1].pdf


def test_whatever_byte_is_damaged_the_batch_is_refused() -> None:
    """Of what is read: the ZIP's own bookkeeping (dates, attributes) holds nothing that is printed."""
    whole = build(1, LETTERS, made_at=MADE)
    right = check("brikke-print-0000001.zip", whole)
    for at in range(0, len(whole), 37):
        damaged = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
        try:
            assert check("brikke-print-0000001.zip", damaged) == right
        except WrongBatch:
            continue


def confirmed(**told: Any) -> bytes:
    return json.dumps({"batch": batch_name(1), **told}).encode()


POSTED = {"sheet": 1, "state": "posted", "posted_on": "2026-02-03", "ref": "P1"}


def test_both_forms_of_a_confirmation_say_the_same() -> None:
    sheets = (Sheet(1, dt.date(2026, 2, 3), None, "P1"), Sheet(2, None, "no such street", None))
    told = confirmed(sheets=[POSTED, {"sheet": 2, "state": "rejected", "reason": "no such street"}])
    assert parse(told) == Confirmation(batch_name(1), None, None, None, sheets, ())
    text = "batch;sheet;state;posted_on;reason;ref\r\nbrikke-print-0000001;1;posted;2026-02-03;;P1\r\n"
    text += "brikke-print-0000001;2;rejected;;no such street;\r\n"
    assert parse(b"\xef\xbb\xbf" + text.encode()) == parse(told)


@pytest.mark.parametrize("state", ["accepted", "refused"])
def test_a_batch_is_accepted_or_refused(state: str) -> None:
    assert parse(confirmed(state=state, reason="wrong\nhash", sha256="a" * 64)) == Confirmation(
        batch_name(1), state, "wrong hash", "a" * 64, (), ()
    )
    assert parse(f"batch;sheet;state;reason\nbrikke-print-0000001;;{state};x\n".encode()).state == state


@pytest.mark.parametrize(
    "sheet",
    [
        {}, {"sheet": 0, "state": "posted"}, {"sheet": True, "state": "posted", "posted_on": "2026-02-03"},
        {"sheet": "1", "state": "rejected"}, {"sheet": 2, "state": "lost"},
        {"sheet": 2, "state": "posted"}, {"sheet": 2, "state": "posted", "posted_on": "2026-02-30"},
        {"sheet": 2, "state": "posted", "posted_on": 20260203}, {"sheet": 10**9, "state": "rejected"}, 7,
    ],
)  # fmt: skip
def test_one_wrong_sheet_costs_the_others_nothing(sheet: Any) -> None:
    said = parse(confirmed(sheets=[sheet, POSTED, POSTED | {"posted_on": "2026-02-09"}]))
    assert said.sheets == (Sheet(1, dt.date(2026, 2, 3), None, "P1"),)  # the first word about a sheet stands
    assert len(said.wrong) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff", b"{", b"[]", b"{}", b"hei;du\n1;2\n", confirmed(batch="brikke-print-1"), confirmed(state="maybe"),
        confirmed(sheets=7), confirmed(sha256="x"), b'{"batch":' * 100_000, b"x" * 5_000_000,
        b"batch;sheet;state\nbrikke-print-0000001;1;posted\nbrikke-print-0000002;1;posted\n",
        b'batch;sheet;state\n"' + b"x" * 200_000 + b'";1;posted\n',
    ],
)  # fmt: skip
def test_what_is_no_confirmation_is_refused(content: bytes) -> None:
    with pytest.raises(BadConfirmation):
        parse(content)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(alphabet='{}[]":,;0123456789batchsheetstate\n\r\0', max_size=200).map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["batch", "state", "sheets", "sheet", "posted_on"]), inner, max_size=4
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps({"batch": "brikke-print-0000001", "sheets": value}).encode()),
    )
)
def test_nothing_but_bad_confirmation_is_ever_raised(content: bytes) -> None:
    try:
        said = parse(content)
    except BadConfirmation:
        return
    assert said.batch.startswith("brikke-print-")
