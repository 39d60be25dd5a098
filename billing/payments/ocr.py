"""Reading an OCR giro file from the bank: strict about money, lenient about one bad record.

`read_ocr` is pure: bytes in, `OcrFile` out, no database, no clock. A file holds transmissions (records
10...89), these hold assignments (20...88), these hold payments (30, 31 and, for types 20 and 21, perhaps 32)
or mandates (70).

- The file as a whole is refused (`OcrFileError`, nothing may be booked) when its structure, a count, a net
  sum or a date of an end record is wrong, or an amount or a sign cannot be read, since then the sums prove
  nothing.
- One payment whose own fields cannot be read, while counts and sums hold, becomes an `OcrFault` with its
  amount; the others are read.
- A KID is never a reason to refuse: blank, zeros, final `-` and a failing check are carried as they came.

Sums are net: only a `-` in position 32 subtracts. A file cut off exactly between two transmissions cannot be
told from a whole one; gaps in the sender's transmission numbers tell, and they are the caller's to watch. The
caller also recognises repeats, by (sender, transmission number) and (agreement, assignment number).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import BinaryIO

from billing.delivery.avtalegiro.lines import (
    Lines,
    OcrFileError,
    digits,
    number,
    total_date,
    without_control_characters,
)
from billing.payments.ocr_payment import PaymentReader, RawPayment
from billing.payments.ocr_types import (
    Assignment,
    OcrFault,
    OcrFile,
    OtherAssignment,
    Transaction,
    Transmission,
)

__all__ = [
    "Assignment",
    "OcrFault",
    "OcrFile",
    "OcrFileError",
    "OtherAssignment",
    "Transaction",
    "Transmission",
    "read_ocr",
]

_FIRST_TYPE, _LAST_TYPE = 10, 21
_TYPES_WITH_TEXT = frozenset({20, 21})


def read_ocr(source: bytes | BinaryIO, *, max_bytes: int, max_lines: int) -> OcrFile:
    """Read one whole file (ISO-8859-1, CR LF or LF). OcrFileError, naming the line, when it is refused.

    A stream is read line by line and no further than the limits.
    """
    reader = _Reader(Lines(source, max_bytes=max_bytes, max_lines=max_lines))
    if not reader.lines.text:
        raise OcrFileError(1, "the file is empty")
    transmissions = []
    while reader.lines.text:
        transmissions.append(reader.transmission())
    return OcrFile(tuple(transmissions), tuple(reader.others), tuple(reader.faults), reader.lines.number)


@dataclass(slots=True)
class _Totals:
    """What has been seen since a start record, to hold against the end record."""

    start: int  # line of the start record
    transactions: int = 0
    sum_ore: int = 0

    def check(self, lines: Lines, *, with_sum: bool = True) -> None:
        """Hold against the current end record (88 or 89); OcrFileError at the first difference."""
        seen = [
            ("the number of transactions", 9, 16, self.transactions),
            ("the number of records", 17, 24, lines.number - self.start + 1),
        ]
        if with_sum:
            if self.sum_ore < 0:
                raise OcrFileError(lines.number, f"the net sum is {self.sum_ore} øre; the record has no sign")
            seen.append(("the sum in øre", 25, 41, self.sum_ore))
        for what, first, last, counted in seen:
            stated = number(lines, first, last, what)
            if stated != counted:
                where = f"lines {self.start}-{lines.number}"
                message = f"{what} (positions {first}-{last}) is given as {stated}, but {where} have {counted}"
                raise OcrFileError(lines.number, message)


@dataclass(slots=True)
class _Head:
    """Record 20 of an assignment of payments, and what its transactions have shown so far."""

    transmission_number: int
    agreement_id: str
    number: int
    account: str
    totals: _Totals
    transactions: list[Transaction] = field(default_factory=list)
    last_number: int = 0
    days: set[date] = field(default_factory=set)  # clearing dates, of faulty payments too
    unreadable_dates: bool = False


class _Reader:
    """Walks the lines once; a method begins at its start record and leaves at the line after its end record."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.others: list[OtherAssignment] = []
        self.faults: list[OcrFault] = []
        self._payment_reader = PaymentReader()

    def transmission(self) -> Transmission:
        """One block 10...89."""
        lines = self.lines
        if not lines.text.startswith("NY000010"):
            raise self._unexpected("the start of a transmission (NY000010)")
        totals = _Totals(start=lines.number)
        sender = digits(lines, 9, 16, "the sender")
        transmission_number = number(lines, 17, 23, "the transmission number")
        recipient = digits(lines, 24, 31, "the recipient")
        assignments: list[Assignment] = []
        others_before = len(self.others)
        lines.advance()
        while not lines.text.startswith("NY000089"):
            match lines.text[2:8]:
                case "090020":
                    assignments.append(self._payments(transmission_number, totals))
                case "212420":
                    self.others.append(self._mandates(transmission_number, totals))
                case "210020" | "213620":
                    message = "claims or cancellations (service 21): we send those, the bank does not"
                    raise OcrFileError(lines.number, message)
                case _:
                    raise self._unexpected("the start of an assignment or of the end (NY000089)")
        totals.check(lines)
        on = self._transmission_date(assignments, only_payments=len(self.others) == others_before)
        lines.advance()
        return Transmission(sender, transmission_number, recipient, on, tuple(assignments), totals.start)

    def _transmission_date(self, assignments: list[Assignment], *, only_payments: bool) -> date | None:
        """Record 89's date: within those of its assignments (beside mandates it may be another day)."""
        days = [a.date for a in assignments if a.date is not None]
        on = total_date(self.lines, 42, "the date", may_be_zero=not days)
        if on is not None and days and only_payments and not min(days) <= on <= max(days):
            message = f"the date (positions 42-47) is {on}, its assignments have {min(days)} to {max(days)}"
            raise OcrFileError(self.lines.number, message)
        return on

    def _payments(self, transmission_number: int, outer: _Totals) -> Assignment:
        """One assignment of payments, 20...88."""
        lines = self.lines
        head = _Head(
            transmission_number,
            digits(lines, 9, 17, "the agreement id"),
            number(lines, 18, 24, "the assignment number"),
            digits(lines, 25, 35, "the account"),
            _Totals(start=lines.number),
        )
        lines.advance()
        while not lines.text.startswith("NY090088"):
            self._transaction(head)
        totals = head.totals
        totals.check(lines)
        on, first_date, last_date = self._assignment_dates(head)
        outer.transactions += totals.transactions
        outer.sum_ore += totals.sum_ore
        size = lines.number - totals.start + 1
        lines.advance()
        return Assignment(
            agreement_id=head.agreement_id,
            number=head.number,
            account=head.account,
            transactions=tuple(head.transactions),
            sum_ore=totals.sum_ore,
            lines=size,
            line=totals.start,
            date=on,
            first_date=first_date,
            last_date=last_date,
        )

    def _assignment_dates(self, head: _Head) -> tuple[date | None, date | None, date | None]:
        """Record 88's own date, and its first and last clearing date, which must be those of its payments."""
        empty = head.totals.transactions == 0
        on = total_date(self.lines, 42, "the date", may_be_zero=empty)
        first = total_date(self.lines, 48, "the first date", may_be_zero=empty)
        last = total_date(self.lines, 54, "the last date", may_be_zero=empty)
        if first is None or last is None or empty:
            return on, first, last
        lowest, highest = min(head.days, default=first), max(head.days, default=last)
        if head.unreadable_dates:
            # The unreadable one may be the first or the last; the others must lie between.
            holds = first <= lowest and highest <= last
        else:
            holds = (first, last) == (lowest, highest)
        if not holds:
            message = f"first and last date (positions 48-59) are {first} and {last}, not {lowest} and {highest}"
            raise OcrFileError(self.lines.number, message)
        return on, first, last

    def _transaction(self, head: _Head) -> None:
        """Records 30, 31 and perhaps 32 of one payment."""
        lines = self.lines
        at, first = lines.number, lines.text
        kind = first[4:6]
        if first[:4] != "NY09" or first[6:8] != "30" or not kind.isdecimal():
            raise self._unexpected("a payment (record 30) or the end of the assignment (NY090088)")
        type_ = int(kind)
        if not _FIRST_TYPE <= type_ <= _LAST_TYPE:
            raise OcrFileError(at, f"transaction type (positions 5-6) must be 10 to 21, not {kind}")
        serial = first[8:15]
        ordinal = number(lines, 9, 15, "the transaction number")
        if ordinal <= head.last_number:
            raise OcrFileError(at, f"transaction number {ordinal} does not come after {head.last_number}")
        in_sums = number(lines, 33, 49, "the amount")
        if first[31] not in "0-":
            raise OcrFileError(at, f"the sign (position 32) must be 0 or -, not {first[31]!r}")
        if first[31] == "-":
            in_sums = -in_sums
        head.last_number = ordinal
        head.totals.transactions += 1
        head.totals.sum_ore += in_sums

        lines.advance()
        second = lines.text
        if second[:15] != f"NY09{kind}31{serial}":
            raise self._unexpected(f"record 31 of transaction {ordinal}")
        lines.advance()
        third = ""
        if type_ in _TYPES_WITH_TEXT and lines.text[:15] == f"NY09{kind}32{serial}":
            third = lines.text
            lines.advance()
        self._keep(head, RawPayment(at, ordinal, type_, in_sums, first, second, third))

    def _keep(self, head: _Head, raw: RawPayment) -> None:
        """The payment into the head, or what is wrong with it among the faults, its amount with it."""
        read = self._payment_reader.read(raw)
        if read.clearing_date is None:
            head.unreadable_dates = True
        else:
            head.days.add(read.clearing_date)
        if isinstance(read, Transaction):
            head.transactions.append(read)
            return
        self.faults.append(
            OcrFault(
                line=read.line,
                text=read.text,
                transmission_number=head.transmission_number,
                agreement_id=head.agreement_id,
                assignment_number=head.number,
                account=head.account,
                number=raw.number,
                type=raw.type,
                clearing_date=read.clearing_date,
                amount_ore=raw.amount_ore,
                amount_in_sums_ore=raw.amount_in_sums_ore,
                records=tuple(without_control_characters(r) for r in (raw.first, raw.second, raw.third) if r),
            )
        )

    def _mandates(self, transmission_number: int, outer: _Totals) -> OtherAssignment:
        """One assignment of AvtaleGiro mandates (21/24), 20...88: counted and kept, not read."""
        lines = self.lines
        totals = _Totals(start=lines.number)
        assignment_number = number(lines, 18, 24, "the assignment number")
        account = digits(lines, 25, 35, "the account")
        kept = [without_control_characters(lines.text)]
        lines.advance()
        while not lines.text.startswith("NY212488"):
            if not lines.text.startswith("NY219470"):
                raise self._unexpected("a mandate (NY219470) or the end of the assignment (NY212488)")
            totals.transactions += 1
            line = without_control_characters(lines.text)
            if line != lines.text:
                self.faults.append(
                    OcrFault(
                        line=lines.number,
                        text="control characters in a mandate",
                        transmission_number=transmission_number,
                        assignment_number=assignment_number,
                        account=account,
                        records=(line,),
                    )
                )
            kept.append(line)
            lines.advance()
        totals.check(lines, with_sum=False)
        kept.append(without_control_characters(lines.text))
        outer.transactions += totals.transactions
        lines.advance()
        return OtherAssignment(
            transmission_number=transmission_number,
            service="21",
            type="24",
            number=assignment_number,
            account=account,
            transactions=totals.transactions,
            line=totals.start,
            lines=tuple(kept),
        )

    def _unexpected(self, wanted: str) -> OcrFileError:
        """The error for a record that does not belong here, or for a file that ends too early."""
        if not self.lines.text:
            return OcrFileError(self.lines.number, f"the file ends after this line; expected {wanted}")
        return OcrFileError(self.lines.number, f"expected {wanted}, not {self.lines.text[:8]!r}")
