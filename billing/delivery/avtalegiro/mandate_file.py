"""Reading the mandates in a file from the bank (21/24): strict about the file, lenient about one bad record. Pure.

A file may hold payments (09/00) beside them: those are passed over here (billing.payments reads them), and their
counts and sums, as they state them, go into the file's. The file as a whole is refused (`OcrFileError`) when its
structure, a count or a sum is wrong. A record whose own fields cannot be read is a `Fault`, and the others are read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from billing.delivery.avtalegiro.lines import (
    Lines,
    OcrFileError,
    digits,
    has_control_characters,
    number,
    without_control_characters,
)

Registration = Literal["standing", "new", "ended"]
_REGISTRATIONS: dict[str, Registration] = {"0": "standing", "1": "new", "2": "ended"}
_KID = re.compile(r"[0-9]{1,24}[0-9-]")


@dataclass(frozen=True, slots=True)
class MandateRecord:
    """One record 70. ``standing``: one of a full list. ``new``: set up, or changed. ``ended``: deleted at the bank.
    ``kid`` is text as it came, blanks off; ``notice``: the payer wants to be told before each claim (J)."""

    line: int
    registration: Registration
    kid: str
    notice: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """A record that cannot be read, by its line: why, and the record itself without control characters."""

    line: int
    text: str
    record: str = ""


@dataclass(frozen=True, slots=True)
class MandateOrder:
    """One assignment 21/24: of one account of the payee's. ``full``: all mandates that stand, and every record of it
    could be read, so that what it lacks has ended."""

    account: str
    number: int
    line: int
    full: bool
    records: tuple[MandateRecord, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class MandateFile:
    """What a file says of mandates. ``lines`` is the number of records in the whole file."""

    orders: tuple[MandateOrder, ...]
    lines: int

    @property
    def faults(self) -> list[Fault]:
        """Return what could not be read, in the order of the file."""
        return [fault for order in self.orders for fault in order.faults]

    @property
    def transactions(self) -> int:
        """Return how many records of mandates it has, unreadable ones included."""
        return sum(len(order.records) + len(order.faults) for order in self.orders)


def read_mandates(source: bytes | BinaryIO, *, max_bytes: int, max_lines: int) -> MandateFile:
    """Read one whole file (ISO-8859-1, CR LF or LF). OcrFileError, naming the line, when it is refused."""
    reader = _Reader(Lines(source, max_bytes=max_bytes, max_lines=max_lines))
    if not reader.lines.text:
        raise OcrFileError(1, "the file is empty")
    while reader.lines.text:
        reader.transmission()
    return MandateFile(tuple(reader.orders), reader.lines.number)


@dataclass(slots=True)
class _Totals:
    start: int
    transactions: int = 0
    sum_ore: int = 0

    def check(self, lines: Lines, *, with_sum: bool) -> None:
        """Hold against the current end record; OcrFileError at the first difference."""
        seen = [
            ("the number of transactions", 9, 16, self.transactions),
            ("the number of records", 17, 24, lines.number - self.start + 1),
        ]
        if with_sum:
            seen.append(("the sum in øre", 25, 41, self.sum_ore))
        for what, first, last, counted in seen:
            stated = number(lines, first, last, what)
            if stated != counted:
                where = f"lines {self.start}-{lines.number} have {counted}"
                raise OcrFileError(lines.number, f"{what} (positions {first}-{last}) is given as {stated}, but {where}")


@dataclass(slots=True)
class _Reader:
    """Walks the lines once; a method begins at its start record and leaves at the line after its end record."""

    lines: Lines
    orders: list[MandateOrder] = field(default_factory=list)

    def transmission(self) -> None:
        """Read one block 10…89."""
        lines = self.lines
        if not lines.text.startswith("NY000010"):
            raise self._unexpected("the start of a transmission (NY000010)")
        for first, last, what in (
            (9, 16, "the sender"),
            (17, 23, "the transmission number"),
            (24, 31, "the recipient"),
        ):
            digits(lines, first, last, what)
        totals = _Totals(lines.number)
        lines.advance()
        while not lines.text.startswith("NY000089"):
            match lines.text[2:8]:
                case "212420":
                    self._mandates(totals)
                case "090020":
                    self._payments(totals)
                case _:
                    raise self._unexpected("mandates (NY212420), payments (NY090020) or the end (NY000089)")
        totals.check(lines, with_sum=True)
        lines.advance()

    def _payments(self, outer: _Totals) -> None:
        """Pass over payments: what their end record states is the payments' reader's to check."""
        lines, totals = self.lines, _Totals(self.lines.number)
        lines.advance()
        while lines.text and not lines.text.startswith("NY090088"):
            if not lines.text.startswith("NY09"):
                raise self._unexpected("a payment (NY09) or the end of the assignment (NY090088)")
            lines.advance()
        if not lines.text:
            raise self._unexpected("the end of the assignment (NY090088)")
        totals.transactions = number(lines, 9, 16, "the number of transactions")
        totals.check(lines, with_sum=False)
        outer.transactions += totals.transactions
        outer.sum_ore += number(lines, 25, 41, "the sum in øre")
        lines.advance()

    def _mandates(self, outer: _Totals) -> None:
        """Read one assignment of mandates."""
        lines, totals = self.lines, _Totals(self.lines.number)
        order_number = number(lines, 18, 24, "the assignment number")
        account = digits(lines, 25, 35, "the account")
        records: list[MandateRecord] = []
        faults: list[Fault] = []
        lines.advance()
        while not lines.text.startswith("NY212488"):
            if not lines.text.startswith("NY219470"):
                raise self._unexpected("a mandate (NY219470) or the end of the assignment (NY212488)")
            totals.transactions += 1
            read = _mandate(lines.number, lines.text)
            if isinstance(read, Fault):
                faults.append(read)
            else:
                records.append(read)
            lines.advance()
        totals.check(lines, with_sum=False)
        outer.transactions += totals.transactions
        listed = [record for record in records if record.registration == "standing"]
        if listed and len(listed) != len(records):
            faults.append(Fault(totals.start, "a full list (0) with changes (1, 2) in it: what it lacks is not ended"))
        full = bool(listed) and not faults
        self.orders.append(MandateOrder(account, order_number, totals.start, full, tuple(records), tuple(faults)))
        lines.advance()

    def _unexpected(self, wanted: str) -> OcrFileError:
        if not self.lines.text:
            return OcrFileError(self.lines.number, f"the file ends after this line; expected {wanted}")
        return OcrFileError(self.lines.number, f"expected {wanted}, not {self.lines.text[:8]!r}")


def _mandate(line: int, text: str) -> MandateRecord | Fault:
    """Read one record 70, or say what is wrong with it first."""
    kid, wish = text[16:41].strip(" "), text[41]
    registration = _REGISTRATIONS.get(text[15])
    problem = None
    if has_control_characters(text):
        problem = "control characters in a mandate"
    elif registration is None:
        problem = f"the registration (position 16) must be 0, 1 or 2, not {text[15]!r}"
    elif not kid.isascii() or _KID.fullmatch(kid) is None:
        problem = f"the KID (positions 17-41) has other than digits and a final '-': {kid!r}"
    elif wish not in "JN":
        problem = f"the wish for notice (position 42) must be J or N, not {wish!r}"
    if problem is not None or registration is None:
        return Fault(line, problem or "", without_control_characters(text))
    return MandateRecord(line, registration, kid, wish == "J")
