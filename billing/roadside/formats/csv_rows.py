"""CSV: comma-separated, a header, a record a line, UTF-8. A wrong header breaks the file, a wrong row only itself.

A line before the header may say what the file is: ``#file,number=17,records=1000``.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from billing.passages.incoming import Answer, Item
from billing.passages.rules import Cancel, Fault, Sent
from billing.roadside.formats.broken import BrokenFile, FileHead, lines, too_long, why
from billing.roadside.formats.form import Answered, Format, Head

ANSWER_COLUMNS = ("position", "id", "code", "flags", "field", "detail")
COLUMNS = tuple(Sent.__struct_fields__)
REQUIRED = frozenset({"id", "passed_at", "station", "service", "list_price", "amount", "vat_rate"})
_WHOLE = frozenset({"list_price", "amount", "vat_rate", "version"})
_CANCELS = frozenset(Cancel.__struct_fields__)
_SIGN = b"#file"
_BOOLEAN = {"true": True, "false": False}


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of a stream; the position is the line's number. Raises BrokenFile for a wrong header."""
    header: list[str] | None = None
    for number, line, raw in lines(stream):
        if number == 1 and raw.startswith(_SIGN):
            continue
        if header is None:
            header = _header(number, line)
        elif line is None:
            yield too_long(number, raw)
        else:
            yield _item(number, line, header)
    if header is None:
        raise BrokenFile(1, "there is no header")


def check(stream: BinaryIO) -> Head:
    """Return what a file says of itself. Raises BrokenFile for a wrong header, and for a file that is cut off: its last
    row ends too early, or there are not as many as the file says."""
    head, header, count = Head(), None, 0
    last: tuple[int, bytes | None] = (1, b"")
    for number, line, raw in lines(stream):
        if number == 1 and raw.startswith(_SIGN):
            head = _head(raw)
        elif header is None:
            header = _header(number, line)
        else:
            count, last = count + 1, (number, line)
    if header is None:
        raise BrokenFile(1, "there is no header")
    # A cell that is cut off is a cell still: what says how many rows it has must end its last one.
    if count and not _ends(stream) and (head.records is not None or _is_cut(last[1], header)):
        raise BrokenFile(last[0], "the file is cut off: its last row ends too early")
    if head.records is not None and count != head.records:
        raise BrokenFile(last[0], f"the file is not whole: it has {count} records and says {head.records}")
    return head


def _head(line: bytes) -> Head:
    try:
        parts = dict(part.split("=", 1) for part in line.decode().strip().split(",")[1:] if part)
        given = {k: int(v) if k in ("number", "records") and v.isdecimal() else v for k, v in parts.items()}
        return msgspec.convert(given, FileHead).head()
    except (ValueError, UnicodeDecodeError) as error:
        raise BrokenFile(1, f"what it says of the file cannot be read ({error})") from None


def _ends(stream: BinaryIO) -> bool:
    """Say whether a stream that was read ends with a line break."""
    stream.seek(-1, io.SEEK_END)
    return stream.read(1) == b"\n"


def _is_cut(line: bytes | None, header: list[str]) -> bool:
    try:
        return line is None or len(_cells(line)) < len(header)
    except (csv.Error, UnicodeDecodeError):
        return True


def answers(answered: Answered, chunks: Iterable[list[Answer]]) -> Iterator[bytes]:
    """Yield rows of CSV, an answer each, after a header."""
    del answered
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(ANSWER_COLUMNS)
    for chunk in chunks:
        writer.writerows((a.position, a.id, a.code, " ".join(a.flags), a.field, a.detail) for a in chunk)
        yield out.getvalue().encode()
        out.seek(0)
        out.truncate()
    yield out.getvalue().encode()


def _cells(line: bytes) -> list[str]:
    """Return the cells of a line. Raises csv.Error for quotes that do not close, UnicodeDecodeError."""
    return next(csv.reader((line.decode(),), strict=True))


def _header(number: int, line: bytes | None) -> list[str]:
    try:
        header = _cells(line or b"")
    except (csv.Error, UnicodeDecodeError, StopIteration) as error:
        raise BrokenFile(number, f"the header cannot be read ({error})") from None
    if unknown := [name for name in header if name not in COLUMNS]:
        raise BrokenFile(number, f"the header names a column we do not know: {unknown[0][:40]!r}")
    if len(set(header)) != len(header):
        raise BrokenFile(number, "the header names a column twice")
    if missing := sorted(REQUIRED.difference(header)):
        raise BrokenFile(number, f"the header lacks {', '.join(missing)}")
    return header


def _item(number: int, line: bytes, header: list[str]) -> Item:
    try:
        cells = _cells(line)
    except UnicodeDecodeError as error:
        return Item(number, line, why(error))
    except csv.Error as error:
        return Item(number, line, Fault("invalid_record", None, f"is not CSV ({error})"))
    if len(cells) != len(header):
        return Item(number, line, Fault("invalid_record", None, f"has {len(cells)} cells, the header {len(header)}"))
    fields = {name: _value(name, cell) for name, cell in zip(header, cells, strict=True) if cell}
    try:
        if fields.get("action") == "cancel":
            return Item(number, line, msgspec.convert({k: v for k, v in fields.items() if k in _CANCELS}, Cancel))
        return Item(number, line, msgspec.convert(fields, Sent))
    except msgspec.ValidationError as error:
        name = fields.get("id")
        return Item(number, line, why(error), name[:64] if isinstance(name, str) else None)


def _value(name: str, cell: str) -> object:
    """Return a cell as the type of its column where it can be; else as it is, for the record's own check."""
    if name in _WHOLE and cell.lstrip("-").isdecimal() and cell.isascii() and len(cell) <= 20:
        return int(cell) if cell.count("-") <= cell.startswith("-") else cell
    if name == "vat_included":
        return _BOOLEAN.get(cell.lower(), cell)
    if name == "flags":
        return cell.split()
    return cell


FORMAT = Format("csv", (".csv",), ("text/csv",), check, parse, answers, ".answers.csv", "text/csv")
