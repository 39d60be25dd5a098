"""What one OCR giro file from the bank says, as data.

Amounts are integer øre. Dates are business dates as the clearing house wrote them (no zone of their own; they
mean Norwegian bank days). Identifiers (account, KID, archive reference, ...) are text, because their leading
zeros count. Line numbers count from 1 in the file as received.

Source of the layout: OCR giro system specification of the clearing house; see `docs/formats.md`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

# 18 reversal with KID, 20 reversal with text: added in the control sums, but the money goes out when booked.
REVERSAL_TYPES = frozenset({18, 20})


@dataclass(frozen=True, slots=True)
class OcrFault:
    """One record whose own fields cannot be read, in a file whose counts and sums do hold.

    For a payment the money has arrived and is part of the assignment's sum, but it is in no `Transaction`:
    book `amount_ore` into suspense, or the bank account will not add up. `amount_ore` is signed as booked. It
    is None, and so is `number`, when the line is not of a payment (a mandate). `records` are the lines of the
    transaction, control characters replaced by blanks. `clearing_date` is None when it is what cannot be read.
    """

    line: int
    text: str
    transmission_number: int = 0
    agreement_id: str = ""
    assignment_number: int = 0
    account: str = ""
    number: int | None = None
    type: int | None = None
    clearing_date: dt.date | None = None
    amount_ore: int | None = None
    amount_in_sums_ore: int | None = None
    records: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transaction:
    """One payment (records 30, 31 and perhaps 32).

    `amount_ore` is signed as booked: below zero when the sign in position 32 is `-` or the type is a reversal
    (18, 20). `amount_in_sums_ore` is signed as the control sums of the file take it: only the sign counts
    there. `kid` is stripped of blanks and otherwise as it came: it can be empty, all zeros, end with `-` or
    fail its check. `text` is None where there is no record 32 or it is blank. `debit_account` is None where
    the bank did not tell.
    """

    line: int
    number: int
    type: int
    clearing_date: dt.date
    bank_date: dt.date | None
    amount_ore: int
    amount_in_sums_ore: int
    kid: str
    centre: str
    day_code: str
    part_no: str
    serial: str
    archive_ref: str
    form_no: str
    debit_account: str | None
    text: str | None

    @property
    def value_date(self) -> dt.date:
        """The day the payment counts as paid: the clearing date (record 30, positions 16-21).

        That is the day of settlement at the clearing house, when our account is credited. `bank_date` (record
        31, positions 42-47) is the day the payer's bank took the order: earlier or the same, often not given,
        and never what decides; and the dates of records 88 and 89 only say when the file was made.
        """
        return self.clearing_date

    @property
    def is_reversal(self) -> bool:
        """Whether the type itself takes money back (18, 20), whatever the sign says."""
        return self.type in REVERSAL_TYPES


@dataclass(frozen=True, slots=True)
class Assignment:
    """Payments to one account under one OCR agreement (service 09).

    `sum_ore` is the net control sum of record 88; it includes faulty records. `line` is the line of record 20
    and `lines` the number of lines from there to record 88, both included. `date` is record 88's own date,
    `first_date` and `last_date` its first and last clearing date (checked); None only where there are no
    transactions. `number` is unique per agreement for 12 months and a day, so
    different agreements may repeat it.
    """

    agreement_id: str
    number: int
    account: str
    transactions: tuple[Transaction, ...]
    sum_ore: int
    lines: int
    line: int
    date: dt.date | None
    first_date: dt.date | None
    last_date: dt.date | None


@dataclass(frozen=True, slots=True)
class OtherAssignment:
    """An assignment that is not payments (service 21/24, mandates): recognised, counted, kept line by line.

    `lines` holds every record as text, from record 20 to record 88; `transactions` is the count that agreed.
    """

    transmission_number: int
    service: str
    type: str
    number: int
    account: str
    transactions: int
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transmission:
    """One block 10...89. `number` is unique per sender. `date` is None only where it holds no payments."""

    sender: str
    number: int
    recipient: str
    date: dt.date | None
    assignments: tuple[Assignment, ...]
    line: int


@dataclass(frozen=True, slots=True)
class OcrFile:
    """A whole file whose structure, counts, sums and dates hold. `lines` is the number of records in it."""

    transmissions: tuple[Transmission, ...]
    other_assignments: tuple[OtherAssignment, ...]
    faults: tuple[OcrFault, ...]
    lines: int
