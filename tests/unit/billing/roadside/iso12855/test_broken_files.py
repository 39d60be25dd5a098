"""What breaks a file as a whole, told by line before anything of it is booked, in flat memory whatever comes."""

from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.iso12855 import details, read_header
from billing.roadside.formats.iso12855.names import DEEPEST_HEADER, LARGEST_STRUCT, LONGEST_HEADER, LONGEST_TAG
from tests.unit.billing.roadside.iso12855.samples import (
    CANCEL,
    FULL,
    PLAIN,
    SPACE,
    apci,
    broken,
    is_valid,
    message,
    parse,
)

ROOT = Path(__file__).resolve().parents[5]
GOOD = message(FULL, PLAIN, CANCEL)
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


def with_dtd(dtd: str, value: str = "x") -> bytes:
    return message(PLAIN.replace("S1", value)).replace(b"<InfoExchange", f"{dtd}\n<InfoExchange".encode(), 1)


@pytest.mark.parametrize(
    "dtd",
    [
        "<!DOCTYPE InfoExchange>",
        "<!DOCTYPE InfoExchange []>",
        f'<!DOCTYPE x [<!ENTITY l0 "lol">{LAUGHS}]>',
        f'<!DOCTYPE x [<!ENTITY l11 "{"a" * 100_000}">]>',
        '<!DOCTYPE x [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY l11 SYSTEM "http://127.0.0.1:9/x">]>',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
        "<!DOCTYPE x [<!ENTITY % a \"<!ENTITY l11 'x'>\"> %a;]>",
        '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE x PUBLIC "-//X//X" "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE x [<!ATTLIST billingDetails a CDATA "b">]>',
    ],
)
def test_a_dtd_is_refused_before_anything_in_it_is_looked_at(dtd: str) -> None:
    why = broken(with_dtd(dtd, "&l11;" * 3))
    assert why is not None
    assert (why.line, "DTD" in why.reason) == (2, True)


def test_without_a_dtd_a_named_reference_is_an_error() -> None:
    why = broken(message(PLAIN.replace("S1", "&l11;")))
    assert why is not None
    assert "undefined entity" in why.reason


