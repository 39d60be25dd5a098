"""A JSON array of objects. An element that is no record breaks only itself, as long as it is plain where it ends.

So what is wrong inside a string, or nested without end, is one element's; a comma or bracket too few or too many
breaks the whole of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import msgspec

from billing.passages.incoming import Answer, Item
from billing.passages.rules import Sent
from billing.roadside.formats.broken import BOM, BrokenFile, decode
from billing.roadside.formats.form import Answered, Format, Head

LARGEST = 64 * 1024 * 1024
"""Bytes of an array: it is read as a whole. What is larger comes as JSON Lines."""

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_DECODER = msgspec.json.Decoder(Sent)
_ENCODER = msgspec.json.Encoder()
_HARMLESS = bytes(
    ord(" ") if byte in b"\t\n\r" else byte if 32 <= byte < 127 and byte != ord("\\") else ord("x")
    for byte in range(256)
)
"""Each byte as it may stand in a string. Outside one, blanks stay blank and what was wrong stays wrong."""
_BRACKETS = re.compile(rb'(?:[^"\[{\]}]++|"[^"]*+(?:"|\Z))*+(?:([\[{]++)|([\]}]++)|\Z)')
"""The next brackets in a row that all open or all close, and what is before them, strings as a whole; or the rest.
It matches wherever it begins, and gives nothing back: no byte is looked at twice."""
_DEEPEST = 3
"""Arrays and objects around a value of a sound record: the array, the record, its flags."""
_ROWS, _BYTES_A_ROW = 100_000, 32
"""So many rows of brackets are looked at, and one more for so many bytes; sound records have fewer."""
_BYTE = re.compile(r" \(byte (\d+)\)$")


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of an array; the position is the element's number from 1. Raises BrokenFile."""
    for position, raw in enumerate(elements(stream), 1):
        yield decode(_DECODER, position, raw, raw)


def check(stream: BinaryIO) -> Head:
    """Raise BrokenFile for what is no whole array; it says nothing of itself."""
    count(stream)
    return Head()


def answers(answered: Answered, chunks: Iterable[list[Answer]]) -> Iterator[bytes]:
    """Yield one object: the batch, its counts and sums, and an answer an element."""
    said = {
        "batch": answered.batch_id,
        "name": answered.name,
        "records": sum(answered.counts.values()),
        "counts": dict(sorted(answered.counts.items())),
        "sums_ore": dict(sorted(answered.sums.items())),
    }
    yield _ENCODER.encode(said)[:-1] + b',"answers":['
    between = b""
    for chunk in chunks:
        if chunk:
            yield between + b",".join(_ENCODER.encode(_full(answer)) for answer in chunk)
            between = b","
    yield b"]}"


def _full(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in Answer.__struct_fields__}


def elements(stream: BinaryIO) -> list[bytes]:
    """Return the texts of an array's elements, sound or not. Raises BrokenFile where they cannot be told apart."""
    text = _read(stream)
    plain, decoded = _decode(text)
    return [bytes(element) for element in decoded] if plain is text else _split(text, plain, decoded)


def count(stream: BinaryIO) -> int:
    """Return how many elements an array has, and cut none of them out. Raises BrokenFile as ``elements`` does."""
    return len(_decode(_read(stream))[1])


def _read(stream: BinaryIO) -> bytes:
    text = stream.read(LARGEST + 1).removeprefix(BOM)
    if len(text) > LARGEST:
        raise BrokenFile(1, f"an array over {LARGEST} bytes; send JSON Lines instead")
    return text


def _decode(text: bytes) -> tuple[bytes, list[msgspec.Raw]]:
    """Return an array's elements and the text they are of: its own, or where one cannot be read the same with its
    insides made harmless, byte for byte. All of it is read thrice at most, whatever is in it."""
    try:
        return text, _ARRAY.decode(text)
    except msgspec.ValidationError:
        raise BrokenFile(1, "is not an array of records") from None
    except (msgspec.DecodeError, RecursionError):
        plain = _harmless(text)
    try:
        try:
            return plain, _ARRAY.decode(plain)
        except RecursionError:
            plain = _shallow(plain)
            return plain, _ARRAY.decode(plain)
    except RecursionError:
        raise BrokenFile(1, "is nested too deeply") from None
    except msgspec.ValidationError:
        raise BrokenFile(1, "is not an array of records") from None
    except msgspec.DecodeError as error:
        said = str(error).replace("JSON is malformed", "is not JSON")
        at = _BYTE.search(said)
        line = text.count(b"\n", 0, int(at[1])) + 1 if at else text.count(b"\n") + 1
        raise BrokenFile(line, said) from None


def _harmless(text: bytes) -> bytes:
    """Return a text, byte for byte as long, in whose strings nothing is wrong and no quote is escaped."""
    return text.replace(b"\\\\", b"xx").replace(b'\\"', b"xx").translate(_HARMLESS)


def _split(text: bytes, plain: bytes, decoded: list[msgspec.Raw]) -> list[bytes]:
    """Return of a text what stands where the elements of its harmless twin are."""
    found, end = [], plain.index(b"[") + 1
    for element in decoded:
        raw = bytes(element)
        # Between elements is nothing that an element begins with.
        start = plain.index(raw, end)
        end = start + len(raw)
        found.append(text[start:end])
    return found


def _shallow(plain: bytes) -> bytes:
    """Return a harmless text with a string, as long, for all that is nested deeper than any record. Raises
    RecursionError for more brackets than so many records have: each row of them costs us."""
    out = bytearray(plain)
    depth = start = 0
    most = _ROWS + len(plain) // _BYTES_A_ROW
    for row, found in enumerate(_BRACKETS.finditer(plain)):
        if row > most:
            raise RecursionError
        if not found.lastindex:
            break
        opening = found.lastindex == 1
        first, end = found.span(found.lastindex)
        after = depth + (end - first if opening else first - end)
        if depth <= _DEEPEST < after:
            start = first + _DEEPEST - depth
        elif after <= _DEEPEST < depth:
            stop = first + depth - _DEEPEST
            out[start:stop] = b'"' + b"x" * (stop - start - 2) + b'"'
        depth = after
    return bytes(out)


FORMAT = Format("json", (".json",), ("application/json",), check, parse, answers, ".answers.json", "application/json")
