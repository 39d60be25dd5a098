"""JSON Lines (NDJSON): an object a line. Every break is of one record: the next line begins anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from billing.passages.incoming import Item
from billing.passages.rules import Sent
from billing.roadside.formats.broken import broken, lines, too_long

_DECODER = msgspec.json.Decoder(Sent)


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of a stream; the position is the line's number. Raises BrokenFile for UTF-16."""
    decode = _DECODER.decode
    for number, line, raw in lines(stream):
        if line is None:
            yield too_long(number, raw)
            continue
        try:
            item = Item(number, raw, decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            item = broken(number, raw, error)
        yield item