def test_an_inclusion_or_schema_location_fetches_nothing() -> None:
    located = GOOD.replace(
        b"<InfoExchange",
        b'<InfoExchange xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        b'xsi:schemaLocation="urn:brikke:iso12855:1 http://127.0.0.1:9/x.xsd"',
    )
    assert broken(located) is None
    included = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'
    assert broken(message(included)) is not None


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"", 1, "ends before"),
        (b"not xml", 1, "not well-formed"),
        (b'{"id": 1}', 1, "not well-formed"),
        (GOOD.replace(b"</amount>", b"</amout>", 1), 14, "mismatched tag"),
        (GOOD.replace(b"S12", b"S\x0012"), 17, "not well-formed"),
        (GOOD.replace(b"S12", b"S\xe512"), 17, "not well-formed"),
        (GOOD.replace(b"S12", b"S\xed\xa0\x8012"), 17, "not well-formed"),
        (GOOD.replace(b"S12", b"a < b"), 17, "not well-formed"),
        (GOOD.replace(b"S12", b"&#0;"), 17, "invalid character"),
        (GOOD.replace(b"UTF-8", b"ISO-8859-1"), 1, "send UTF-8"),
        (GOOD.replace(b'"1.0"', b'"1.1"'), 1, "send XML 1.0"),
        (GOOD.replace(b"UTF-8", b"UTF-16"), 1, "send UTF-8"),
        (GOOD.decode().encode("utf-16"), 1, "UTF-16"),
        (GOOD.decode().replace("UTF-8", "UTF-16").encode("utf-16-le"), 1, "UTF-16"),
        (GOOD.decode().replace("UTF-8", "UTF-16").encode("utf-16-be"), 1, "UTF-16"),
        (GOOD.replace(SPACE.encode(), b"urn:other"), 2, "is not an InfoExchange"),
        (GOOD.replace(b"InfoExchange", b"infoExchange"), 2, "is not an InfoExchange"),
        (GOOD.replace(b"<InfoExchange ", b"<InfoExchange v='1' "), 2, "unknown attribute"),
        (GOOD + GOOD, 32, "not well-formed"),
        (GOOD + b"more", 32, "not well-formed"),
        (GOOD.replace(b"<billingDetails>", b"<!-- a --><billingDetails>", 1), 4, "comment"),
        (GOOD.replace(b"<billingDetails>", b"<?go now?><billingDetails>", 1), 4, "processing instruction"),
        (GOOD.replace(b"S12", b"<![CDATA[S12]]>"), 17, "CDATA"),
        (GOOD.replace(b"<billingDetails>", b"<itemAck/><billingDetails>", 1), 4, "holds itemAck"),
        (GOOD.replace(b"<billingDetails>", b"loose<billingDetails>", 1), 4, "has text"),
        (GOOD.replace(b"<billingDetails>", b'<x:y xmlns:x="urn:z"/><billingDetails>', 1), 4, "another namespace"),
        (message(PLAIN.replace("<vatRate>", f"{PLAIN}<vatRate>")), 4, "inside another"),
        (message(f"<billingDetails> {PLAIN} {PLAIN}</billingDetails >", PLAIN), 4, "inside another"),
        (message(PLAIN, count=2), 5, "holds 1 structs; its header says 2"),
        (message(PLAIN, CANCEL, count=1), 6, "holds 2 structs; its header says 1"),
        (message(PLAIN, kind="PaymentClaim"), 3, "records come as BillingDetails"),
    ],
)
def test_a_broken_file_names_line_and_reason(data: bytes, line: int, reason: str) -> None:
    why = broken(data)
    assert why is not None
    assert reason in why.reason
    assert why.line == line


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("<messageIdentifier>17", "<messageIdentifier>0", "messageIdentifier"),
        ("<messageIdentifier>17", "<messageIdentifier>2147483648", "messageIdentifier"),
        ("<messageIdentifier>17", "<messageIdentifier>-1", "messageIdentifier"),
        ("<messageIdentifier>17</messageIdentifier>", "", "messageIdentifier"),
        ("<numberOfStructs>3", "<numberOfStructs>three", "numberOfStructs"),
        ("20260302071500Z", "20260302071500", "date"),
        ("20260302071500Z", "2026-03-02T07:15:00Z", "date"),
        ("<countryCode>DK", "<countryCode>dk", "sender/countryCode"),
        ("<countryCode>DK</countryCode>", "", "sender/countryCode"),
        ("HUB", "H UB", "sender/providerIdentifier"),
        ("HUB", "H" * 41, "sender/providerIdentifier"),
        ("<date>", "<colour>red</colour><date>", "colour"),
        ("<date>", "<type>Ack</type><date>", "type"),
        ("<date>", '<date zone="UTC">', "date"),
    ],
)
def test_a_bad_header_breaks_the_file_and_the_schema_says_so(old: str, new: str, field: str) -> None:
    data = GOOD.replace(old.encode(), new.encode(), 1)
    assert data != GOOD
    why = broken(data)
    assert why is not None
    assert f"the header: {field} " in why.reason
    assert not is_valid(data)


def test_a_header_that_is_not_there_not_first_or_too_long() -> None:
    root = f'<InfoExchange xmlns="{SPACE}">'
    for body, reason in (
        ("", "has no header"),
        ("<apci/>", "is missing"),
        (f"{PLAIN}{apci()}", "begins with billingDetails"),
        (f"<apci>{'<a>' * DEEPEST_HEADER}{'</a>' * DEEPEST_HEADER}</apci>", "nested deeper"),
        (f"<apci>{' ' * LONGEST_HEADER * 3}</apci>", "no whole header"),
        (f"<apci>{' ' * (LONGEST_HEADER - 5)}</apci>", "longer than"),
    ):
        why = broken(f"{root}{body}</InfoExchange>".encode())
        assert why is not None
        assert reason in why.reason
    assert broken(f"<!-- {'x' * LONGEST_HEADER * 2} -->{root}{apci()}{PLAIN}</InfoExchange>".encode()) is not None


def test_a_file_cut_off_anywhere_is_refused() -> None:
    for end in range(len(GOOD.rstrip())):
        with pytest.raises(BrokenFile):
            details.check(io.BytesIO(GOOD[:end]))
    why = broken(GOOD[: GOOD.index(b"</billingDetails>")])
    assert why is not None
    assert (why.line, why.reason.startswith("ends before it is whole")) == (28, True)


def test_what_is_allowed_around_a_message() -> None:
    assert broken(b"\xef\xbb\xbf" + GOOD) is None
    assert broken(GOOD.replace(b"<InfoExchange", b"<!-- made by hand -->\n<?style x?>\n<InfoExchange")) is None
    assert broken(GOOD.partition(b"\n")[2] + b"\n\n<!-- at the very end, too -->") is not None
    assert broken(GOOD.replace(b"\n", b"\r\n")) is None
    assert broken(message(*[" \n" * 300_000 + PLAIN] * 3)) is None, "blanks are nobody's"


