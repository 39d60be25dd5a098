"""The watched folder: files that the bank's transfer puts there are read and moved aside.

``done/`` and ``refused/`` lie beside the files; a refused one gets a ``.txt`` saying why. A file is moved after its
transaction has been committed: if we die in between it is found again, recognised as done, and moved then.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from billing.delivery.avtalegiro.answers import take_receipt
from billing.delivery.avtalegiro.receipts import ReceiptError, is_receipt
from billing.payments.bank import BankResult, receive
from billing.payments.match import take_turn
from config.clock import business_now, now_utc
from config.jobs import JobContext, ring

log = structlog.get_logger(__name__)

DONE, REFUSED = "done", "refused"
# Names that transfer programs give to what is still coming.
UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
SETTLE_SECONDS = 0.2


@dataclass(frozen=True)
class _Seen:
    path: Path
    size: int
    changed: int


def whole_files(folder: Path, settle_seconds: float = SETTLE_SECONDS) -> list[Path]:
    """Return the files that are there whole, by name: not hidden, not named as unfinished, not growing.

    One that changed less than ``settle_seconds`` ago is looked at again when that time has passed.
    """
    before = _look(folder)
    if before:
        age = now_utc().timestamp() - max(seen.changed for seen in before) / 1e9
        time.sleep(min(max(settle_seconds - age, 0), settle_seconds))
    after = {(seen.path, seen.size, seen.changed) for seen in _look(folder)}
    return [seen.path for seen in before if (seen.path, seen.size, seen.changed) in after]


def _look(folder: Path) -> list[_Seen]:
    found = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.name.startswith(".") or entry.suffix.lower() in UNFINISHED or entry.is_symlink():
            continue
        try:
            stat = entry.stat()
        except FileNotFoundError:  # moved away meanwhile
            continue
        if entry.is_file() and stat.st_size:
            found.append(_Seen(entry, stat.st_size, stat.st_mtime_ns))
    return found


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Read every whole file in the bank's inbox, each in a transaction of its own; say how many of each outcome."""
    folder = ctx.settings.bank_inbox
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"booked": 0, "already": 0, "refused": 0, "payments": 0}
    for path in whole_files(folder):
        if path.stat().st_size > ctx.settings.max_bank_file_bytes:
            counts["refused"] += 1
            _move(path, folder / REFUSED, f"larger than {ctx.settings.max_bank_file_bytes} bytes (MAX_BANK_FILE_BYTES)")
            continue
        content = path.read_bytes()
        if is_receipt(content):
            outcome = _receipt(ctx, path, content)
            counts[outcome] = counts.get(outcome, 0) + 1
            continue
        result = _read(ctx, path, content)
        counts[result.state] += 1
        counts["payments"] += result.payments
        if result.state == "refused":
            log.warning("bank.refused", file=path.name, line=result.line)
            _move(path, folder / REFUSED, f"line {result.line}: {result.error}")
        else:
            _move(path, folder / DONE, "\n".join(result.notes))
    return dict(counts)


def _receipt(ctx: JobContext, path: Path, content: bytes) -> str:
    """Take a receipt of AvtaleGiro's, and move it; return what came of it."""
    try:
        with ctx.sessions.begin() as session:
            taken = take_receipt(
                session,
                content,
                business_now(session),
                real=now_utc(),
                name=path.name,
                max_bytes=ctx.settings.max_bank_file_bytes,
            )
    except ReceiptError as error:
        log.warning("bank.refused", file=path.name, line=error.line)
        _move(path, ctx.settings.bank_inbox / REFUSED, str(error))
        return "refused"
    _move(path, ctx.settings.bank_inbox / DONE, "\n".join(taken.notes))
    return "already" if taken.state == "already" else "receipts"


def _read(ctx: JobContext, path: Path, content: bytes) -> BankResult:
    with ctx.sessions.begin() as session:
        take_turn(session)  # before the clock is read: another file may take its time
        result = receive(
            session,
            path.name,
            content,
            business_now(session),
            accounts=[ctx.settings.bank_account],
            max_bytes=ctx.settings.max_bank_file_bytes,
        )
        if result.state == "booked":
            ring(session, "overdue")
    return result


def _move(path: Path, folder: Path, why: str) -> None:
    """Move a file aside, never over another of its name, and say why beside it where there is something to say."""
    folder.mkdir(exist_ok=True)
    target, number = folder / path.name, 1
    while True:
        try:
            os.link(path, target)
            break
        except FileExistsError:
            number += 1
            target = folder / f"{path.stem}-{number}{path.suffix}"
    if why:
        target.with_name(target.name + ".txt").write_text(why + "\n", "utf-8")
    path.unlink()
