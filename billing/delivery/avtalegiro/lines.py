"""Lines and fields of the clearing house's 80-character records: the lowest step of reading a file.

Payments (billing.payments) and AvtaleGiro come in such files, often in one. Everything is checked against limits before
it is kept. Positions in messages are 1-based, as in the specification.
"""

from __future__ import annotations

import re
from datetime import date
from io import BytesIO
from typing import BinaryIO

RECORD_LENGTH = 80
# A record, CR LF and an end-of-file mark; what is longer is wrong anyway and is not read further.
_LONGEST = RECORD_LENGTH + 3
_EOF_MARK = "\x1a"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class OcrFileError(ValueError):
    """The file as a whole cannot be trusted: nothing of it may be booked.

    `line` is the line (from 1) at which it was seen: the line that is wrong in itself, or the line of the
    total that does not agree with what stands before it.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


class Lines:
    """One file, line by line: `text` is the current record (80 characters), `number` its line from 1.

    After the last record `text` is "" and `number` stays at the last line, so that an error about a missing
    end names it. Accepts CR LF and LF, a missing last line end, and blank lines or an EOF mark after the last
    record.
    """

    __slots__ = ("_bytes", "_max_bytes", "_max_lines", "_stream", "number", "text")

    def __init__(self, source: bytes | BinaryIO, *, max_bytes: int, max_lines: int) -> None:
        self._stream: BinaryIO = BytesIO(source) if isinstance(source, bytes) else source
        self._max_bytes = max_bytes
        self._max_lines = max_lines
        self._bytes = 0
        self.number = 0
        self.text = ""
        self.advance()

    def advance(self) -> None:
        """Go to the next record. Raises OcrFileError on a wrong length and beyond the limits."""
        raw = self._readline()
        text = raw.decode("iso-8859-1").rstrip("\r\n")
        if len(text) != RECORD_LENGTH:
            text = text.removesuffix(_EOF_MARK)
            if not text:
                self._only_blank_follows(raw)
                self.text = ""
                return
        self.number += 1
        if self.number > self._max_lines:
            raise OcrFileError(self.number, f"the file has more than the {self._max_lines} lines allowed")
        if len(text) != RECORD_LENGTH:
            found = f"{len(text)} or more" if len(raw) >= _LONGEST else str(len(text))
            raise OcrFileError(self.number, f"a record has {RECORD_LENGTH} characters, this has {found}")
        self.text = text

    def _readline(self) -> bytes:
        raw = self._stream.readline(_LONGEST)
        self._bytes += len(raw)
        if self._bytes > self._max_bytes:
            message = f"the file is larger than the {self._max_bytes} bytes allowed"
            raise OcrFileError(self.number + 1, message)
        return raw

    def _only_blank_follows(self, raw: bytes) -> None:
        """Blank lines may stand after everything else only: between records they mean something was lost."""
        while raw:
            if raw.strip(b"\r\n\x1a"):
                raise OcrFileError(self.number + 1, "a blank line between records")
            raw = self._readline()


def digits(lines: Lines, first: int, last: int, what: str) -> str:
    """Positions first..last of the current record, which must be digits; else OcrFileError."""
    field = lines.text[first - 1 : last]
    # isdecimal, not isdigit: ISO-8859-1 has superscript digits, which isdigit takes and int() does not.
    if not field.isdecimal():
        raise OcrFileError(lines.number, f"{what} (positions {first}-{last}) must be digits, not {field!r}")
    return field


def number(lines: Lines, first: int, last: int, what: str) -> int:
    """The same as an integer."""
    return int(digits(lines, first, last, what))


def parse_date(field: str) -> date | None:
    """DDMMYY as a date, None when there is no such day. Years 69-99 are 19xx, as POSIX has it."""
    if not field.isdecimal():
        return None
    day, month, year = int(field[0:2]), int(field[2:4]), int(field[4:6])
    try:
        return date(1900 + year if year >= 69 else 2000 + year, month, day)
    except ValueError:
        return None


def total_date(lines: Lines, first: int, what: str, *, may_be_zero: bool) -> date | None:
    """A date of an end record, from position `first`; part of the totals, so an unreadable one refuses the file.

    None when it is zeros, which only a block without payments may have (mandates come with and without one).
    """
    field = lines.text[first - 1 : first + 5]
    if may_be_zero and field == "000000":
        return None
    parsed = parse_date(field)
    if parsed is None:
        raise OcrFileError(lines.number, f"{what} (positions {first}-{first + 5}) is no date: {field!r}")
    return parsed


def has_control_characters(text: str) -> bool:
    """Whether the record holds anything that is neither text nor blank (NUL, TAB, C1 controls ...)."""
    return _CONTROL.search(text) is not None


def without_control_characters(text: str) -> str:
    """The record with those as blanks: databases and screens do not take them."""
    return _CONTROL.sub(" ", text)
