"""Normalisation, limits and the hash of a record's business fields."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.passages.rules import COLUMNS, Fault, Flag, Limits, Sent, encode, flag_bits, flag_names

NOW = dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC)
LIMITS = Limits(10_000_000, NOW - dt.timedelta(days=1095), NOW + dt.timedelta(hours=24))
PAN = "9578010000000000001"


def sent(**changes: Any) -> Sent:
    fields: dict[str, Any] = {
        "id": "A-1",
        "passed_at": dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        "station": "S1",
        "service": "toll",
        "list_price": 3100,
        "amount": 2480,
        "vat_rate": 0,
        "plate": "EV 12345",
    }
    return Sent(**(fields | changes))


def row(record: Sent, position: int = 7) -> dict[str, str]:
    line, _ = encode(position, record, LIMITS)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return dict(zip(COLUMNS.split(", "), line[:-1].split("\t"), strict=True))


def test_a_record_becomes_a_line_for_copy() -> None:
    fields = row(sent(pan=PAN, flags=["hour_rule", "tag_discount"], vehicle_class="1"))
    assert fields.pop("hash").startswith("\\\\x")
    assert fields == {
        "position": "7", "source_id": "A-1", "passed_at": "2026-03-01T11:30:00+00:00", "passed_offset": "60",
        "station": "S1", "service": "toll", "country": "NO", "plate": "EV12345", "pan": PAN, "obu_id": "\\N",
        "vehicle_class": "1", "list_ore": "3100", "amount_ore": "2480", "vat_bp": "0",
        "flags": str(int(Flag.HOUR_RULE | Flag.TAG_DISCOUNT)),
    }  # fmt: skip


@pytest.mark.parametrize(
    "same",
    [
        {"plate": "ev-12345"},
        {"country": "no"},
        {"passed_at": dt.datetime(2026, 3, 1, 11, 30, tzinfo=dt.UTC)},
        {"passed_at": dt.datetime(2026, 3, 1, 13, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))},
        {"id": "another"},
        {"flags": []},
    ],
)
def test_what_means_the_same_hashes_the_same(same: dict[str, Any]) -> None:
    assert row(sent(**same))["hash"] == row(sent())["hash"]


@pytest.mark.parametrize(
    "other",
    [
        {"passed_at": dt.datetime(2026, 3, 1, 11, 30, 0, 1, tzinfo=dt.UTC)},
        {"station": "S2"},
        {"service": "ferry"},
        {"plate": "EV12346"},
        {"country": "SE"},
        {"pan": PAN},
        {"obu_id": "1F"},
        {"vehicle_class": "1"},
        {"list_price": 3101},
        {"amount": 2481},
        {"vat_rate": 1200},
        {"flags": ["hour_rule"]},
    ],
)
def test_every_business_field_is_in_the_hash(other: dict[str, Any]) -> None:
    assert row(sent(**other))["hash"] != row(sent())["hash"]


def test_the_pad_of_a_pan_is_not_part_of_it() -> None:
    assert row(sent(pan=f"{PAN}F")) == row(sent(pan=PAN))


@pytest.mark.parametrize(
    ("amount", "rate", "paid"), [(1000, 1200, 1120), (1, 1200, 1), (4, 1250, 5), (5, 1000, 6), (0, 2500, 0)]
)
def test_vat_on_top_is_added_half_away_from_zero(amount: int, rate: int, paid: int) -> None:
    record = sent(amount=amount, list_price=amount, vat_rate=rate, vat_included=False)
    assert (row(record)["amount_ore"], row(record)["list_ore"]) == (str(paid), str(paid))
    assert encode(1, record, LIMITS)[1] == paid
    assert row(record)["hash"] == row(sent(amount=paid, list_price=paid, vat_rate=rate))["hash"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"amount": -1}, "invalid_amount", "amount"),
        ({"amount": 10_000_001}, "invalid_amount", "amount"),
        ({"list_price": -1}, "invalid_amount", "list_price"),
        ({"list_price": 10**30}, "invalid_amount", "list_price"),
        ({"plate": None}, "invalid_record", "plate"),
        ({"plate": " - "}, "invalid_record", "plate"),
        ({"plate": "E\0V"}, "invalid_record", "plate"),
        ({"pan": "123"}, "invalid_record", "pan"),
        ({"obu_id": "XYZ"}, "invalid_record", "obu_id"),
        ({"country": "NOR"}, "invalid_record", "country"),
        ({"id": "A\0"}, "invalid_record", "id"),
        ({"station": "S\t1"}, "invalid_record", "station"),
        ({"vehicle_class": "\n"}, "invalid_record", "vehicle_class"),
        ({"passed_at": NOW + dt.timedelta(hours=25)}, "invalid_record", "passed_at"),
        ({"passed_at": dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))}, "invalid_record", "passed_at"),
    ],
)
def test_a_broken_record_names_its_field(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(Fault) as caught:
        encode(1, sent(**changes), LIMITS)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.reason


def test_the_limit_itself_is_allowed() -> None:
    assert row(sent(amount=10_000_000, passed_at=LIMITS.latest))["amount_ore"] == "10000000"


def test_the_two_hours_of_the_autumn_night_differ() -> None:
    summer = sent(passed_at=dt.datetime(2025, 10, 26, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))))
    winter = sent(passed_at=dt.datetime(2025, 10, 26, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))))
    assert row(summer)["passed_at"] == "2025-10-26T00:30:00+00:00"
    assert row(winter)["passed_at"] == "2025-10-26T01:30:00+00:00"
    assert (row(summer)["passed_offset"], row(winter)["passed_offset"]) == ("120", "60")
    assert row(summer)["hash"] != row(winter)["hash"]


def test_an_offset_west_of_greenwich_is_negative() -> None:
    west = dt.timezone(-dt.timedelta(hours=3, minutes=30))
    assert row(sent(passed_at=dt.datetime(2026, 3, 1, 8, tzinfo=west)))["passed_offset"] == "-210"


text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@settings(max_examples=150)
@given(name=text, station=text, kind=st.none() | text.filter(lambda one: len(one) <= 20))
def test_text_survives_the_way_into_copy(name: str, station: str, kind: str | None) -> None:
    fields = row(sent(id=name, station=station, vehicle_class=kind))

    def read(cell: str) -> str | None:
        return None if cell == "\\N" else cell.replace("\\\\", "\\")

    assert [read(fields[one]) for one in ("source_id", "station", "vehicle_class")] == [name, station, kind]


@settings(max_examples=60)
@given(st.integers(0, 255))
def test_flags_are_bits_and_words(bits: int) -> None:
    names = flag_names(bits)
    assert sum(int(Flag[name.upper()]) for name in names) == bits
    assert flag_bits(name for name in names if Flag[name.upper()] >= Flag.HOUR_RULE) == bits & ~7


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.convert({"passed_at": "2026-03-01T12:00:00"}, Sent)
