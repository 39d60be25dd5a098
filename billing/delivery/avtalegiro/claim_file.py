"""Writing files of claims and cancellations for the bank: pure, strict, the same input gives the same bytes.

A transmission (records 10…89) holds orders (20…88): claims (21/00) or cancellations (21/36). A claim is a record 30 and
a 31, and where the bank tells the payer (21) text in records 49. Each record is 80 characters of ISO-8859-1, ended by
CR LF. What cannot be written is refused by `ClaimError`; only names, references and texts are ever changed (see
`latin`), and every change is told.

Source of the layout: AvtaleGiro system specification of the clearing house; see `docs/formats/avtalegiro.md`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from billing.claims.deadlines import latest_due
from billing.delivery.avtalegiro.latin import written

CLEARING_HOUSE = "00008080"
RECORD_LENGTH = 80
KID_WIDTH, NAME_WIDTH, REFERENCE_WIDTH = 25, 10, 25
COLUMN_WIDTH, COLUMNS, TEXT_LINES = 40, 2, 42
MOST_TRANSACTIONS = 9_999_999
LARGEST_ORE = 10**17 - 1

Kind = Literal["claims", "cancellations"]
Notice = Literal["own", "bank"]
_ORDER = {"claims": "00", "cancellations": "36"}
_CODE = {"own": "02", "bank": "21"}
_CANCEL = "93"
_KID = re.compile(r"[0-9]{2,25}")


class ClaimError(ValueError):
    """A claim, or the whole file, cannot be written; ``transaction`` is the claim's number in its order, or None."""

    def __init__(self, message: str, transaction: int | None = None) -> None:
        super().__init__(message if transaction is None else f"transaction {transaction}: {message}")
        self.transaction = transaction


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payer's bank is to pay, øre, on an Oslo date. A cancellation repeats its claim's KID, date and amount.

    ``notice``: who tells the payer, we (``own``, code 02) or the bank (``bank``, code 21, with ``text`` of at most 42
    lines of 80 characters). ``name`` is in the bank's lists only; ``reference`` is shown to the payer.
    """

    kid: str
    due_on: dt.date
    amount_ore: int
    notice: Notice = "own"
    name: str = ""
    reference: str = ""
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One assignment. ``number`` is unique for 12 months and a day; ``account`` is the payee's, 11 digits."""

    kind: Kind
    number: int
    account: str
    claims: Sequence[Claim]


