"""Corrections: a record that cancels another takes its passage back; one that adjusts it comes in its place.

Nothing is edited: what was booked gets a counter-row on the agreement that has it by now, and an adjustment is
matched and booked as any record is. The steps are those of ``ingest``: before the balances are locked it is known what
will be taken back, under the locks it is looked at again, then it is booked.

Lock order: the originals' rows in ``records`` by source id, then the balances. Two corrections of one original
therefore follow one another, and the second sees what the first came to.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from psycopg import Cursor
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.ledger.book import book_query
from billing.passages.match import statements
from billing.passages.reverse import BALANCES, COUNTERS
from billing.passages.rules import CORRECTION_COLUMNS
from config.clock import business_date
from config.jobs import ring

_SQL = statements("correct.sql")
_DEEPEST = 10
"""Corrections of corrections of … in one chunk that are followed; nobody sends even two."""

LOCKED_TOO = "SELECT agreement_id FROM reversing"
"""The agreements whose balances corrections touch, beside those of ``matched``."""

_LEDGER = """
    SELECT CASE WHEN p.amount_ore < 0 THEN 'payable' ELSE 'unbilled' END AS debit,
        CASE WHEN p.amount_ore < 0 THEN p.charger_id ELSE 0 END AS debit_owner,
        CASE WHEN p.amount_ore < 0 THEN 'unbilled' ELSE 'write_off' END AS credit, 0 AS credit_owner,
        abs(p.amount_ore) AS amount_ore, CASE WHEN p.amount_ore < 0 THEN 'reversed' ELSE 'uncredited' END AS code,
        p.id AS ref, CASE WHEN p.amount_ore < 0 THEN v.cause ELSE '' END AS part
    FROM passages AS p JOIN reversals AS v ON v.counter_id = p.id
    WHERE p.id = ANY(CAST(:fresh AS bigint[])) AND p.booked_at = :now AND NOT p.external
"""


def make_tables(cursor: Cursor[Any]) -> None:
    """Make this connection's temporary tables ``correcting`` and ``reversing``, or empty those it has."""
    for table in ("correcting", "reversing"):
        cursor.execute(_SQL[f"make_{table}"], prepare=False)
    cursor.execute("DELETE FROM correcting")
    cursor.execute("DELETE FROM reversing")


def take_in(cursor: Cursor[Any], block: bytes, params: dict[str, Any]) -> list[Any]:
    """COPY corrections in; return those cancellations that are here already, which leave the chunk.

    ``incoming`` holds the chunk's other records, without those that are known.
    """
    with cursor.copy(f"COPY correcting ({CORRECTION_COLUMNS}) FROM STDIN") as copy:
        copy.write(block)
    cursor.execute(_SQL["known"], params, prepare=False)
    seen = cursor.fetchall()
    cursor.execute(_SQL["twice"], prepare=False)
    return seen


def judge(cursor: Cursor[Any], charger_id: int) -> None:
    """Lock the originals; say of each correction what it comes to, and fill ``reversing``. Matching is done."""
    params = {"charger": charger_id}
    cursor.execute("DELETE FROM reversing")
    cursor.execute("UPDATE correcting SET outcome = NULL, detail = NULL WHERE outcome <> 'twice'")
    cursor.execute(_SQL["roots_known"], params, prepare=False)
    for _ in range(_DEEPEST):
        cursor.execute(_SQL["roots_here"], prepare=False)
        if not cursor.rowcount:
            break
    cursor.execute(_SQL["lock_originals"], params, prepare=False)
    for name in ("judge", "adjustments", "targets", "nothing_taken_back"):
        cursor.execute(_SQL[name], params, prepare=False)


def is_stale(cursor: Cursor[Any]) -> bool:
    """Say whether something that is to be taken back was moved or credited meanwhile; asked under the locks."""
    cursor.execute(_SQL["stale"], prepare=False)
    return cursor.fetchone() == (True,)


def drop_refused(cursor: Cursor[Any]) -> None:
    """Take nothing back that was refused after ``judge``, as a second read of one passing."""
    cursor.execute(_SQL["drop_refused"], prepare=False)
    cursor.execute(_SQL["nothing_taken_back"], prepare=False)


def write_records(cursor: Cursor[Any], params: dict[str, Any]) -> None:
    """Write the records of cancellations; the first step of booking, before the other records'."""
    cursor.execute(_SQL["cancellations"], params, prepare=False)


def raced(cursor: Cursor[Any], params: dict[str, Any]) -> bool:
    """Say whether another transaction brought one of the records since they were looked for: nothing of the chunk may
    stay. Asked when all records are written."""
    cursor.execute(_SQL["raced"], params, prepare=False)
    return cursor.fetchone() == (True,)


def apply(session: Session, cursor: Cursor[Any], params: dict[str, Any], now: dt.datetime, *, actor: str) -> list[int]:
    """Book what the corrections take back, and that they were; return the agreements whose balance changed.

    The passages of the chunk are booked, the balances locked.
    """
    cursor.execute(_SQL["corrections"], params, prepare=False)
    cursor.execute(_SQL["decided"], params, prepare=False)
    cursor.execute(_SQL["reversals"], {**params, "actor": actor}, prepare=False)
    cursor.execute("SELECT passage_id, counter_id, second_id, agreement_id FROM reversing ORDER BY position")
    rows = cursor.fetchall()
    _free_lanes(session, cursor, params)
    if not rows:
        return []
    seconds = [second for _, _, second, _ in rows if second is not None]
    counters = [counter for _, counter, _, _ in rows]
    session.execute(text(COUNTERS), {"passages": [row[0] for row in rows], "owed": None, "now": now})
    if seconds:  # what support had freed the customer of is the charger's loss now
        credited = [counter for _, counter, second, _ in rows if second is not None]
        session.execute(text(COUNTERS), {"passages": credited, "owed": True, "now": now})
    fresh = [*counters, *seconds]
    session.execute(text(BALANCES), {"fresh": fresh, "now": now, "today": business_date(now)})
    book_query(session, _LEDGER, {"fresh": fresh, "now": now}, booked_on=business_date(now), now=now)
    return [agreement for _, _, _, agreement in rows]


def _free_lanes(session: Session, cursor: Cursor[Any], params: dict[str, Any]) -> None:
    """Take reads that stand no more out of their lanes; second reads of theirs are to be decided anew."""
    cursor.execute(_SQL["free_lanes"], params, prepare=False)
    gone = [row[0] for row in cursor.fetchall()]
    if gone:
        cursor.execute(_SQL["free_doubles"], {**params, "gone": gone}, prepare=False)
        if cursor.rowcount:
            ring(session, "corrections")


def answers(cursor: Cursor[Any]) -> list[Any]:
    """Return what is answered to cancellations: position, code, flags, detail."""
    cursor.execute(_SQL["answers"], prepare=False)
    return cursor.fetchall()


def said_twice(cursor: Cursor[Any], params: dict[str, Any]) -> list[Any]:
    """Return the cancellations that the chunk holds twice, with where the first stands."""
    cursor.execute(_SQL["said_twice"], params, prepare=False)
    return cursor.fetchall()
