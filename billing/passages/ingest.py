"""Book a chunk of records: the one transaction in which a record becomes a passage somebody owes.

READ COMMITTED, separate statements, in this order: COPY → match without locks → lock the touched balances in
order of agreement id → look again whether what was matched still holds → records, which is the dedupe →
passages → balances → one transfer a project. Measured to be free of deadlocks and of wrong sums; unordered
locks, or locking and summing in one statement, are not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import Cursor
from sqlalchemy import insert
from sqlalchemy.orm import Session

from billing.ledger.book import book_query
from billing.passages import correct, odd
from billing.passages.backlog.notice import notice, old_before
from billing.passages.balances import lock_query
from billing.passages.batches import Receiving, count_chunk, keep_answers
from billing.passages.incoming import Answer, Chunk, limits_at
from billing.passages.match import is_stale, make_tables, match, obu_to_pan, statements
from billing.passages.models import BatchFault
from billing.passages.partitions import ensure
from billing.passages.rules import COLUMNS, flag_names
from config.clock import business_date
from config.database import raw
from config.jobs import ring

_SQL = statements("book.sql")
_TRIES = 5
_SAMPLE = 16
_RAW_LIMIT = 8_000


class StillChanging(RuntimeError):
    """Registrations of a chunk were changed again and again while it was matched; book it once more."""


@dataclass(frozen=True)
class Booked:
    """What became of a chunk: the answers in order, the agreements whose balance changed, the batch so far; and where
    nothing was taken back as well, what is unbilled of them now (øre)."""

    answers: list[Answer]
    touched: list[int]
    batch: Receiving
    unbilled: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Begun:
    """That a chunk is in its session's temporary tables and matched there, nothing being locked; what was known of it,
    and what oddities are accepted."""

    seen: list[_Known]
    accepted: odd.Accepted


def begin_chunk(session: Session, batch: Receiving, chunk: Chunk) -> Begun | None:
    """Take a chunk in and match it while the one before it is being booked by another session, which ``book_chunk``
    then goes on from in this one. None where it asks what the other may be writing: corrections, and stations that
    are taken in. What else changes meanwhile is looked at again under the locks. Else the session holds every
    table then (ACCESS SHARE)."""
    if chunk.corrects:
        return None
    with raw(session).cursor() as cursor:
        cursor.execute(_SQL["hold"], prepare=False)
        accepted = odd.agreed(cursor, batch.charger.id)
        if accepted["unknown_station"]:
            return None
        seen = _take_in(cursor, chunk, {"charger": batch.charger.id, "batch": batch.batch_id})
        _match(cursor, batch, accepted)
        return Begun(seen, accepted)


def book_chunk(
    session: Session, batch: Receiving, chunk: Chunk, *, now: dt.datetime, begun: Begun | None = None
) -> Booked:
    """Book a chunk and return its answers. The caller commits; then every record of it is answered for good.

    ``now`` is the arrival of its passages; their age is judged as of the batch's arrival, so that a batch which was
    cut short ends as it would have. A record that is here already is ``duplicate`` or ``conflict`` and changes
    nothing. ``begun``: in this session. Raises StillChanging, after which the caller rolls back and may try again;
    AnotherProcess.
    """
    ensure(session, now)
    connection = raw(session)
    params = {"charger": batch.charger.id, "batch": batch.batch_id, "now": now}
    with connection.cursor() as cursor:
        seen = list(begun.seen) if begun is not None else _take_in(cursor, chunk, params)
        accepted, lanes = _match_and_lock(session, cursor, batch, chunk, begun)
        seen += _write_records(cursor, chunk, params, len(seen))
        if lanes:
            odd.keep_lanes_of_refused(cursor, batch.charger.id, batch.batch_id)
            if odd.keep_lanes(cursor, batch.charger.id):
                ring(session, "corrections")
        if not accepted["tag_plate_mismatch"]:
            odd.keep_mismatches(cursor, batch.charger.id)
        cursor.execute(_SQL["passages"], params, prepare=False)
        cursor.execute(_SQL["balances"], params, prepare=False)
        unbilled = dict(cursor.fetchall())
        touched = set(unbilled)
        cursor.execute(_SQL["old"], {"old_before": old_before(now)}, prepare=False)
        notice(session, [row[0] for row in cursor.fetchall()], now=now)
        _book_ledger(session, batch, chunk.number, now)
        cursor.execute(_SQL["answers"], prepare=False)
        found = cursor.fetchall()
        if chunk.corrects:
            taken_back = correct.apply(session, cursor, params, now, actor="charger")
            touched |= set(taken_back)
            unbilled = {one: ore for one, ore in unbilled.items() if one not in set(taken_back)}
            found += correct.answers(cursor)
            seen += correct.said_twice(cursor, params)
    answers = _answers(chunk, found, seen, batch.batch_id)
    after = replace(batch, tally=batch.tally.plus(answers, chunk.amounts))
    _note_faults(session, batch.batch_id, answers, chunk.raws)
    keep_answers(session, batch.batch_id, chunk.number, answers)
    count_chunk(session, batch, after)
    return Booked(answers, sorted(touched), after, unbilled)


def _take_in(cursor: Cursor[Any], chunk: Chunk, params: dict[str, Any]) -> list[_Known]:
    """COPY a chunk in, and take out what is here already, as far as it shows; return that."""
    make_tables(cursor)
    with cursor.copy(f"COPY incoming ({COLUMNS}) FROM STDIN") as copy:
        copy.write(chunk.block)
    if chunk.has_obu_only:
        obu_to_pan(cursor)
    if chunk.lanes:
        odd.take_in_lanes(cursor, chunk.lanes)
    if not chunk.corrects:
        return _known_beforehand(cursor, chunk, params)
    correct.make_tables(cursor)
    if not chunk.lanes:
        odd.make_lanes(cursor)
    return _known(cursor, params) + correct.take_in(cursor, chunk.corrections, params)


def _match(cursor: Cursor[Any], batch: Receiving, accepted: odd.Accepted) -> None:
    oldest = odd.EVER if accepted["too_old"] else limits_at(batch.received_at).oldest
    match(cursor, batch.charger, oldest)
    odd.after_matching(cursor, batch.charger.id, accepted)


def _match_and_lock(
    session: Session, cursor: Cursor[Any], batch: Receiving, chunk: Chunk, begun: Begun | None
) -> tuple[odd.Accepted, bool]:
    """Match, lock, look again. What changed in between is matched anew, the locks given back first: they
    belong to the savepoint, and new agreements may have lower ids than those held. Return what oddities are accepted,
    and whether there are lanes."""
    charger = batch.charger
    accepted = begun.accepted if begun is not None else odd.agreed(cursor, charger.id)
    odd.before_matching(cursor, charger.id, accepted)
    touched = "SELECT agreement_id FROM matched WHERE code = 'accepted'"
    if chunk.lanes or chunk.corrects:
        touched = f"{touched} UNION ALL {odd.FAMILIES}"
    for turn in range(_TRIES):
        if begun is not None and turn == 1:
            cursor.execute("DELETE FROM matched")
        cursor.execute("SAVEPOINT matching")
        if begun is None or turn:
            _match(cursor, batch, accepted)
        if chunk.corrects:
            correct.judge(cursor, charger.id)
        lock_query(session, f"{touched} UNION ALL {correct.LOCKED_TOO}" if chunk.corrects else touched, {})
        if not is_stale(cursor, charger) and not (chunk.corrects and correct.is_stale(cursor)):
            lanes = _without_doubles(cursor, batch, accepted, chunk)
            cursor.execute("RELEASE SAVEPOINT matching")
            return accepted, lanes
        cursor.execute("ROLLBACK TO SAVEPOINT matching")
    raise StillChanging("vehicles of this batch are being changed all the time; send it again")


def _without_doubles(cursor: Cursor[Any], batch: Receiving, accepted: odd.Accepted, chunk: Chunk) -> bool:
    lanes, corrects = bool(chunk.lanes), bool(chunk.corrects)
    if corrects:
        lanes |= odd.lanes_of_corrections(cursor, batch.charger.id)
    if lanes:
        odd.without_doubles(cursor, batch.charger.id, accepted, batch.received_at, corrects=corrects)
        if corrects:
            correct.drop_refused(cursor)
    return lanes


def _write_records(cursor: Cursor[Any], chunk: Chunk, params: dict[str, Any], known: int) -> list[_Known]:
    """Write the chunk's records, which is the dedupe; return those that turn out to be here. Raises StillChanging."""
    seen: list[_Known] = []
    if chunk.corrects:
        correct.write_records(cursor, params)
    cursor.execute(_SQL["records"], params, prepare=False)
    if chunk.corrects or cursor.rowcount + known < chunk.sound:
        seen = _known(cursor, params)
        cursor.execute(_SQL["drop_known"], prepare=False)
    if chunk.corrects and correct.raced(cursor, params):
        raise StillChanging("records of this batch came in another one at the same time; send it again")
    return seen


