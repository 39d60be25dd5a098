"""Decide records anew: corrections whose original has come, what a charger contests, and second reads of a passing
whose first was taken back.

A record that was refused or had waited is matched once more, as it was sent. What is said of it now goes into
``records`` and, beside what was said before, into ``amendments``; the answers as they were given stay.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Cursor
from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.ledger.book import book_query
from billing.passages import correct, odd
from billing.passages.backlog.notice import notice, old_before
from billing.passages.balances import lock_query
from billing.passages.ingest import StillChanging
from billing.passages.match import is_stale, make_tables, match, obu_to_pan, statements
from billing.passages.partitions import ensure
from config.clock import business_date
from config.database import raw, touched
from config.jobs import ring
from config.rates import whole

_SQL = statements("again.sql")
_BOOK = statements("book.sql")
_TRIES = 5

Cause = Literal["original_came", "contested", "read_taken_back"]


@dataclass(frozen=True)
class Amended:
    """A record of which another thing is said now than before."""

    amendment_id: int
    source_id: str
    was_code: str
    code: str
    detail: str | None


@dataclass(frozen=True)
class DecidedAgain:
    """What came of deciding records anew: those that changed, and the agreements whose balance did."""

    amended: list[Amended]
    touched: list[int]


def decide_again(
    session: Session,
    charger: Charger,
    source_ids: Sequence[str],
    *,
    cause: Cause,
    reason: str | None,
    actor: str,
    now: dt.datetime,
    any_age: bool = False,
    double: bool = False,
    judged: bool = True,
) -> DecidedAgain:
    """Match refused and waiting records of a charger once more (at most some hundreds), book what is accepted now.

    ``any_age``: also what is too old; ``double``: also second reads of one passing, flagged. Without ``judged``: also
    what the charger had been told not to take (see match). What is accepted already, and what a correction has
    replaced, is left. The caller commits. Raises StillChanging.
    """
    ensure(session, now)
    connection = raw(session)
    params = {"charger": charger.id, "now": now, "cause": cause, "reason": reason, "actor": actor}
    with connection.cursor() as cursor:
        make_tables(cursor)
        correct.make_tables(cursor)
        cursor.execute(_SQL["decided"], prepare=False)
        cursor.execute("DELETE FROM decided")
        for name in ("lock", "open"):
            cursor.execute(_SQL[name], {**params, "ids": list(source_ids)}, prepare=False)
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(_SQL["records"], {**params, "ids": ids}, prepare=False)
        cursor.execute(_SQL["corrections"], {**params, "ids": ids}, prepare=False)
        obu_to_pan(cursor)
        lanes = odd.lanes_as_sent(cursor, charger.id)
        accepted = _accepted(cursor, charger, cause, any_age=any_age, double=double)
        lanes = _match_and_lock(session, cursor, charger, accepted, lanes=lanes, judged=judged, now=now)
        for name in ("decide", "amend", "update", "passages"):
            cursor.execute(_SQL[name], params, prepare=False)
        if lanes:
            _keep_lanes(session, cursor, charger, said=double and cause == "contested", now=now)
        _keep_oddities(cursor, charger, cause, accepted, list(source_ids))
        cursor.execute(_BOOK["balances"], params, prepare=False)
        agreements = {row[0] for row in cursor.fetchall()}
        cursor.execute(_BOOK["old"], {"old_before": old_before(now)}, prepare=False)
        notice(session, [row[0] for row in cursor.fetchall()], now=now)
        _book_ledger(session, charger, now)
        agreements |= set(correct.apply(session, cursor, params, now, actor=actor))
        cursor.execute("SELECT amendment_id, source_id, was_code, code, detail FROM decided ORDER BY amendment_id")
        return DecidedAgain([Amended(*row) for row in cursor.fetchall()], sorted(agreements))


def give_up(session: Session, now: dt.datetime) -> int:
    """Refuse corrections whose original has not come in so many days (correction_wait_days); return how many."""
    days = whole("correction_wait_days", business_date(now))
    params = {
        "now": now,
        "before": now - dt.timedelta(days=days),
        "detail": f"its original did not come in {days} days",
    }
    return touched(session.execute(text(_SQL["give_up"]), params))


def _keep_lanes(session: Session, cursor: Cursor[Any], charger: Charger, *, said: bool, now: dt.datetime) -> None:
    """Keep the lanes of what is booked now and of what is not, and whose doubles those are. ``said``: by a person, that
    doubles which are booked are passings of their own."""
    if said:
        odd.keep_apart(cursor, charger.id, now)
    if odd.keep_lanes(cursor, charger.id, said=said):
        ring(session, "corrections")
    # That of an adjustment which names none is what it corrects' now: it need not be found again.
    odd.keep_lanes_of_refused(cursor, charger.id, None)


def _keep_oddities(cursor: Cursor[Any], charger: Charger, cause: Cause, accepted: odd.Accepted, ids: list[str]) -> None:
    """Forget whose doubles these were, where they are none any more, and keep who is to be told of a tag elsewhere."""
    cursor.execute(_SQL["forget_doubles"], {"charger": charger.id, "ids": ids}, prepare=False)
    if cause == "original_came" and not accepted["tag_plate_mismatch"]:  # what was refused for it before has been told
        odd.keep_mismatches(cursor, charger.id)


def _accepted(cursor: Cursor[Any], charger: Charger, cause: Cause, *, any_age: bool, double: bool) -> odd.Accepted:
    accepted = odd.agreed(cursor, charger.id)
    if cause == "contested":  # a person has looked at what is odd about it
        accepted = accepted | {"tag_plate_mismatch": True, "wrong_class": True}
    return accepted | {
        "too_old": any_age or accepted["too_old"],
        "double_read": double or accepted["double_read"],
    }


def _match_and_lock(
    session: Session,
    cursor: Cursor[Any],
    charger: Charger,
    accepted: odd.Accepted,
    *,
    lanes: bool,
    judged: bool,
    now: dt.datetime,
) -> bool:
    """Match and lock as ingest does; return whether there are lanes."""
    days = whole("passage_max_age_days", business_date(now))
    odd.before_matching(cursor, charger.id, accepted)
    for _ in range(_TRIES):
        cursor.execute("SAVEPOINT matching")
        match(cursor, charger, odd.EVER, judged=judged)
        if not accepted["too_old"]:
            cursor.execute(_SQL["too_old"], {"charger": charger.id, "days": days}, prepare=False)
        odd.after_matching(cursor, charger.id, accepted)
        correct.judge(cursor, charger.id)
        booked = "SELECT agreement_id FROM matched WHERE code = 'accepted'"
        lock_query(session, f"{booked} UNION ALL {odd.FAMILIES} UNION ALL {correct.LOCKED_TOO}", {})
        if not is_stale(cursor, charger) and not correct.is_stale(cursor):
            lanes |= odd.lanes_of_corrections(cursor, charger.id)
            if lanes:
                odd.without_doubles(cursor, charger.id, accepted, now, corrects=True, again=True)
                correct.drop_refused(cursor)
            cursor.execute("RELEASE SAVEPOINT matching")
            return lanes
        cursor.execute("ROLLBACK TO SAVEPOINT matching")
    raise StillChanging("vehicles of these records are being changed all the time; try again")


def _book_ledger(session: Session, charger: Charger, now: dt.datetime) -> None:
    """Book what is owed now for records of earlier batches, a transfer a batch and project."""
    book_query(
        session,
        "SELECT 'unbilled' AS debit, 0 AS debit_owner, 'payable' AS credit, :charger AS credit_owner, "
        "sum(m.amount_ore) AS amount_ore, 'passages' AS code, d.batch_id AS ref, "
        "concat('a', min(d.amendment_id), '/', CAST(:charger AS text), '/', m.project) AS part "
        "FROM decided AS d JOIN matched AS m ON m.passage_id = d.passage_id WHERE m.code = 'accepted' "
        "GROUP BY d.batch_id, m.project",
        {"charger": charger.id},
        booked_on=business_date(now),
        now=now,
    )
