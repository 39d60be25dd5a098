"""JSON Lines (NDJSON): an object a line. Every break is of one record: the next line begins anew.

The first line may say what the file is (``{"file": {"number": 17, "records": 1000}}``); it is no record.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from billing.passages.incoming import Answer, Item
from billing.passages.rules import Sent
from billing.roadside.formats.broken import BOM, LONGEST_LINE, BrokenFile, FileHead, decode, lines, too_long, why
from billing.roadside.formats.form import Answered, Format, Head

_DECODER = msgspec.json.Decoder(Sent)
_ENCODER = msgspec.json.Encoder()
_SIGN = b'{"file"'


class _First(msgspec.Struct, forbid_unknown_fields=True):
    file: FileHead


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of a stream; the position is the line's number. Raises BrokenFile for UTF-16."""
    for number, line, raw in lines(stream):
        if number == 1 and is_head(raw):
            continue
        if line is None:
            yield too_long(number, raw)
        else:
            yield decode(_DECODER, number, line, raw)


def is_head(line: bytes) -> bool:
    """Say whether a first line tells of the file."""
    return b"".join(line[:64].split()).startswith(_SIGN)


def check(stream: BinaryIO) -> Head:
    """Return what a file says of itself. Raises BrokenFile for one that is cut off: its last line ends in the middle
    of a record, or there are not as many as the file says."""
    first = stream.readline(LONGEST_LINE + 1).removeprefix(BOM)
    head = _head(first) if is_head(first) else Head()
    if head.records is None and not _is_cut(_last_line(stream)):
        return head
    stream.seek(0)
    records, last = -is_head(first), 1
    for last, _, _ in lines(stream):  # noqa: B007 - the last one's number
        records += 1
    if _is_cut(_last_line(stream)):
        raise BrokenFile(last, "the file is cut off: its last line ends in the middle of a record")
    if records != head.records:
        raise BrokenFile(last, f"the file is not whole: it has {records} records and says {head.records}")
    return head


def _head(line: bytes) -> Head:
    try:
        return msgspec.json.decode(line, type=_First).file.head()
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        fault = why(error)
        raise BrokenFile(1, f"what it says of the file: {fault.field or 'file'} {fault.reason}") from None


def _last_line(stream: BinaryIO) -> bytes:
    """Return what comes after the last line break of a stream, as far as a record can be long."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(max(0, size - LONGEST_LINE))
    return stream.read().rpartition(b"\n")[2]


def _is_cut(line: bytes) -> bool:
    if not line.strip():
        return False
    try:
        msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def answers(answered: Answered, chunks: Iterable[list[Answer]]) -> Iterator[bytes]:
    """Yield an answer a line."""
    del answered
    for chunk in chunks:
        yield _ENCODER.encode_lines(chunk)


FORMAT = Format("jsonl", (".jsonl", ".ndjson"), ("application/x-ndjson", "application/jsonl"), check, parse, answers)
