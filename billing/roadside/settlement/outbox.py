"""The bank's outbox: released orders as files, each whole when its name appears, and put there once.

The name and the bytes of an order never change, and neither does its message id, by which a bank refuses a file that
it has had. A file is named only when it is whole (written beside, synced, linked); after a crash between that and our
commit it is found to be there, and left alone.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import structlog

from billing.roadside.settlement.models import ChargerOrder
from billing.roadside.settlement.order import unwritten
from config.clock import business_now
from config.jobs import JobContext

log = structlog.get_logger(__name__)


class OtherContent(RuntimeError):
    """A file of the order's name lies in the outbox and holds something else; a person must look."""


def file_name(end_to_end_id: str) -> str:
    """Return what an order's file is called in the outbox."""
    return f"brikke-{end_to_end_id}.xml"


def put(folder: Path, name: str, content: bytes) -> bool:
    """Put a file into a folder under its name, whole or not at all; False when it lies there already.

    Raises OtherContent; OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target, beside = folder / name, folder / f".{name}.{os.getpid()}.tmp"
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(beside, target)  # a rename would write over what is there
        except FileExistsError:
            if target.read_bytes() != content:
                raise OtherContent(f"{target} holds another order") from None
            return False
    finally:
        beside.unlink(missing_ok=True)
    _sync(folder)
    return True


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Put every released order into the outbox; each is noted in a transaction of its own. The job runs alone."""
    with ctx.sessions() as session:
        waiting = unwritten(session)
    for order_id in waiting:
        with ctx.sessions() as session:
            row = session.get_one(ChargerOrder, order_id)
            name, content = file_name(row.end_to_end_id), row.content
        if content is None:
            raise ValueError(f"order {order_id} is released and has no file")
        put(ctx.settings.bank_outbox, name, content)
        with ctx.sessions.begin() as session:
            row = session.get_one(ChargerOrder, order_id, with_for_update=True)
            if row.state == "released":
                row.state = "written"
            row.written_at = row.written_at or business_now(session)
        log.info("bank_outbox.written", file=name)
    return {"written": len(waiting)}
