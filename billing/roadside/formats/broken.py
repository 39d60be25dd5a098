"""What the formats share: what is wrong with a file, what is wrong with a record, and reading lines with a limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, BinaryIO

import msgspec

from billing.passages.incoming import Item
from billing.passages.rules import Cancel, Fault, Sent
from billing.roadside.formats.form import Head

LONGEST_LINE = 16 * 1024
"""Bytes of one record's text; the longest sound one is under 1 KiB."""

BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_AT = re.compile(r"^(.*?)(?: - at `\$\.(\w+)[^`]*`)?$", re.DOTALL)
_NAMED = re.compile(r"^Object (missing required|contains unknown) field `([^`]*)`$")


class BrokenFile(Exception):
    """A file that cannot be read on from ``line`` (from 1); the message says why in one line."""

    def __init__(self, line: int, reason: str) -> None:
        self.line, self.reason = line, reason.replace("\0", "\ufffd")
        super().__init__(f"line {line}: {self.reason}")


class _Name(msgspec.Struct):
    id: str


class FileHead(msgspec.Struct, forbid_unknown_fields=True):
    """What our own formats say of a file: its number and whose it is, and how many records must be in it."""

    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    sender: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    originator: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None
    records: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None

    def head(self) -> Head:
        """Return it as every format does. Raises ValueError for a control character."""
        if any(ord(char) < 32 for char in f"{self.sender or ''}{self.originator or ''}"):
            raise ValueError("a name in it holds a control character")
        return Head(self.number, self.sender, self.originator, self.records)


class _Does(msgspec.Struct):
    action: object = None


_DOES = msgspec.json.Decoder(_Does)
_CANCEL = msgspec.json.Decoder(Cancel)
_UNREAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(decoder: msgspec.json.Decoder[Sent], position: int, line: bytes, raw: bytes) -> Item:
    """Return the item of a record's JSON: what it says, or why it cannot be read. A cancellation may say less than a
    passage, and what it says more is not looked at."""
    try:
        return Item(position, raw, decoder.decode(line))
    except _UNREAD as error:
        try:
            if _DOES.decode(line).action == "cancel":
                return Item(position, raw, _CANCEL.decode(line))
        except _UNREAD as other:
            return broken(position, raw, other)
        return broken(position, raw, error)


def why(error: Exception) -> Fault:
    """Return what a decoder said of a record as field and reason."""
    if isinstance(error, UnicodeDecodeError):
        return Fault("invalid_record", None, "is not UTF-8")
    text = str(error).replace("\0", "\ufffd")[:300]
    if not isinstance(error, msgspec.ValidationError):
        return Fault("invalid_record", None, text.replace("JSON is malformed", "is not JSON"))
    if named := _NAMED.match(text):
        missing = named[1].startswith("missing")
        return Fault("invalid_record", named[2][:40], "is missing" if missing else "is not a field we know")
    found = _AT.match(text)
    assert found is not None
    return Fault("invalid_record", found[2], found[1].lower().replace("`", ""))


def broken(position: int, raw: bytes, error: Exception) -> Item:
    """Return the item of a record that cannot be read, with its source id where that much can be."""
    name = None
    if isinstance(error, msgspec.ValidationError):
        try:
            name = msgspec.json.decode(raw, type=_Name).id[:64]
        except (ValueError, RecursionError):
            name = None
    return Item(position, raw, why(error), name)


def lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Yield (line number, line, text kept of it) of a stream, empty lines left out.

    The line is None where it is longer than ``LONGEST_LINE``. Raises BrokenFile for what is not text at all.
    """
    number = 0
    while piece := stream.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            if piece.startswith(_WIDE):
                raise BrokenFile(1, "is not UTF-8 (it begins as UTF-16)")
            piece = piece.removeprefix(BOM)
        if len(piece) > LONGEST_LINE and not piece.endswith(b"\n"):
            kept = piece
            while piece and not piece.endswith(b"\n"):
                piece = stream.readline(LONGEST_LINE + 1)
            yield number, None, kept
            continue
        line = piece.strip()
        if line:
            yield number, line, line


def too_long(position: int, raw: bytes) -> Item:
    """Return the item of a line over the limit."""
    return Item(position, raw, Fault("invalid_record", None, f"is longer than {LONGEST_LINE} bytes"))
