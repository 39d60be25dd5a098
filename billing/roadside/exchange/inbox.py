"""The watched folder of a charger: what lies in ``in`` is taken, answered, and moved to ``done`` or ``refused``.

While it is being taken it lies in a folder of ours (``TAKING``), and what is booked is a copy of what it held.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
from pathlib import Path
from typing import BinaryIO

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.passages.models import Batch
from billing.payments.inbox import whole_files
from billing.roadside.exchange.models import Incoming
from billing.roadside.exchange.outgoing import resend, send_answers, send_file
from billing.roadside.exchange.route import HOOKS, ISO, PERIOD_OPEN, Noted, Routed, not_yet, route
from billing.roadside.exchange.rules import answer_name, safe_name, shown_name
from billing.roadside.exchange.world import IN, TAKING, Look, failed, lying, name_of
from billing.roadside.files import held
from billing.roadside.receive import Origin, Received, receive
from config.clock import business_now, now_utc
from config.problems import Conflict, Problem, TooLarge

log = structlog.get_logger(__name__)

DONE, REFUSED = "done", "refused"
LONGEST_REASON = 1000
_PERIODS = dt.timedelta(minutes=15)
"""How often one asks whether a claim's period has ended."""


def take_all(look: Look) -> None:
    """Take the files that lie in the inbox whole, by name, as many as one look takes; first those that were begun
    with. One that waits for its time, or for another's, takes no other's place."""
    _forget_gone(look)
    settle = look.settings.exchange_settle_seconds
    left = look.settings.exchange_max_files
    for path in [*whole_files(look.folder / TAKING, settle), *whole_files(look.folder / IN, settle)]:
        if not left:
            return
        left -= _tried(look, path)


def _tried(look: Look, path: Path) -> bool:
    """Take a file; say whether it had its turn, however that ended."""
    try:
        row = _row(look, path)
    except FileNotFoundError:  # taken away since it was listed
        return False
    if row.next_at is not None and row.next_at > now_utc():
        look.counts["wait"] += not row.attempts
        return False
    waited = look.counts["wait"]
    try:
        if path.parent.name == IN:
            path = _make_ours(look, path)
            row = _row(look, path)  # another one, where another file had come under the name
        if row.state == "coming":
            row = _take(look, path, row)
        if row.state == "taken":
            _move(look, path, row)
    except Exception as error:  # the file stays where it is, and its neighbours are not kept waiting
        if isinstance(error, FileNotFoundError) and not path.exists():
            log.info("exchange.gone", charger=look.charger.code, file=row.name)  # the next look closes its row
            return False
        with look.sessions.begin() as session:
            failed(look, session.get_one(Incoming, row.id), "take", error)
    return look.counts["wait"] == waited


def _make_ours(look: Look, path: Path) -> Path:
    """Move a file to where nobody else writes, before anything of it is read: what comes under its name from then on is
    another file. If we die, it is found there."""
    folder = look.folder / TAKING
    folder.mkdir(exist_ok=True)
    target = folder / f"{secrets.token_hex(8)}_{shown_name(path.name)}"
    os.rename(path, target)  # noqa: PTH104 - Path.rename is the same; this one says that nothing else happens
    return target


def _forget_gone(look: Look) -> None:
    """Close the rows of files that lie here no more: moved before we died, or taken away by somebody."""
    here = lying(look)
    with look.sessions.begin() as session:
        query = select(Incoming).where(
            Incoming.charger_id == look.charger.id, Incoming.way == "inbox", Incoming.state.in_(("coming", "taken"))
        )
        for row in session.scalars(query):
            if (row.name, row.size, row.mtime_ns) not in here:
                row.outcome = row.outcome or "gone"
                row.state, row.next_at = "done", None


