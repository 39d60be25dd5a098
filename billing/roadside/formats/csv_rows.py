"""CSV: comma-separated, a header, a record a line, UTF-8. A wrong header breaks the file, a wrong row only itself."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from billing.passages.incoming import Item
from billing.passages.rules import Fault, Sent
from billing.roadside.formats.broken import BrokenFile, lines, too_long, why

COLUMNS = tuple(Sent.__struct_fields__)
REQUIRED = frozenset({"id", "passed_at", "station", "service", "list_price", "amount", "vat_rate"})
_WHOLE = frozenset({"list_price", "amount", "vat_rate"})
_BOOLEAN = {"true": True, "false": False}


def parse(stream: BinaryIO) -> Iterator[Item]:
    """Yield the records of a stream; the position is the line's number. Raises BrokenFile for a wrong header."""
    header: list[str] | None = None
    for number, line, raw in lines(stream):
        if header is None:
            header = _header(number, line)
        elif line is None:
            yield too_long(number, raw)
        else:
            yield _item(number, line, header)
    if header is None:
        raise BrokenFile(1, "there is no header")


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
