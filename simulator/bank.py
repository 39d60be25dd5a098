"""A bank that sends OCR giro files: right ones, and wrong ones when asked.

Outside the product: it imports nothing of it, and writes from the specification (80-character records, ISO-8859-1,
CR LF). The same calls give the same bytes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

CLEARING_HOUSE = "00008080"
# Purchases and reversals with a text of the payer's: only these have a record 32.
_TYPES_WITH_TEXT = (20, 21)
_TEXT_LENGTH = 40
_KID_LENGTH = 25


class Mistake(Enum):
    """What can be wrong with a file on demand."""

    WRONG_KID = "wrong_kid"  # the first payment's KID ends with another digit: its check fails
    WRONG_TOTAL = "wrong_total"  # the sum of the assignment is one øre off
    WRONG_COUNT = "wrong_count"  # the file's number of transactions is one off
    TRUNCATED = "truncated"  # the file stops in the middle of a line, as after a broken transfer


# No receiver takes such a file: it is sent again under the same numbers when it is right.
_NOT_TAKEN = (Mistake.WRONG_TOTAL, Mistake.WRONG_COUNT, Mistake.TRUNCATED)


@dataclass(frozen=True)
class BankPayment:
    """One payment as the payer's bank sends it. Below zero øre: written with the sign `-`.

    `type` 10-21 of the specification (10 giro, 15 AvtaleGiro, 18 and 20 reversals, 21 with text). `date` is the day
    of settlement, `ordered_on` the day the payer gave the order, where the bank tells it. `text` is written for
    types 20 and 21 only, cut at 40 characters.
    """

    kid: str
    amount_ore: int
    date: dt.date
    type: int = 10
    payer_account: str = ""
    text: str = ""
    ordered_on: dt.date | None = None


@dataclass
class Bank:
    """Numbers its transmissions (per sender) and its assignments (per agreement) upwards, one by one.

    Never twice the same, but for a file that no receiver takes (a wrong sum or count, cut off): the next one has its
    numbers.
    """

    sender: str = CLEARING_HOUSE
    next_transmission: int = 1
    next_assignment: dict[str, int] = field(default_factory=dict)

    def file(
        self,
        payments: Sequence[BankPayment],
        *,
        account: str,
        agreement_id: str,
        recipient: str,
        made_on: dt.date,
        mistake: Mistake | None = None,
    ) -> bytes:
        """A whole file: one transmission with one assignment of these payments to one account.

        ValueError when a payment does not fit the format, or the net sum is below zero (it has no place for a sign).
        """
        rows = list(payments)
        if mistake is Mistake.WRONG_KID:
            rows[0] = replace(rows[0], kid=with_wrong_check(rows[0].kid))
        for row in rows:
            _must_fit(row)
        total = sum(row.amount_ore for row in rows)
        if total < 0:
            raise ValueError(f"the net sum is {total} øre; an end record cannot say that")
        transmission, assignment = self._take_numbers(agreement_id, used=mistake not in _NOT_TAKEN)
        body = [line for number, row in enumerate(rows, start=1) for line in _records(number, row)]
        stated = total + 1 if mistake is Mistake.WRONG_TOTAL else total
        dates = [made_on, min((r.date for r in rows), default=made_on), max((r.date for r in rows), default=made_on)]
        count = len(rows) + 1 if mistake is Mistake.WRONG_COUNT else len(rows)
        data = _joined(
            [
                f"NY000010{self.sender:0>8}{transmission:07}{recipient:0>8}",
                f"NY090020{agreement_id:0>9}{assignment:07}{account:0>11}",
                *body,
                f"NY090088{len(rows):08}{len(body) + 2:08}{stated:017}" + "".join(map(_ddmmyy, dates)),
                f"NY000089{count:08}{len(body) + 4:08}{total:017}{_ddmmyy(made_on)}",
            ]
        )
        return data[: len(data) * 2 // 3] if mistake is Mistake.TRUNCATED else data

    def _take_numbers(self, agreement_id: str, *, used: bool) -> tuple[int, int]:
        transmission = self.next_transmission
        assignment = self.next_assignment.get(agreement_id, 1)
        if used:
            self.next_transmission += 1
            self.next_assignment[agreement_id] = assignment + 1
        return transmission, assignment


def with_wrong_check(kid: str) -> str:
    """The KID with another last digit, as a payer mistypes it: no mod10 check lets that through."""
    last = int(kid[-1]) if kid[-1:].isdecimal() else 0
    return f"{kid[:-1]}{(last + 1) % 10}"


def _must_fit(payment: BankPayment) -> None:
    if not 10 <= payment.type <= 21:
        raise ValueError(f"type {payment.type} is not 10 to 21")
    if len(payment.kid) > _KID_LENGTH:
        raise ValueError(f"KID {payment.kid} is longer than {_KID_LENGTH}")
    if not 0 < abs(payment.amount_ore) < 10**17:
        raise ValueError(f"amount {payment.amount_ore} øre cannot be paid")
    if payment.payer_account and not (len(payment.payer_account) == 11 and payment.payer_account.isdecimal()):
        raise ValueError(f"payer account {payment.payer_account} is not 11 digits")


def _records(number: int, payment: BankPayment) -> Iterator[str]:
    """Records 30, 31 and, for types with text, 32."""
    head = f"NY09{payment.type:02}"
    tail = f"{number:07}"
    sign = "-" if payment.amount_ore < 0 else "0"
    day = payment.date
    # Centre 13, day code, part 1 and a serial: what they are does not matter, only that they are there.
    settled = f"{_ddmmyy(day)}13{day:%d}1{number % 100_000:05}"
    yield f"{head}30{tail}{settled}{sign}{abs(payment.amount_ore):017}{payment.kid:>{_KID_LENGTH}}"
    ordered = _ddmmyy(payment.ordered_on) if payment.ordered_on else "000000"
    reference = day.toordinal() % 1000 * 1_000_000 + number % 1_000_000
    yield f"{head}31{tail}{number:010}{reference:09}0000000{ordered}{payment.payer_account:0>11}"
    if payment.type in _TYPES_WITH_TEXT:
        yield f"{head}32{tail}{payment.text[:_TEXT_LENGTH]:<{_TEXT_LENGTH}}"


def _joined(records: Iterable[str]) -> bytes:
    """Records filled with zeros to 80 characters, each ended by CR LF. What the character set lacks becomes `?`."""
    return "".join(f"{record:0<80}\r\n" for record in records).encode("iso-8859-1", errors="replace")


def _ddmmyy(day: dt.date) -> str:
    return f"{day:%d%m%y}"