def _row(look: Look, path: Path) -> Incoming:
    """Return the row of a file in the inbox: of what was fetched from the server, if it is that, else its own."""
    status = path.stat()
    looks = {
        "charger_id": look.charger.id, "name": name_of(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns,
    }  # fmt: skip
    with look.sessions.begin() as session:
        fetched = select(Incoming).filter_by(**looks, way="sftp").where(Incoming.state.in_(("coming", "taken")))
        row = session.scalar(fetched)
        if row is not None:
            return row
        own = looks | {"way": "inbox", "inode": status.st_ino}
        known = select(Incoming).filter_by(**own).where(Incoming.state != "done")
        if (row := session.scalar(known)) is not None:
            return row
        session.execute(insert(Incoming).values(**own, seen_at=business_now(session)).on_conflict_do_nothing())
        return session.scalars(known).one()


def _take(look: Look, path: Path, row: Incoming) -> Incoming:
    """Store what a file holds and have it answered; return its row, still ``coming`` when it must wait."""
    try:
        if row.size > look.settings.max_passage_file_bytes:
            raise TooLarge(f"{row.name} is over {look.settings.max_passage_file_bytes} bytes (MAX_PASSAGE_FILE_BYTES).")
        with held(path, (row.size, row.mtime_ns)) as stream:
            routed = route(stream, row.name, look.exchange.form)
            if routed.what != "records":
                return _note(look, stream, row, routed)
            origin = Origin(row.name, row.way)
            received = receive(look.sessions, look.charger.code, stream, form=routed.form, origin=origin)
    except Problem as problem:
        if isinstance(problem, Conflict) and not_yet(problem):
            look.counts["wait"] += 1
            return _later(look, row, problem)
        return _refuse(look, row, problem)
    return _booked(look, row, received)


def _later(look: Look, row: Incoming, problem: Conflict) -> Incoming:
    """Let a file wait. What waits for its period to end does so for days: it is not copied and read each minute."""
    if problem.type != PERIOD_OPEN:
        return row
    with look.sessions.begin() as session:
        kept = session.get_one(Incoming, row.id)
        kept.next_at = now_utc() + _PERIODS
        return kept


def _booked(look: Look, row: Incoming, received: Received) -> Incoming:
    """Write down that a file of records is booked, and that its answers are to be sent: in one commit."""
    with look.sessions.begin() as session:
        now = business_now(session)
        answer = send_answers(session, session.get_one(Batch, received.batch_id), now)
        if again := answer.state == "sent":  # the same file by another name or time: answered with the same bytes
            resend(session, answer.id, now=now)
        kept = _taken(session, row, "records", "again" if again else "booked")
        kept.batch_id = received.batch_id
    look.counts["booked"] += not again
    look.counts["again"] += again
    return kept


def _note(look: Look, stream: BinaryIO, row: Incoming, routed: Routed) -> Incoming:
    """Take what is not records, in one commit with its row."""
    most = look.settings.max_body_bytes
    if row.size > most:
        raise TooLarge(f"{row.name} is over {most} bytes (MAX_BODY_BYTES).")
    with look.sessions.begin() as session:
        noted = Noted(row.name, routed.form, stream.read())
        said = HOOKS[routed.what](session, look.charger, noted, business_now(session))
        kept = _taken(session, row, routed.what, "noted")
    log.info("exchange.noted", charger=look.charger.code, file=row.name, said=said)
    look.counts["noted"] += 1
    return kept


def _refuse(look: Look, row: Incoming, problem: Problem) -> Incoming:
    """Write down that a file is refused, and that its charger is to be told: in one commit."""
    lines = [error["line"] for error in problem.errors if isinstance(error.get("line"), int)]
    xml = row.name.lower().endswith(".xml") or look.exchange.form == ISO
    with look.sessions.begin() as session:
        kept = _taken(session, row, row.what, "refused")
        # What is quoted from the file may hold what a column cannot.
        kept.error, kept.line = problem.detail.replace("\0", "\ufffd")[:LONGEST_REASON], lines[0] if lines else None
        kept.batch_id = _refused_batch(session, look, row)
        name = answer_name(row.name, ".refused.xml" if xml else ".refused.json")
        now, form = business_now(session), ISO if xml else "json"
        send_file(session, look.charger.id, "refusal", str(row.id), name, now, form=form)
    log.warning("exchange.refused", charger=look.charger.code, file=row.name, reason=problem.detail)
    look.counts["refused"] += 1
    return kept


def _refused_batch(session: Session, look: Look, row: Incoming) -> int | None:
    """Return the batch that a refused file was kept as, if it came that far."""
    query = select(Batch.id).where(
        Batch.charger_id == look.charger.id, Batch.state == "refused", Batch.name == row.name, Batch.bytes == row.size
    )
    return session.scalar(query.order_by(Batch.id.desc()).limit(1))


def _taken(session: Session, row: Incoming, what: str | None, outcome: str) -> Incoming:
    kept = session.get_one(Incoming, row.id)
    kept.state, kept.what, kept.outcome, kept.taken_at = "taken", what, outcome, business_now(session)
    kept.attempts, kept.next_at, kept.error = 0, None, None
    return kept


def _move(look: Look, path: Path, row: Incoming) -> None:
    """Move a file that is taken to where it is kept, never over another; one from a server is done when it is cleared
    away there. One that was written to since it was read is another file: it stays, and is taken when it is whole."""
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (row.size, row.mtime_ns):
        refused = row.outcome == "refused"
        folder = look.folder / (REFUSED if refused else DONE)
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / safe_name(row.name)
        if target.exists():
            target = folder / f"{target.stem}-{row.id}{target.suffix}"
        if refused:
            target.with_name(f"{target.name}.reason.txt").write_text(f"{row.error}\n", "utf-8")
        os.rename(path, target)  # noqa: PTH104 - as above
    else:
        log.warning("exchange.written_after", charger=look.charger.code, file=row.name)
    if row.way == "inbox":
        with look.sessions.begin() as session:
            session.get_one(Incoming, row.id).state = "done"
