"""From a file as read to the payments that it says happened: pure.

A transaction is named by account, OCR agreement, assignment number, settlement date and transaction number: the
clearing house does not use an assignment number again for an agreement within a year, so the same assignment in
another file gives the same key.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from typing import NamedTuple

from billing.payments.ocr import Assignment, OcrFault, OcrFile, OcrFileError, Transaction

_NO_DATE = "undated"


class Incoming(NamedTuple):
    """A payment to be, column by column as it is copied.

    ``kid`` as it came ("" for none), ``look_up`` as documents write it; ``why`` is set when it must wait in suspense
    whatever its KID says.
    """

    line: int
    key: str
    account: str
    kind: str
    amount_ore: int
    kid: str
    look_up: str | None
    value_date: dt.date
    archive_ref: str | None
    debit_account: str | None
    text: str | None
    why: str | None


def normalised(kid: str) -> str | None:
    """Return a KID as documents write it, None where there is none.

    The field is 25 positions wide and some banks fill it with zeros; ours never begins with one.
    """
    return kid.strip().lstrip("0") or None


def check_dates(file: OcrFile, latest: dt.date) -> None:
    """Raise OcrFileError at the first line of payments that is dated later than ``latest`` (itself allowed).

    One such date would say that the account has been read that far, and nobody would wait for the bank's files again.
    """
    dated = [(f.line, f.clearing_date) for f in file.faults if f.clearing_date]
    for transmission in file.transmissions:
        for assignment in transmission.assignments:
            dated += [(t.line, t.clearing_date) for t in assignment.transactions]
            end = assignment.line + assignment.lines - 1
            dated += [(end, day) for day in (assignment.date, assignment.last_date) if day]
    wrong = min(((line, day) for line, day in dated if day > latest), default=None)
    if wrong is not None:
        raise OcrFileError(wrong[0], f"the date {wrong[1]} is too far ahead; the latest that can be is {latest}")


def payments(file: OcrFile, accounts: Collection[str], received_on: dt.date) -> Iterator[Incoming]:
    """Yield every payment of the file, unreadable ones too: their money has arrived, so it waits in suspense.

    ``accounts`` are ours; money on another account waits in suspense. ``received_on`` dates what has no date.
    """
    for transmission in file.transmissions:
        for assignment in transmission.assignments:
            ours = assignment.account in accounts
            for transaction in assignment.transactions:
                yield _payment(assignment, transaction, ours)
    for fault in file.faults:
        if fault.number is not None and fault.amount_ore:
            yield _unreadable(fault, received_on)


def _key(account: str, agreement: str, assignment: int, on: dt.date | None, number: int) -> str:
    return f"{account}/{agreement}/{assignment}/{on.isoformat() if on else _NO_DATE}/{number}"


def _payment(assignment: Assignment, transaction: Transaction, ours: bool) -> Incoming:
    return Incoming(
        line=transaction.line,
        key=_key(
            assignment.account,
            assignment.agreement_id,
            assignment.number,
            transaction.clearing_date,
            transaction.number,
        ),
        account=assignment.account,
        kind=f"{transaction.type:02}",
        amount_ore=transaction.amount_ore,
        kid=transaction.kid,
        look_up=normalised(transaction.kid),
        value_date=transaction.value_date,
        archive_ref=(transaction.archive_ref.strip("0") and transaction.archive_ref) or None,
        debit_account=transaction.debit_account,
        text=transaction.text,
        why=None if ours else "foreign_account",
    )


def _unreadable(fault: OcrFault, received_on: dt.date) -> Incoming:
    assert fault.number is not None and fault.amount_ore is not None  # noqa: PT018 - payments() has looked
    return Incoming(
        line=fault.line,
        key=_key(fault.account, fault.agreement_id, fault.assignment_number, fault.clearing_date, fault.number),
        account=fault.account,
        kind=f"{fault.type or 0:02}",
        amount_ore=fault.amount_ore,
        kid="",
        look_up=None,
        value_date=fault.clearing_date or received_on,
        archive_ref=None,
        debit_account=None,
        text="\n".join((f"line {fault.line}: {fault.text}", *fault.records)),
        why="unreadable",
    )


def notes(file: OcrFile, accounts: Collection[str]) -> list[str]:
    """Return what an operator should know of a file that was booked."""
    said = [
        f"line {a.line}: account {a.account} is not one of ours; its {len(a.transactions)} payments wait in suspense"
        for t in file.transmissions
        for a in t.assignments
        if a.account not in accounts
    ]
    return said + [f"line {fault.line}: {fault.text}" for fault in file.faults]
