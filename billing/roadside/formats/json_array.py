"""A JSON array of objects. An element that is no record breaks only itself, as long as it is plain where it ends.

So what is wrong inside a string, or nested without end, is one element's; a comma or bracket too few or too many
breaks the whole of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from billing.passages.incoming import Item
from billing.passages.rules import Sent
from billing.roadside.formats.broken import BOM, BrokenFile, broken

LARGEST = 64 * 1024 * 1024
"""Bytes of an array: it is read as a whole. What is larger comes as JSON Lines."""

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_DECODER = msgspec.json.Decoder(Sent)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, or what is left after a quote that is never closed: so every byte is looked at once."""
_BRACKET = re.compile(rb"[\[{\]}]")
_DEEPEST = 3
"""Arrays and objects around a value of a sound record: the array, the record, its flags."""
_BYTE = re.compile(r" \(byte (\d+)\)$")


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of an array; the position is the element's number from 1. Raises BrokenFile."""
    for position, raw in enumerate(elements(stream), 1):
        try:
            item = Item(position, raw, _DECODER.decode(raw))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            item = broken(position, raw, error)
        yield item


def elements(stream: BinaryIO) -> list[bytes]:
    """Return the texts of an array's elements, sound or not. Raises BrokenFile where they cannot be told apart."""
    text = stream.read(LARGEST + 1).removeprefix(BOM)
    if len(text) > LARGEST:
        raise BrokenFile(1, f"an array over {LARGEST} bytes; send JSON Lines instead")
    try:
        return [bytes(element) for element in _ARRAY.decode(text)]
    except msgspec.ValidationError:
        raise BrokenFile(1, "is not an array of records") from None
    except (msgspec.DecodeError, RecursionError):
        return _apart(text)


def _apart(text: bytes) -> list[bytes]:
    """Return the elements of an array one of which cannot be read: with the same text, its insides made harmless."""
    plain = _STRING.sub(lambda found: _blank(len(found[0])) if len(found[0]) > 1 else found[0], text)
    try:
        try:
            decoded = _ARRAY.decode(plain)
        except RecursionError:
            if plain.count(b"[") != plain.count(b"]"):  # said at once: a body may be nothing but brackets
                raise
            plain = _shallow(plain)
            decoded = _ARRAY.decode(plain)
    except RecursionError:
        raise BrokenFile(1, "is nested too deeply") from None
    except msgspec.ValidationError:
        raise BrokenFile(1, "is not an array of records") from None
    except msgspec.DecodeError as error:
        said = str(error).replace("JSON is malformed", "is not JSON")
        at = _BYTE.search(said)
        line = text.count(b"\n", 0, int(at[1])) + 1 if at else text.count(b"\n") + 1
        raise BrokenFile(line, said) from None
    found, end = [], 0
    for element in decoded:
        raw = bytes(element)
        # Between elements is nothing that an element begins with, but the array's own bracket at the very start.
        start = plain.index(raw, end or plain.index(b"[") + 1)
        end = start + len(raw)
        found.append(text[start:end])
    return found


def _blank(length: int) -> bytes:
    """Return a sound string of so many bytes, quotes included."""
    return b'"' + b"x" * (length - 2) + b'"'


def _shallow(plain: bytes) -> bytes:
    """Return a text whose strings are blank with a string, as long, for all that is nested deeper than any record."""
    out = bytearray(plain)
    depth = start = 0
    for found in _BRACKET.finditer(plain):
        if found[0] in b"[{":
            depth += 1
            if depth == _DEEPEST + 1:
                start = found.start()
        else:
            depth -= 1
            if depth == _DEEPEST:
                out[start : found.end()] = _blank(found.end() - start)
    return bytes(out)
