"""Plates, PANs and from when a change counts."""

from __future__ import annotations

import datetime as dt
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.vehicles import rules
from config.checks import Wrong
from config.clock import start_of_day


@pytest.mark.parametrize(
    ("country", "plate", "kept"),
    [
        ("NO", "EL 12345", "EL12345"),
        ("NO", "el-12345", "EL12345"),
        ("NO", "  dn 1234 ", "DN1234"),
        ("NO", "bråk", "BRÅK"),
        ("NO", "bra\u030ak", "BRÅK"),
        ("NO", "ØLÆÅ", "ØLÆÅ"),
        ("DE", "M-ÜL 42", "MÜL42"),
        ("DE", "M\u2013AB\u00a01234", "MAB1234"),
        ("BG", "СВ 1234 АВ", "СВ1234АВ"),
        ("AE", "1", "1"),
        ("GB", "A.B/1", "A.B/1"),
        ("SE", "abc12d", "ABC12D"),
    ],
)
def test_plates_are_keyed_without_what_people_add(country: str, plate: str, kept: str) -> None:
    assert rules.normalise_plate(country, plate) == kept


@pytest.mark.parametrize(
    "plate", ["", "  ", "--", "EL\x0012345", "EL\n12345\x07", "A\u200bB", "A\u202eB", "A" * 16, "\ud800A", "./."]
)
def test_what_is_no_plate_is_refused(plate: str) -> None:
    with pytest.raises(Wrong):
        rules.normalise_plate("NO", plate)


@settings(max_examples=200)
@given(st.text(max_size=20))
def test_a_normalised_plate_stays_as_it_is(plate: str) -> None:
    try:
        kept = rules.normalise_plate("NO", plate)
    except Wrong:
        return
    assert rules.normalise_plate("NO", kept) == kept
    assert kept == unicodedata.normalize("NFC", kept).upper()
    assert not any(char.isspace() or char == "-" for char in kept)
    assert 1 <= len(kept) <= rules.LONGEST_PLATE


@settings(max_examples=100)
@given(st.text("ABCÆØÅ0123456789", min_size=1, max_size=7), st.data())
def test_spaces_hyphens_and_case_make_no_difference(plate: str, data: st.DataObject) -> None:
    spelt = "".join(data.draw(st.sampled_from(["", " ", "-"])) + char for char in plate)
    assert rules.normalise_plate("NO", spelt.lower()) == rules.normalise_plate("NO", plate) == plate


PAN = "9578000100000000123"


@pytest.mark.parametrize("value", [PAN, PAN + "F", PAN + "f", "9578 0001 0000 0000 123", " " + PAN])
def test_a_pan_is_nineteen_digits_with_or_without_its_pad(value: str) -> None:
    assert rules.normalise_pan(value) == PAN


@pytest.mark.parametrize(
    "value", ["", PAN[:-1], PAN + "1", PAN + "A", PAN + "FF", "F" * 20, PAN[:-1] + "F", PAN[:-1] + "٣"]
)
def test_what_is_no_pan_is_refused(value: str) -> None:
    with pytest.raises(Wrong):
        rules.normalise_pan(value)


def test_the_longest_prefix_says_who_issued_and_an_unknown_one_says_nothing() -> None:
    table = {"9578": "Norge", "95780001": "Utsteder A"}
    assert rules.issuer_of(PAN, table) == "Utsteder A"
    assert rules.issuer_of("9578999" + "0" * 12, table) == "Norge"
    assert rules.issuer_of("1" * 19, table) is None
    assert rules.issuer_of(PAN, rules.issuers()) == "Norge"


NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)


def test_today_and_nothing_are_now_and_a_later_day_begins_in_oslo() -> None:
    assert rules.effective_at(None, None, NOW, past=False) == NOW
    assert rules.effective_at(dt.date(2026, 3, 2), None, NOW, past=False) == NOW
    assert rules.effective_at(dt.date(2026, 3, 3), None, NOW, past=False) == dt.datetime(2026, 3, 2, 23, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("day", "begins", "hours"),
    [
        (dt.date(2026, 3, 29), dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC), 23),
        (dt.date(2026, 10, 25), dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC), 25),
    ],
)
def test_days_of_23_and_25_hours(day: dt.date, begins: dt.datetime, hours: int) -> None:
    assert rules.effective_at(day, None, NOW, past=False) == begins
    after = rules.effective_at(day + dt.timedelta(days=1), None, NOW, past=False)
    assert after - begins == dt.timedelta(hours=hours)


def test_half_past_eleven_in_utc_is_the_next_oslo_day() -> None:
    late = dt.datetime(2026, 3, 2, 23, 30, tzinfo=dt.UTC)
    assert rules.effective_at(dt.date(2026, 3, 3), None, late, past=False) == late
    with pytest.raises(Wrong):
        rules.effective_at(dt.date(2026, 3, 2), None, late, past=False)


def test_the_past_is_for_those_who_may_and_needs_a_zone() -> None:
    yesterday = dt.date(2026, 3, 1)
    with pytest.raises(Wrong):
        rules.effective_at(yesterday, None, NOW, past=False)
    assert rules.effective_at(yesterday, None, NOW, past=True) == start_of_day(yesterday)
    with pytest.raises(Wrong):
        rules.effective_at(yesterday, NOW, NOW, past=True)
    with pytest.raises(Wrong):
        rules.effective_at(None, dt.datetime(2027, 1, 1), NOW, past=True)
