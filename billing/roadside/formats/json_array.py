"""A JSON array of objects. What is not JSON breaks the whole of it; an element of the wrong shape only itself."""

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
_BYTE = re.compile(r" \(byte (\d+)\)$")


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of an array; the position is the element's number from 1. Raises BrokenFile."""
    text = stream.read(LARGEST + 1).removeprefix(BOM)
    if len(text) > LARGEST:
        raise BrokenFile(1, f"an array over {LARGEST} bytes; send JSON Lines instead")
    try:
        elements = _ARRAY.decode(text)
    except msgspec.ValidationError:
        raise BrokenFile(1, "is not an array of records") from None
    except msgspec.DecodeError as error:
        said = str(error).replace("JSON is malformed", "is not JSON")
        at = _BYTE.search(said)
        line = text.count(b"\n", 0, int(at[1])) + 1 if at else text.count(b"\n") + 1
        raise BrokenFile(line, said) from None
    for position, element in enumerate(elements, 1):
        raw = bytes(element)
        try:
            item = Item(position, raw, _DECODER.decode(element))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            item = broken(position, raw, error)
        yield item