@pytest.mark.parametrize("size", [1, 2, 7, 61])
def test_how_the_bytes_arrive_does_not_matter(size: int) -> None:
    class Dripping(io.BytesIO):
        def read(self, most: int | None = -1) -> bytes:
            return super().read(min(size, most or size))

    data = message(FULL.replace("</billingDetails>", "</billingDetails >"), PLAIN, "<billingDetails />", CANCEL, FULL)
    assert details.check(Dripping(data)) == details.check(io.BytesIO(data))
    dripped, whole = list(details.parse(Dripping(data))), parse(data)
    assert [(i.position, i.raw, i.name) for i in dripped] == [(i.position, i.raw, i.name) for i in whole]
    assert [i.sent for i in dripped if i.position != 3] == [i.sent for i in whole if i.position != 3]


def test_a_struct_that_does_not_end_is_not_waited_for() -> None:
    for filling in ("x" * LARGEST_STRUCT * 2, "<a>" * LARGEST_STRUCT):
        why = broken(message(PLAIN, f"<billingDetails><context>{filling}"))
        assert why is not None
        assert (why.line, "longer than" in why.reason) == (5, True)
    why = broken(message(f'<billingDetails a="{"x" * LONGEST_TAG * 3}">'))
    assert why is not None
    assert "a tag longer than" in why.reason


def test_a_header_is_read_without_the_rest() -> None:
    stream = io.BytesIO(GOOD + b"<" * 1_000_000)
    header = read_header(io.BytesIO(message(*[PLAIN] * 1000)[:100_000]))
    assert (header.number, header.kind, str(header.originator), header.structs) == (17, "BillingDetails", "FJELL", 1000)
    with pytest.raises(BrokenFile):
        read_header(stream)


STREAMS = {
    "records": "itertools.chain([opening], itertools.repeat(record, 20_000), [END])",
    "a text": "itertools.chain([opening, b'<billingDetails><context>'], itertools.repeat(b'x' * 1000))",
    "an attribute": "itertools.chain([opening, b'<billingDetails a=\"'], itertools.repeat(b'x' * 1000))",
    "a name": "itertools.chain([opening, b'<'], itertools.repeat(b'x' * 1000))",
    "attributes": "itertools.chain([opening, b'<billingDetails'], (b' a%d=\"\"' % n for n in itertools.count()))",
    "depth": "itertools.chain([opening, b'<billingDetails>'], itertools.repeat(b'<a>' * 300))",
    "depth in the header": "itertools.chain([opening[:60]], itertools.repeat(b'<a>' * 300))",
    "a comment": "itertools.chain([b'<!--'], itertools.repeat(b'x' * 1000))",
    "blanks before": "itertools.repeat(b' ' * 1000)",
    "blanks between": "itertools.chain([opening], itertools.repeat(b' ' * 1000, 30_000), [record, END])",
    "blanks after": "itertools.chain([opening, record, END], itertools.repeat(b' ' * 1000, 30_000))",
    "empty records": "itertools.chain([opening], itertools.repeat(b'<billingDetails/>' * 50, 4_000), [END])",
}
MEASURE = """
import io, itertools, resource, sys
from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.iso12855 import details
from tests.unit.billing.roadside.iso12855.samples import FULL, PLAIN, message

class Endless(io.RawIOBase):
    def __init__(self, pieces):
        self.pieces, self.held, self.given = iter(pieces), b"", 0
    def read(self, size=-1):
        assert self.given < 32_000_000, "a file without end is not refused"
        held = [self.held]
        have = len(self.held)
        while have < size and (piece := next(self.pieces, None)) is not None:
            held.append(piece)
            have += len(piece)
        self.held = b"".join(held)
        piece, self.held = self.held[:size], self.held[size:]
        self.given += len(piece)
        return piece

def run(look, pieces):
    stream = Endless(pieces)
    try:
        count = sum(1 for _ in look(stream))
    except BrokenFile as error:
        count = error.reason
    return stream.given, count

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

opening = message().replace(b"</InfoExchange>", b"").strip()
record, END = FULL.encode(), b"</InfoExchange>"
looks = (details.parse, lambda stream: details._open(stream).structs("billingDetails"))
for look in looks:
    run(look, [message(FULL, PLAIN)])
before = peak()
for look in looks:
    print(run(look, STREAM))
print(peak() - before)
"""


@pytest.mark.parametrize("name", STREAMS)
def test_memory_is_flat_whatever_comes(name: str) -> None:
    code = textwrap.dedent(MEASURE).replace("STREAM", STREAMS[name])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *runs, grown = done.stdout.split("\n")[:-1]
    assert int(grown) < 20_000_000, done.stdout
    if name == "records":
        assert all(run.endswith(", 20000)") and int(run[1:].split(",")[0]) > 27_000_000 for run in runs)
