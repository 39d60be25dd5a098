"""Fetch a charger's files from its server into its inbox here, and clear away there what has been taken.

A file is fetched when it looks the same in two listings some time apart, under a name with ``.part``, and gets its name
here when it has the size listed; it keeps its time, by which it is known again. It is removed (or moved) there only
when what it holds is stored, and only while it still is the file that was fetched.
"""

from __future__ import annotations

import os
import time
from pathlib import PurePosixPath

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from billing.roadside.exchange.models import Incoming
from billing.roadside.exchange.outgoing import send_file
from billing.roadside.exchange.rules import LONGEST_NAME, answer_name, shown_name
from billing.roadside.exchange.world import IN, LONGEST_ERROR, Look, failed, lying
from config.clock import business_now, now_utc
from config.sftp import ExchangeError, RemoteFile, Sftp

NS = 1_000_000_000
log = structlog.get_logger(__name__)


def pull(look: Look, there: Sftp) -> None:
    """Fetch what is there whole, as many as one look takes. Of each that fails its row says why; it ends when the
    connection does. Raises ExchangeError where the folder cannot be looked at."""
    assert look.exchange.remote_in is not None
    fetched, here = 0, lying(look)
    for remote in _steady(look, there, look.exchange.remote_in):
        if there.broken:
            return
        row = _row(look, remote)
        if row.state != "coming" or (row.next_at is not None and row.next_at > now_utc()):
            continue
        if why := _unwanted(look, remote):
            _leave(look, row, why)
            continue
        if fetched >= look.settings.exchange_max_files:
            continue
        fetched += 1
        try:
            _fetch(look, there, remote, here)
        except OSError as error:
            with look.sessions.begin() as session:
                failed(look, session.get_one(Incoming, row.id), "fetch", error)


def _steady(look: Look, there: Sftp, folder: str) -> list[RemoteFile]:
    """Return the files that look the same in two listings. Where all have rows already, one is enough."""
    before = there.listing(folder)
    if before and look.settings.exchange_settle_seconds and not _all_known(look, before):
        time.sleep(look.settings.exchange_settle_seconds)
    if not before:
        return []
    after = set(there.listing(folder))
    return [one for one in before if one in after]


def _all_known(look: Look, found: list[RemoteFile]) -> bool:
    with look.sessions() as session:
        query = select(Incoming.name, Incoming.size, Incoming.mtime_ns).where(
            Incoming.charger_id == look.charger.id, Incoming.way == "sftp", Incoming.state != "done",
            Incoming.name.in_([shown_name(one.name) for one in found]),
        )  # fmt: skip
        known = {tuple(row) for row in session.execute(query)}
    return all((shown_name(one.name), one.size, one.mtime * NS) in known for one in found)


def _row(look: Look, remote: RemoteFile) -> Incoming:
    """Return the row of a file that lies there, a new one where it has none."""
    with look.sessions.begin() as session:
        seen = {
            "charger_id": look.charger.id, "way": "sftp", "name": shown_name(remote.name), "size": remote.size,
            "mtime_ns": remote.mtime * NS,
        }  # fmt: skip
        session.execute(insert(Incoming).values(**seen, seen_at=business_now(session)).on_conflict_do_nothing())
        return session.scalars(select(Incoming).filter_by(**seen, inode=0).where(Incoming.state != "done")).one()


def _unwanted(look: Look, remote: RemoteFile) -> str | None:
    """Say why a file cannot be fetched, and must be left where it is; None for one that can."""
    most = look.settings.max_passage_file_bytes
    if remote.size > most:
        return f"is over {most} bytes (MAX_PASSAGE_FILE_BYTES)"
    if shown_name(remote.name) != remote.name:
        log.error("exchange.unusable_name", charger=look.charger.code, name=ascii(remote.name)[:300])
        look.counts["alarms"] += 1
        return f"its name holds characters that cannot be printed, or is over {LONGEST_NAME} bytes: {remote.name!a}"
    return None


def _leave(look: Look, row: Incoming, why: str) -> None:
    """Refuse a file that cannot be fetched, and leave it where it is."""
    with look.sessions.begin() as session:
        row = session.get_one(Incoming, row.id)
        now = business_now(session)
        row.state, row.outcome, row.taken_at, row.error = "left", "refused", now, why[:LONGEST_ERROR]
        name = answer_name(row.name, ".refused.json")
        send_file(session, look.charger.id, "refusal", str(row.id), name, now, form="json")
    look.counts["refused"] += 1


def _fetch(look: Look, there: Sftp, remote: RemoteFile, here: set[tuple[str, int, int]]) -> None:
    inbox = look.folder / IN
    inbox.mkdir(parents=True, exist_ok=True)
    target, unfinished = inbox / remote.name, inbox / f".{remote.name}.part"
    if (remote.name, remote.size, remote.mtime * NS) in here:
        return
    if target.exists():
        raise ExchangeError(f"another file called {remote.name} lies in the inbox; it must be taken first")
    unfinished.unlink(missing_ok=True)
    path = f"{look.exchange.remote_in}/{remote.name}"
    with unfinished.open("wb") as out:
        there.fetch(path, out, remote.size)
        out.flush()
        os.fsync(out.fileno())
    if there.stat(path) != remote:
        unfinished.unlink()
        raise ExchangeError(f"{remote.name} changed while it was fetched")
    os.utime(unfinished, ns=(remote.mtime * NS, remote.mtime * NS))
    unfinished.rename(target)
    look.counts["fetched"] += 1


def taken(look: Look) -> list[Incoming]:
    """Return the files that are taken, lie here in ``done`` or ``refused``, and have not been cleared away there."""
    with look.sessions() as session:
        query = select(Incoming).where(
            Incoming.charger_id == look.charger.id, Incoming.way == "sftp", Incoming.state == "taken"
        )
        rows = list(session.scalars(query.order_by(Incoming.id).limit(look.settings.exchange_max_files)))
    # One that has not been moved on here is kept by the other side until it has.
    here = lying(look)
    return [row for row in rows if (row.name, row.size, row.mtime_ns) not in here]


def clear(look: Look, there: Sftp) -> None:
    """Remove or move there what has been taken. Of each that fails its row says why."""
    for row in taken(look):
        if there.broken:
            return
        if row.next_at is not None and row.next_at > now_utc():
            continue
        try:
            _clear(look, there, row)
        except OSError as error:
            with look.sessions.begin() as session:
                failed(look, session.get_one(Incoming, row.id), "clear away", error)
            continue
        with look.sessions.begin() as session:
            done = session.get_one(Incoming, row.id)
            done.state, done.attempts, done.next_at = "done", 0, None


def _clear(look: Look, there: Sftp, row: Incoming) -> None:
    path = f"{look.exchange.remote_in}/{row.name}"
    remote = there.stat(path)
    if remote is None or (remote.size, remote.mtime * NS) != (row.size, row.mtime_ns):
        return  # it was cleared away before we died, or it is another file by now
    folder = look.exchange.remote_done
    if folder is None:
        there.remove(path)
        return
    target = f"{folder}/{row.name}"
    if there.stat(target) is not None:
        name = PurePosixPath(row.name)
        target = f"{folder}/{name.stem}-{row.id}{name.suffix}"
    there.move(path, target)
