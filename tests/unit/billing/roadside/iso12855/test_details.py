"""BillingDetails: what a record says, and what breaks one."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest

from billing.passages.rules import Cancel, Fault, Sent
from billing.roadside.formats.iso12855 import FORMAT
from billing.roadside.formats.iso12855.details import PATHS, SPEC, check
from billing.roadside.formats.iso12855.names import LONGEST_RECORD
from tests.unit.billing.roadside.iso12855.samples import (
    CANCEL,
    FULL,
    PLAIN,
    SPACE,
    apci,
    fault,
    is_valid,
    message,
    one,
    parse,
)

ZONE = dt.timezone(dt.timedelta(hours=1))


def test_every_field_of_a_full_record() -> None:
    item = one(FULL)
    assert item.sent == Sent(
        id="FJ-1",
        passed_at=dt.datetime(2026, 3, 2, 8, 15, 0, 250_000, tzinfo=ZONE),
        station="S12",
        service="toll",
        list_price=3100,
        amount=2480,
        vat_rate=1200,
        pan="9578010000000000001",
        obu_id="00A1B2C3",
        country="NO",
        plate="ÆØ 12345",
        vehicle_class="1",
        lane="3",
        vat_included=False,
        flags=["tag_discount", "hour_rule"],
        version=3,
        issued_at=dt.datetime(2026, 3, 2, 9, tzinfo=dt.UTC),
    )
    assert item.sent.passed_at.utcoffset() == dt.timedelta(hours=1)
    assert item.raw == FULL.encode()
    assert item.position == 1
    assert is_valid(message(FULL))


def test_the_least_a_record_says() -> None:
    sent = one(PLAIN).sent
    assert isinstance(sent, Sent)
    assert (sent.country, sent.pan, sent.vat_included, sent.flags, sent.action) == (None, None, True, [], "new")
    assert is_valid(message(PLAIN))


def test_a_cancellation_says_only_what_it_cancels_and_an_adjustment_everything() -> None:
    cancel = one(CANCEL)
    assert cancel.sent == Cancel("FJ-2", "cancel", "FJ-1", 2, None)
    assert is_valid(message(CANCEL))
    correction = "<action>{}</action><originalClaimId>FJ-0</originalClaimId><version>2</version></billingDetails>"
    whole = PLAIN.replace("</billingDetails>", correction.format("adjust"))
    sent = one(whole).sent
    assert isinstance(sent, Sent)
    assert (sent.action, sent.original, sent.version, sent.amount) == ("adjust", "FJ-0", 2, 2480)
    assert is_valid(message(whole))
    for more in (PLAIN, PLAIN.replace("NOK", "EUR"), PLAIN.replace("24.80", "2480")):
        said = more.replace("</billingDetails>", correction.format("cancel"))
        assert one(said).sent == Cancel("FJ-1", "cancel", "FJ-0", 2, None)  # whatever else it says
    assert fault(one(CANCEL.replace("cancel", "adjust"))) == ("invalid_record", "currency")


def test_the_head_names_who_sends_and_whose_it_is() -> None:
    head = FORMAT.check(io.BytesIO(message(PLAIN, CANCEL)))
    assert (head.number, head.sender, head.originator, head.records) == (17, "DK:HUB", "FJELL", 2)
    assert check(io.BytesIO(message())).records == 0
    assert is_valid(message())


BAD: list[tuple[str, str, str | None, bool]] = [
    # what is replaced, by what, the field that is named, whether the schema sees it too
    ("<claimId>FJ-1</claimId>", "", "id", True),
    ("<claimId>FJ-1", f"<claimId>{'x' * 65}", "id", True),
    ("<claimId>FJ-1</claimId>", "<claimId></claimId>", "id", True),
    ("<claimId>FJ-1</claimId>", "<claimId/>", "id", True),
    ("24.80", "24.8", "amount", True),
    ("24.80", "2480", "amount", True),
    ("24.80", "24,80", "amount", True),
    ("24.80", "2.480e1", "amount", True),
    ("24.80", " 24.80", "amount", True),
    ("24.80", "٢٤.80", "amount", True),
    ("<netFee>24.80</netFee>", "", "amount", True),
    ("31.00", "NaN", "list_price", True),
    ("0.00</vatRate><", "101.00</vatRate><", "vat_included", True),
    (
        "</currency></amount><vatRate>0.00",
        "</currency><vatIncluded>true</vatIncluded></amount><vatRate>101.00",
        "vat_rate",
        True,
    ),
    ("0.00</vatRate>", "0.12</vatRate>", "vat_included", False),
    ("0.00</vatRate>", "-1.00</vatRate>", "vat_rate", True),
    ("NOK", "SEK", "currency", True),
    ("<currency>NOK</currency>", "", "currency", True),
    ("toll", "bridge", "service", True),
    ("08:15:00+01:00", "08:15:00", "passed_at", True),
    ("08:15:00+01:00", "25:15:00+01:00", "passed_at", True),
    ("<station>S1</station>", "", "station", True),
    ("<station>S1", f"<station>{'s' * 41}", "station", True),
    ("<plate>EV12345", f"<plate>{'E' * 21}", "plate", True),
    ("<station>S1</station>", "<station>S1</station><station>S2</station>", "station", True),
    ("<vatRate>", "<userId><pan>1</pan></userId><vatRate>", "userId", True),
    ("<vatRate>", "<costCentre>a</costCentre><costCentre>b</costCentre><vatRate>", "costCentre", True),
    ("<vatRate>", "<colour>red</colour><vatRate>", "colour", True),
    ("<vatRate>", "<colour><hue>1</hue></colour><vatRate>", "colour", True),
    ("<vatRate>", '<x:colour xmlns:x="urn:x">red</x:colour><vatRate>', "x:colour", True),
    ("<vatRate>", '<vatRate unit="%">', "vatRate", True),
    ("<vatRate>", '<vatRate xmlns="urn:other">', "vatRate", True),
    ("<billingDetails>", '<billingDetails a="1>2">', "billingDetails", True),
    ("<vatRate>", "loose<vatRate>", None, True),
    ("<vatRate>", "&#160;<vatRate>", None, True),
    ("<userId>", "<userId>text", None, True),
    ("<station>S1</station>", "<station><b>S1</b></station>", "station", True),
    ("</listPrice>", "</listPrice><flags>tag_discount lucky</flags>", "flags", True),
    ("</listPrice>", "</listPrice><flags></flags>", "flags", True),
    ("</listPrice>", f"</listPrice><flags>{' '.join(['hour_rule'] * 9)}</flags>", "flags", True),
    ("</listPrice>", "</listPrice><feeQualifier>reimbursement</feeQualifier>", "feeQualifier", True),
    ("</listPrice>", "</listPrice><feeQualifier>belatedPayment</feeQualifier>", "feeQualifier", True),
    ("</currency>", "</currency><vatIncluded>1</vatIncluded>", "vat_included", True),
    ("<vatRate>", "<action>replace</action><vatRate>", "action", True),
    ("<vatRate>", "<version>0</version><vatRate>", "version", True),
    ("<vatRate>", "<version>1.0</version><vatRate>", "version", True),
    ("<vatRate>", "<issuedAt>2026-03-02T09:00:00</issuedAt><vatRate>", "issued_at", True),
    (
        "<userId>",
        "<charger><countryCode>NO</countryCode><providerIdentifier>OTHER</providerIdentifier></charger><userId>",
        "charger",
        False,
    ),
    (
        "<userId>",
        "<charger><countryCode>SE</countryCode><providerIdentifier>FJELL</providerIdentifier></charger><userId>",
        "charger",
        False,
    ),
]


@pytest.mark.parametrize(("old", "new", "field", "seen"), BAD)
def test_a_bad_record_names_its_field_and_costs_only_itself(old: str, new: str, field: str | None, seen: bool) -> None:
    bad = PLAIN.replace(old, new, 1)
    assert bad != PLAIN
    before, item, after = parse(message(PLAIN.replace("FJ-1", "FJ-0"), bad, PLAIN.replace("FJ-1", "FJ-2")))
    assert fault(item) == ("invalid_record", field)
    assert isinstance(before.sent, Sent)
    assert isinstance(after.sent, Sent)
    assert [before.position, item.position, after.position] == [1, 2, 3]
    assert is_valid(message(bad)) is not seen


def test_a_broken_record_keeps_its_name_where_it_can_be_read() -> None:
    assert one(PLAIN.replace("24.80", "x")).name == "FJ-1"
    assert one(PLAIN.replace("24.80", "x").replace("FJ-1", "Å&amp;B")).name == "Å&B"
    assert one(PLAIN.replace("<claimId>FJ-1</claimId>", "")).name is None
    assert one("<billingDetails/>").name is None
    assert one(PLAIN.replace("FJ-1", "y" * 70)).name == "y" * 64


def test_a_record_that_is_too_long_is_kept_as_far_as_the_limit() -> None:
    long = PLAIN.replace("<vatRate>", f"<context>{'x' * LONGEST_RECORD}</context><vatRate>")
    first, second = parse(message(long, PLAIN))
    assert fault(first) == ("invalid_record", None)
    assert (len(first.raw), first.name) == (LONGEST_RECORD, "FJ-1")
    assert isinstance(second.sent, Sent)


def test_how_it_is_written_does_not_matter() -> None:
    expected = one(PLAIN).sent
    spaced = PLAIN.replace("><", ">\r\n\t <").replace("</id>", "</id >").replace("<amount>", "<amount >")
    assert one(spaced).sent == expected
    assert one(PLAIN.replace("<vatRate>", "<evidence/><vatRate>")).sent == expected
    assert one(PLAIN.replace("<vatRate>", "<evidence></evidence><vatRate>")).sent == expected
    assert one(PLAIN.replace("</billingDetails>", "</billingDetails\n>")).sent == expected
    assert one(PLAIN.replace("<billingDetails>", "<billingDetails >")).sent == expected
    assert one(PLAIN.replace("EV12345", "&#69;V1&#x32;345")).sent == expected
    inside = PLAIN.removeprefix("<billingDetails>").removesuffix("</billingDetails>")
    vat = inside[inside.index("<vatRate>") : inside.index("<usageDetail>")]
    turned = f"<billingDetails>{inside[inside.index('<usageDetail>') :]}{vat}{inside[: inside.index('<vatRate>')]}"
    assert one(f"{turned}</billingDetails>").sent == expected


def test_two_records_whose_ends_have_blanks_are_two() -> None:
    loose = PLAIN.replace("</billingDetails>", "</billingDetails >")
    items = parse(message(loose, PLAIN, loose, loose))
    assert [item.sent for item in items] == [one(PLAIN).sent] * 4


def test_a_prefix_for_the_namespace_is_taken_and_only_that() -> None:
    def prefixed(xml: str) -> str:
        return xml.replace("</", "\0").replace("<", "<b-1:").replace("\0", "</b-1:")

    good, cancel = prefixed(PLAIN), prefixed(CANCEL)
    head = prefixed(apci(structs=3))
    data = f'<b-1:InfoExchange xmlns:b-1="{SPACE}">{head}{good}{cancel}{good.replace("b-1:pan", "pan")}'
    items = parse(f"{data}</b-1:InfoExchange>".encode())
    assert [item.sent for item in items] == [one(PLAIN).sent, one(CANCEL).sent, one(PLAIN).sent]
    bare = good.replace("b-1:station", "station")
    (item,) = parse(f'<b-1:InfoExchange xmlns:b-1="{SPACE}">{head}{bare}</b-1:InfoExchange>'.encode())
    assert fault(item) == ("invalid_record", "station")


def test_references_stand_for_their_characters_and_nothing_is_resolved_twice() -> None:
    sent = one(PLAIN.replace("S1", "&amp;lt;&lt;&gt;&quot;&apos;&#229;")).sent
    assert isinstance(sent, Sent)
    assert sent.station == "&lt;<>\"'å"


def test_every_field_that_is_kept_has_a_path_for_answers() -> None:
    def kept(spec: object) -> set[str]:
        assert isinstance(spec, dict)
        return {v for v in spec.values() if isinstance(v, str)}.union(
            *(kept(v) for v in spec.values() if isinstance(v, dict))
        )

    named = {name for name in kept(SPEC) if not name.startswith("charger/")} - {"action", "version"}
    assert named == set(PATHS)
    numbers: list[int] = []

    def collect(spec: object) -> None:
        assert isinstance(spec, dict)
        numbers.extend(v for v in spec.values() if isinstance(v, int))
        for inner in spec.values():
            if isinstance(inner, dict):
                collect(inner)

    collect(SPEC)
    assert len(numbers) == len(set(numbers)), "each element that is only known has a number of its own"


def test_a_fault_is_no_exception_that_stops_the_file() -> None:
    items = parse(message(*["<billingDetails/>"] * 1000))
    assert all(isinstance(item.sent, Fault) for item in items)
    assert len(items) == 1000


def test_the_example_in_the_documentation_is_one() -> None:
    written = (Path(__file__).resolve().parents[5] / "docs/formats/iso12855.md").read_text("utf-8")
    data = written.partition("```xml\n")[2].partition("```")[0].encode()
    assert is_valid(data)
    assert check(io.BytesIO(data)).records == 2
    assert [type(item.sent) for item in parse(data)] == [Sent, Cancel]
    for path in PATHS.values():
        assert f"`{path}`" in written
