"""A message with anything wrong in it: refused as a file or by record, never anything else; and another reader of XML
agrees on what is no XML."""

from __future__ import annotations

import io
from collections.abc import Callable

from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from billing.passages.rules import Fault
from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.iso12855.details import SPEC, check, parse
from billing.roadside.formats.iso12855.elements import Shapes, read
from tests.unit.billing.roadside.iso12855.samples import CANCEL, FULL, PLAIN, is_valid, message

WHOLE = message(FULL, PLAIN, CANCEL)
SCRAPS = st.sampled_from(
    [b"<", b">", b"/", b"&", b";", b'"', b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?p?>", b"<billingDetails>", b"\0",
     b"</billingDetails>", b"<id>", b"</id>", b"<x/>", b" a='b'", b"&amp;", b"&#60;", b"\xc3\xa5", b"\xff", b"\r", b"x"]
)  # fmt: skip
DECLARED = WHOLE.index(b"?>") + 2
"""Nothing is changed before: the other reader is laxer with the XML declaration."""
EDITS = st.lists(st.tuples(st.integers(DECLARED, len(WHOLE)), st.integers(0, 40), SCRAPS | st.just(b"")), max_size=3)


def well_formed(data: bytes) -> bool:
    try:
        etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))
    except etree.XMLSyntaxError:
        return False
    return True


@settings(max_examples=400, deadline=None)
@given(EDITS)
@example([(len(WHOLE) - 20, 20, b"")])
def test_whatever_is_changed(edits: list[tuple[int, int, bytes]]) -> None:
    data = WHOLE
    for at, gone, put in edits:
        data = data[:at] + put + data[at + gone :]
    why = None
    try:
        head = check(io.BytesIO(data))
    except BrokenFile as error:
        why = error
    if why is not None:
        assert 1 <= why.line <= data.count(b"\n") + 1
        assert not (well_formed(data) and is_valid(data)) or b"<!--" in data or b"<![" in data or b"<?p" in data
        return
    assert well_formed(data)
    items = list(parse(io.BytesIO(data)))
    assert head.records == len(items) == 3
    assert [item.position for item in items] == [1, 2, 3]
    assert all(item.raw in data and item.raw.startswith(b"<billingDetails") for item in items)
    if is_valid(data) and b"<vatIncluded>false" in data:
        assert not any(isinstance(item.sent, Fault) and item.sent.field is None for item in items)


RECORDS = st.sampled_from([FULL, PLAIN, CANCEL, PLAIN.replace("><", ">\n<")])
CHANGES = st.lists(
    st.tuples(
        st.integers(0, len(FULL)),
        st.integers(0, 12),
        st.sampled_from(["", " ", "7", "x", "&amp;", "<x>", "</x>", "<plate/>", "24.80", "><"]),
    ),
    max_size=2,
)


@settings(max_examples=300, deadline=None)
@given(RECORDS, st.lists(CHANGES, min_size=1, max_size=4))
@example(PLAIN, [[], [(PLAIN.index("EV12345"), 7, " ")], []])
@example(PLAIN.replace("EV12345", " "), [[], [(PLAIN.index("S1"), 1, "&#83;")]])
def test_what_was_learned_of_one_record_changes_nothing_for_the_next(
    record: str, changes: list[list[tuple[int, int, str]]]
) -> None:
    shapes = Shapes("", SPEC)
    for edits in ([], *changes, []):
        text = record
        for at, gone, put in edits:
            text = text[:at] + put + text[at + gone :]
        if not well_formed(f"<r>{text}</r>".encode()) or not text.endswith("</billingDetails>"):
            continue
        assert outcome(shapes.read, text) == outcome(lambda said: read(said, "", SPEC), text)


def outcome(reader: Callable[[str], dict[str, str]], text: str) -> object:
    try:
        return reader(text)
    except Fault as fault:
        return fault.args