_Known = tuple[int, bool, int, str, int]
"""Position, whether the fields are the same, and where it first stood: batch id, its name, position."""


def _known(cursor: Cursor[Any], params: dict[str, Any]) -> list[_Known]:
    cursor.execute(_SQL["known"], params, prepare=False)
    return cursor.fetchall()


def _known_beforehand(cursor: Cursor[Any], chunk: Chunk, params: dict[str, Any]) -> list[_Known]:
    """Take records that are here already out of a chunk that looks like a resent one, before they cost more.

    A few ids are looked up; a duplicate that this misses is found by the unique key.
    """
    ids = [answer.id for answer in chunk.answers if answer.code == "accepted"]
    sample = ids[:: max(1, len(ids) // _SAMPLE)]
    cursor.execute(_SQL["any_known"], {**params, "sample": sample})
    return _known(cursor, params) if cursor.fetchone() == (True,) else []


def _book_ledger(session: Session, batch: Receiving, number: int, now: dt.datetime) -> None:
    """Book what the chunk's passages are worth: unbilled to the charger's payable, a transfer a project."""
    book_query(
        session,
        "SELECT 'unbilled' AS debit, 0 AS debit_owner, 'payable' AS credit, :charger AS credit_owner, "
        "sum(amount_ore) AS amount_ore, 'passages' AS code, :batch AS ref, "
        "concat(CAST(:chunk AS text), '/', CAST(:charger AS text), '/', project) AS part "
        "FROM matched WHERE code = 'accepted' GROUP BY project",
        {"charger": batch.charger.id, "batch": batch.batch_id, "chunk": number},
        booked_on=business_date(now),
        now=now,
    )


def _answers(
    chunk: Chunk, found: Iterable[tuple[int, str, int, str | None]], seen: Iterable[_Known], own: int
) -> list[Answer]:
    """Return the chunk's answers: those made before the database was asked, and what it said."""
    answers = list(chunk.answers)
    at = {answer.position: index for index, answer in enumerate(answers)}
    for position, code, flags, detail in found:
        index = at[position]
        refused = code not in ("accepted", "other_agreement")
        names = () if refused else flag_names(flags)
        answers[index] = Answer(position, answers[index].id, code, names, None, detail)
    for position, same, batch_id, name, line in seen:
        index = at[position]
        # Of its own file without the number, which would be another one had the file been begun anew.
        where = f"first in {'this file' if batch_id == own else f'batch {batch_id}'} ({name}), line {line}"
        detail = where if same else f"other fields than {where}"
        answers[index] = Answer(position, answers[index].id, "duplicate" if same else "conflict", (), None, detail)
    return answers


_FAULTS = frozenset({"invalid_record", "invalid_amount", "conflict"})


def _note_faults(session: Session, batch_id: int, answers: Sequence[Answer], raws: Sequence[bytes]) -> None:
    """Keep the records that have no row in ``records``: broken ones, and those in conflict with one that has."""
    rows = [
        {
            "batch_id": batch_id,
            "position": answer.position,
            "code": answer.code,
            "detail": _clean(f"{answer.field}: {answer.detail}" if answer.field else str(answer.detail)),
            "source_id": _clean(answer.id) if answer.id else None,
            "raw": _clean(raw[:_RAW_LIMIT].decode("utf-8", "replace")),
        }
        for answer, raw in zip(answers, raws, strict=True)
        if answer.code in _FAULTS
    ]
    if rows:
        session.execute(insert(BatchFault), rows)


def _clean(text: str) -> str:
    """Return text as a column can hold it."""
    return text.replace("\0", "\ufffd")
