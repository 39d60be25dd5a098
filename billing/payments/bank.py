"""Receive a bank file: booked whole or refused whole, and never twice."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.settle import Leftover, allocate_query
from billing.claims.standing import recompute_query
from billing.delivery.avtalegiro.mandate_file import read_mandates
from billing.delivery.avtalegiro.mandates import take_mandates
from billing.passages.balances import lock_query
from billing.payments import incoming, match, reversals
from billing.payments.match import Contradiction, Waiting
from billing.payments.ocr import OcrFile, OcrFileError, read_ocr
from config.clock import business_date
from config.problems import TooLarge
from config.rates import whole

# Shorter than any line the reader takes: the limit in bytes is the one that counts.
_SHORTEST_LINE = 80


@dataclass(frozen=True)
class BankResult:
    """What came of a file. Sums in øre.

    ``state``: booked, refused (nothing was booked; ``error`` at ``line`` says why) or already (the same bytes were
    booked before; the figures are of then). ``payments`` new ones of ``transactions`` in the file, ``repeated``
    were known from another file. ``matched`` settled claims, ``credit_ore`` was too much for them, ``suspense``
    wait for somebody.
    """

    state: Literal["booked", "refused", "already"]
    file_id: int
    name: str
    transactions: int = 0
    sum_ore: int = 0
    payments: int = 0
    repeated: int = 0
    matched: int = 0
    matched_ore: int = 0
    credit_ore: int = 0
    suspense: int = 0
    suspense_ore: int = 0
    taken_back: int = 0
    standings: int = 0
    error: str | None = None
    line: int | None = None
    notes: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """Return it as the API and the command line show it."""
        return asdict(self)


def receive(
    session: Session,
    name: str,
    content: bytes,
    now: dt.datetime,
    *,
    accounts: Collection[str],
    max_bytes: int,
    actor: str = "bank",
) -> BankResult:
    """Read a file and book it, all in the caller's transaction, which must be committed also when it is refused.

    ``accounts`` are ours (11 digits). The same bytes again change nothing; a file that was refused is tried again.
    Raises TooLarge above ``max_bytes``.
    """
    if len(content) > max_bytes:
        raise TooLarge(f"The file has {len(content)} bytes; the most is {max_bytes} (MAX_BANK_FILE_BYTES).")
    match.take_turn(session)
    digest = hashlib.sha256(content).digest()
    known = session.execute(
        text("SELECT id, name, transactions, sum_ore FROM bank_files WHERE sha256 = :digest AND state = 'booked'"),
        {"digest": digest},
    ).one_or_none()
    if known is not None:
        return BankResult("already", known.id, known.name, known.transactions, known.sum_ore)
    return _book(session, digest, name, content, now, accounts, max_bytes, actor)


def _book(
    session: Session,
    digest: bytes,
    name: str,
    content: bytes,
    now: dt.datetime,
    accounts: Collection[str],
    max_bytes: int,
    actor: str,
) -> BankResult:
    """Book a file that is new, or keep it as refused."""
    today = business_date(now)
    max_lines = max_bytes // _SHORTEST_LINE + 1
    try:
        file = read_ocr(content, max_bytes=max_bytes, max_lines=max_lines)
        if file.other_assignments:  # a file is taken whole: its mandates must be readable before anything is booked
            read_mandates(content, max_bytes=max_bytes, max_lines=max_lines)
        incoming.check_dates(file, today + dt.timedelta(days=whole("bank_max_days_ahead", today)))
        count = match.stage(session, incoming.payments(file, accounts, today))
    except (OcrFileError, Contradiction) as error:
        file_id = _keep(session, digest, name, content, now, error=error)
        return BankResult("refused", file_id, name, error=error.message, line=error.line)
    total = sum(a.sum_ore for t in file.transmissions for a in t.assignments)
    transactions = sum(len(a.transactions) for t in file.transmissions for a in t.assignments)
    transactions += sum(1 for fault in file.faults if fault.number is not None)
    file_id = _keep(session, digest, name, content, now, transactions=transactions, sum_ore=total)
    _cover(session, file_id, file, through=today - dt.timedelta(days=1))
    inserted = match.insert(session, file_id, today, now)
    session.execute(
        text("UPDATE bank_files SET repeated = :repeated WHERE id = :id"),
        {"repeated": transactions - inserted.count, "id": file_id},
    )
    result = BankResult(
        "booked",
        file_id,
        name,
        transactions=transactions,
        sum_ore=total,
        payments=inserted.count,
        repeated=count - inserted.count,
        matched=inserted.matched,
        matched_ore=inserted.matched_ore,
        notes=incoming.notes(file, accounts),
    )
    result = _settle(session, result, inserted.waiting, today, now, actor)
    return _mandates(session, result, content, accounts, max_bytes, now) if file.other_assignments else result


def _mandates(
    session: Session,
    result: BankResult,
    content: bytes,
    accounts: Collection[str],
    max_bytes: int,
    now: dt.datetime,
) -> BankResult:
    """Take the AvtaleGiro mandates that the file holds beside payments; return the result with what is to be told."""
    taken = take_mandates(session, content, now, name=result.name, accounts=accounts, max_bytes=max_bytes)
    told = (
        f"AvtaleGiro mandates: {taken.begun} begun, {taken.changed} changed, {taken.deleted + taken.missing} ended, "
        f"{len(taken.unknown)} of no agreement of ours"
    )
    return replace(result, notes=list(dict.fromkeys([*result.notes, told, *taken.notes])))


def _keep(
    session: Session,
    digest: bytes,
    name: str,
    content: bytes,
    now: dt.datetime,
    *,
    error: OcrFileError | Contradiction | None = None,
    transactions: int = 0,
    sum_ore: int = 0,
) -> int:
    """Keep the file as received, booked or refused; return its id. One refused before becomes what it is now."""
    file_id: int = session.execute(
        text(
            "INSERT INTO bank_files "
            "(sha256, name, content, received_at, state, error, error_line, transactions, sum_ore) "
            "VALUES (:digest, :name, :content, :now, :state, :error, :line, :transactions, :sum) "
            "ON CONFLICT (sha256) DO UPDATE SET state = excluded.state, error = excluded.error, "
            "error_line = excluded.error_line, transactions = excluded.transactions, sum_ore = excluded.sum_ore, "
            "received_at = excluded.received_at WHERE bank_files.state = 'refused' RETURNING id"
        ),
        {
            "digest": digest,
            "name": name,
            "content": content,
            "now": now,
            "state": "refused" if error else "booked",
            "error": error.message if error else None,
            "line": error.line if error else None,
            "transactions": transactions,
            "sum": sum_ore,
        },
    ).scalar_one()
    return file_id


def _cover(session: Session, file_id: int, file: OcrFile, *, through: dt.date) -> None:
    """Note through which value date each account has now been read, and the assignment's number.

    An assignment without any date, of its own or of its transmission, tells nothing.
    Never later than ``through``, the day before the file is read: a payment may be dated ahead, and what is paid on a
    day that is not over, or has not begun, cannot all be in a file yet.
    """
    rows = [
        {
            "file": file_id,
            "line": a.line,
            "agreement": a.agreement_id,
            "number": str(a.number),
            "account": a.account,
            "last": min(last, through),
            "sum": a.sum_ore,
        }
        for t in file.transmissions
        for a in t.assignments
        if (last := a.last_date or a.date or t.date)
    ]
    if rows:
        session.execute(
            text(
                "INSERT INTO bank_assignments (bank_file_id, line, agreement_ref, number, account, last_date, sum_ore) "
                "VALUES (:file, :line, :agreement, :number, :account, :last, :sum)"
            ),
            rows,
        )


_MATCHED = "FROM payments WHERE bank_file_id = :file AND state = 'settled' AND claim_id IS NOT NULL AND amount_ore > 0"
_ASKED = f"SELECT claim_id, 'payment' AS source, id AS source_id, amount_ore, value_date, line AS position {_MATCHED}"
_TOUCHED = f"SELECT agreement_id {_MATCHED} UNION SELECT unnest(CAST(:others AS bigint[]))"


def _settle(
    session: Session, result: BankResult, waiting: Sequence[Waiting], today: dt.date, now: dt.datetime, actor: str
) -> BankResult:
    """Let the new payments do what they are for; return the result with what came of it."""
    undoings = reversals.find(session, waiting)
    others = [u.agreement_id for u in undoings if u.agreement_id is not None]
    touched: dict[str, Any] = {"file": result.file_id, "others": others}
    lock_query(session, _TOUCHED, touched)
    leftovers = allocate_query(session, _ASKED, {"file": result.file_id}, today, now)
    gains = _gains(session, leftovers)
    credit.add(session, gains, "overpaid", today, now)
    reversals.undo(session, undoings, today, now)
    credit.use(session, credit.past_due(session, [gain.agreement_id for gain in gains], today), today, now)
    changes = recompute_query(session, _TOUCHED, touched, today, now, actor)
    left = session.execute(
        text(
            "SELECT count(*) AS n, coalesce(sum(amount_ore), 0)::bigint AS ore FROM payments "
            "WHERE bank_file_id = :file AND state = 'suspense'"
        ),
        {"file": result.file_id},
    ).one()
    return replace(
        result,
        credit_ore=sum(gain.amount_ore for gain in gains),
        suspense=left.n,
        suspense_ore=left.ore,
        taken_back=len(undoings),
        standings=len(changes),
    )


def _gains(session: Session, leftovers: Sequence[Leftover]) -> list[credit.Gain]:
    """Return what was too much for its claim as credit of the claim's agreement."""
    rows = session.execute(
        text("SELECT id, agreement_id FROM claims WHERE id = ANY(:ids)"),
        {"ids": [left.settlement.claim_id for left in leftovers]},
    )
    owners = {row.id: row.agreement_id for row in rows}
    return [
        credit.Gain(
            owners[left.settlement.claim_id], left.settlement.source_id, left.amount_ore, left.settlement.value_date
        )
        for left in leftovers
    ]
