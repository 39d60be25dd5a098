"""What is written is read back as it was, and the schema takes it: whatever a record may hold."""

from __future__ import annotations

import datetime as dt
import io

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.passages.rules import Cancel, Sent
from billing.roadside.formats.iso12855.details import check, parse
from billing.roadside.formats.iso12855.names import Header, Provider
from billing.roadside.formats.iso12855.write import escape, write_details
from tests.unit.billing.roadside.iso12855.samples import is_valid

_CHARACTERS = st.characters(
    exclude_categories=["Cs"],
    exclude_characters="".join(map(chr, (*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF))),
)
_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
_INSTANTS = st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1), timezones=_ZONES)


def text(longest: int) -> st.SearchStrategy[str]:
    return st.text(_CHARACTERS, min_size=1, max_size=longest)


def _with_country(sent: Sent) -> Sent:
    return sent if sent.plate is not None else msgspec.structs.replace(sent, country=None)


_ORE = st.integers(-(10**14) + 1, 10**14 - 1)
_MAYBE_VERSION = st.none() | st.integers(1, 2_000_000_000)
SENT = st.builds(
    Sent,
    id=text(64),
    passed_at=_INSTANTS,
    station=text(40),
    service=st.sampled_from(["toll", "ferry"]),
    list_price=_ORE,
    amount=_ORE,
    vat_rate=st.integers(0, 10_000),
    pan=st.none() | text(40),
    obu_id=st.none() | text(40),
    country=st.none() | text(20),
    plate=st.none() | text(20),
    vehicle_class=st.none() | text(20),
    lane=st.none() | text(20),
    vat_included=st.booleans(),
    flags=st.lists(
        st.sampled_from(["hour_rule", "hour_free", "monthly_cap", "tag_discount", "zero_emission"]), max_size=8
    ),
    action=st.sampled_from(["new", "cancel", "adjust"]),
    original=st.none() | text(64),
    version=_MAYBE_VERSION,
    issued_at=st.none() | _INSTANTS,
).map(_with_country)
SENT = SENT.filter(lambda sent: sent.action != "cancel" or sent.original is not None)  # refused when it is read
CANCEL = st.builds(
    Cancel,
    id=text(64),
    action=st.just("cancel"),
    original=text(64),
    version=_MAYBE_VERSION,
    issued_at=st.none() | _INSTANTS,
)


def written(*records: Sent | Cancel) -> bytes:
    us, they = Provider("NO", "BRIKKE"), Provider("NO", "FJELL")
    made_at = dt.datetime(2026, 3, 2, 7, 15, tzinfo=dt.UTC)
    return b"".join(write_details(records, Header(they, they, us, 17, "BillingDetails", len(records), made_at)))


def said(record: Sent | Cancel) -> Sent | Cancel:
    """Return what counts of a record: of a cancellation nothing but what it cancels."""
    if record.action != "cancel":
        return record
    return Cancel(record.id, "cancel", record.original or "", record.version, record.issued_at)


@settings(max_examples=150, deadline=None)
@given(st.lists(SENT | CANCEL, max_size=3))
def test_records_come_back_as_they_were(records: list[Sent | Cancel]) -> None:
    data = written(*records)
    items = list(parse(io.BytesIO(data)))
    assert [item.sent for item in items] == [said(one) for one in records]
    for item, sent in zip(items, records, strict=True):
        if isinstance(item.sent, Sent):
            assert isinstance(sent, Sent)
            assert item.sent.passed_at.utcoffset() == sent.passed_at.utcoffset()
    assert check(io.BytesIO(data)).records == len(records)
    assert is_valid(data)


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_is_written_as_xml(any_text: str) -> None:
    record = Cancel("A", "cancel", (any_text or "x")[:64])
    (item,) = parse(io.BytesIO(written(record)))
    assert isinstance(item.sent, Cancel)
    assert len(item.sent.original) == len(record.original)
    assert escape("a\0b\r\ud800&") == "a\ufffdb&#13;\ufffd&amp;"


def test_a_country_without_a_plate_cannot_be_written() -> None:
    sent = Sent("A", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "S", "toll", 1, 1, 0, pan="1", country="NO")
    with pytest.raises(ValueError, match="country"):
        written(sent)