@dataclass(frozen=True, slots=True)
class Change:
    """That a text is in the file another way than it was given: letters written otherwise, or the end left out."""

    kind: Kind
    transaction: int
    field: str
    letters: tuple[tuple[str, str], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """A file, and what its records count. The transactions of each order are numbered from 1 in the order given."""

    content: bytes
    transactions: int
    sum_ore: int
    records: int
    changes: tuple[Change, ...]


def write(sender: str, transmission: int, orders: Sequence[Order], *, made_on: dt.date) -> ClaimFile:
    """Write one transmission. ``sender`` is our id at the clearing house (8 digits), ``made_on`` an Oslo date.

    Raises ClaimError for what does not fit; nothing is shortened but names and references.
    """
    if not re.fullmatch(r"[0-9]{8}", sender):
        raise ClaimError(f"the sender is 8 digits, not {sender!r}")
    if not 1 <= transmission <= MOST_TRANSACTIONS:
        raise ClaimError(f"transmission number {transmission} is not 1 to {MOST_TRANSACTIONS}")
    if not orders:
        raise ClaimError("a transmission without orders says nothing")
    if len({(order.account, order.number) for order in orders}) != len(orders):
        raise ClaimError("two orders of one number")
    changes: list[Change] = []
    body = [line for order in orders for line in _order(order, made_on, changes)]
    claims = [claim for order in orders for claim in order.claims]
    total = sum(claim.amount_ore for claim in claims)
    if total > LARGEST_ORE:
        raise ClaimError(f"the sum of {total} øre does not fit")
    first = min(claim.due_on for claim in claims)
    lines = [
        f"NY000010{sender}{transmission:07}{CLEARING_HOUSE}",
        *body,
        f"NY000089{len(claims):08}{len(body) + 2:08}{total:017}{_day(first)}",
    ]
    return ClaimFile(_joined(lines), len(claims), total, len(lines), tuple(changes))


def _order(order: Order, made_on: dt.date, changes: list[Change]) -> Iterator[str]:
    """Yield the records of one assignment, 20…88."""
    if not 1 <= order.number <= MOST_TRANSACTIONS:
        raise ClaimError(f"order number {order.number} is not 1 to {MOST_TRANSACTIONS}")
    if not re.fullmatch(r"[0-9]{11}", order.account):
        raise ClaimError(f"the account is 11 digits, not {order.account!r}")
    if not 1 <= len(order.claims) <= MOST_TRANSACTIONS:
        raise ClaimError(f"an order has 1 to {MOST_TRANSACTIONS} transactions, not {len(order.claims)}")
    records: list[str] = []
    for number, claim in enumerate(order.claims, start=1):
        _must_fit(claim, number, made_on)
        records += _claim(order.kind, number, claim, changes)
    total = sum(claim.amount_ore for claim in order.claims)
    if total > LARGEST_ORE:
        raise ClaimError(f"the sum of {total} øre does not fit")
    days = [claim.due_on for claim in order.claims]
    yield f"NY21{_ORDER[order.kind]}20{0:09}{order.number:07}{order.account}"
    yield from records
    yield (
        f"NY21{_ORDER[order.kind]}88{len(order.claims):08}{len(records) + 2:08}{total:017}"
        f"{_day(min(days))}{_day(max(days))}"
    )


def _must_fit(claim: Claim, number: int, made_on: dt.date) -> None:
    if _KID.fullmatch(claim.kid) is None:
        raise ClaimError(f"a KID is 2 to {KID_WIDTH} digits, not {claim.kid!r}", number)
    if not 0 < claim.amount_ore <= LARGEST_ORE:
        raise ClaimError(f"{claim.amount_ore} øre cannot be claimed", number)
    if not made_on < claim.due_on <= latest_due(made_on):
        raise ClaimError(f"due {claim.due_on} is not after {made_on} and within 12 months of it", number)
    if claim.text and claim.notice != "bank":
        raise ClaimError("text is for what the bank tells of (21)", number)
    if len(claim.text) > TEXT_LINES:
        raise ClaimError(f"{len(claim.text)} lines of text; the most is {TEXT_LINES}", number)


def _claim(kind: Kind, number: int, claim: Claim, changes: list[Change]) -> Iterator[str]:
    """Yield records 30, 31 and 49 of one transaction."""
    code = _CANCEL if kind == "cancellations" else _CODE[claim.notice]
    name = _text(kind, number, "name", claim.name, NAME_WIDTH, changes)
    reference = _text(kind, number, "reference", claim.reference, REFERENCE_WIDTH, changes)
    yield (f"NY21{code}30{number:07}{_day(claim.due_on)}{'':11}{claim.amount_ore:017}{claim.kid:>{KID_WIDTH}}")
    yield f"NY21{code}31{number:07}{name:<{NAME_WIDTH}}{'':25}{reference:<{REFERENCE_WIDTH}}"
    if kind == "cancellations":
        return
    for at, line in enumerate(claim.text, start=1):
        words = _text(kind, number, f"text {at}", line, None, changes)
        if not words:
            raise ClaimError(f"line {at} of the text is empty", number)
        if len(words) > COLUMN_WIDTH * COLUMNS:
            raise ClaimError(f"line {at} of the text has {len(words)} characters; the most is 80", number)
        for column in range(COLUMNS):
            part = words[column * COLUMN_WIDTH : (column + 1) * COLUMN_WIDTH]
            if part.strip():  # a record of blanks is refused: the column is left out
                yield f"NY21{code}49{number:07}4{at:03}{column + 1}{part:<{COLUMN_WIDTH}}"


def _text(kind: Kind, number: int, field: str, given: str, width: int | None, changes: list[Change]) -> str:
    out = written(given, width)
    if out.changed or out.cut:
        changes.append(Change(kind, number, field, out.changed, out.cut))
    return out.text


def _day(day: dt.date) -> str:
    return f"{day:%d%m%y}"


def _joined(records: Sequence[str]) -> bytes:
    """Records filled with zeros to 80 characters, each ended by CR LF."""
    assert all(len(record) <= RECORD_LENGTH for record in records)
    return "".join(f"{record:0<{RECORD_LENGTH}}\r\n" for record in records).encode("iso-8859-1")
