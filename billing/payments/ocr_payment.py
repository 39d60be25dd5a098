"""One payment of an OCR giro file: from its records to a `Transaction`, or to what is wrong with it.

Only fields that concern this payment alone are read here. Structure, number, amount and sign concern the
whole file and have been read before.
"""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from billing.delivery.avtalegiro.lines import has_control_characters, parse_date
from billing.payments.ocr_types import REVERSAL_TYPES, Transaction

_KID = re.compile(r"[0-9]*-?")
_NO_DATE = "000000"
_NO_ACCOUNT = "00000000000"


class RawPayment(NamedTuple):
    """The records 30, 31 and 32 ("" where there is none), and what they told the file's totals."""

    line: int  # of record 30
    number: int
    type: int
    amount_in_sums_ore: int
    first: str
    second: str
    third: str

    @property
    def amount_ore(self) -> int:
        """Signed as booked: a reversal takes money out, whatever its sign in the sums."""
        amount = self.amount_in_sums_ore
        return -abs(amount) if self.type in REVERSAL_TYPES else amount


class Unreadable(NamedTuple):
    """Why a payment cannot be booked by itself, and at which line."""

    line: int
    text: str
    clearing_date: date | None


class PaymentReader:
    """Reads payments one by one; a file has thousands of payments of a few days, so each day is read once."""

    def __init__(self) -> None:
        self._dates: dict[str, date | None] = {}

    def read(self, raw: RawPayment) -> Transaction | Unreadable:
        """The payment, or the first thing in it that cannot be read."""
        first, second = raw.first, raw.second
        clearing_date = self._date(first[15:21])
        if clearing_date is None:
            text = f"the clearing date (positions 16-21) is no date: {first[15:21]!r}"
            return Unreadable(raw.line, text, None)
        bank_date = self._date(second[41:47])
        kid = first[49:74].strip(" ")
        account = second[47:58].strip(" ")
        problem = _problem(raw, kid, account, clearing_date, bank_date)
        if problem is not None:
            return problem
        return Transaction(
            line=raw.line,
            number=raw.number,
            type=raw.type,
            clearing_date=clearing_date,
            bank_date=bank_date,
            amount_ore=raw.amount_ore,
            amount_in_sums_ore=raw.amount_in_sums_ore,
            kid=kid,
            centre=first[21:23],
            day_code=first[23:25],
            part_no=first[25:26],
            serial=first[26:31],
            archive_ref=second[25:34].strip(),
            form_no=second[15:25].strip(),
            debit_account=None if account in ("", _NO_ACCOUNT) else account,
            text=raw.third[15:55].strip() or None,
        )

    def _date(self, text: str) -> date | None:
        try:
            return self._dates[text]
        except KeyError:
            return self._dates.setdefault(text, parse_date(text))


def _problem(raw: RawPayment, kid: str, account: str, day: date, bank_date: date | None) -> Unreadable | None:
    """The first field besides the clearing date that cannot be read."""
    records = (raw.first, raw.second, raw.third)
    if not "".join(records).isprintable():  # quick: nearly every payment passes here
        for offset, record in enumerate(records):
            if has_control_characters(record):
                return Unreadable(raw.line + offset, "control characters in the record", day)
    if _KID.fullmatch(kid) is None:
        text = f"the KID (positions 50-74) has other than digits and a final '-': {kid!r}"
        return Unreadable(raw.line, text, day)
    if raw.amount_in_sums_ore == 0:
        return Unreadable(raw.line, "the amount (positions 33-49) is zero: there is nothing to book", day)
    if bank_date is None and raw.second[41:47] != _NO_DATE:
        text = f"the bank date (positions 42-47) is no date: {raw.second[41:47]!r}"
        return Unreadable(raw.line + 1, text, day)
    if account and not (len(account) == len(_NO_ACCOUNT) and account.isdecimal()):
        text = f"the payer's account (positions 48-58) is not {len(_NO_ACCOUNT)} digits: {account!r}"
        return Unreadable(raw.line + 1, text, day)
    return None
