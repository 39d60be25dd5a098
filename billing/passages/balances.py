"""Balances: one row an agreement, locked before its passages are booked, taken or moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session


def lock(session: Session, agreement_ids: Iterable[int]) -> int:
    """Make the balance rows that are missing and lock all of them, ascending; return how many.

    The first thing of any transaction that changes unbilled passages, and a statement of its own: what is read
    after it is read under the lock.
    """
    ids = sorted(set(agreement_ids))
    if not ids:
        return 0
    return lock_query(session, "SELECT unnest(CAST(:ids AS bigint[])) AS agreement_id", {"ids": ids})


def lock_query(session: Session, query: str, params: Mapping[str, Any]) -> int:
    """Lock as ``lock`` does, for the agreements that a query of ours yields as ``agreement_id``.

    Rows are made and locked in order of agreement id: two that want the same ones, in whatever order their
    records came, wait for each other and never deadlock. Nearly always all of them are there, so they are locked first;
    where one is missing the locks are given back, as it may have a lower id than those held.

    The savepoint stays open: whoever waits for a lock of one that was released waits for the whole transaction, also
    when the caller rolls back to an earlier savepoint and gives the lock free, and that is a deadlock.
    """
    session.execute(text("SAVEPOINT balances"))
    locked, missing = _lock(session, query, params)
    if missing:
        session.execute(text("ROLLBACK TO SAVEPOINT balances"))
        session.execute(_MAKE, {"missing": missing})
        locked, _ = _lock(session, query, params)
    return locked


_MAKE = text(
    "INSERT INTO balances (agreement_id) SELECT m.id FROM unnest(CAST(:missing AS bigint[])) AS m (id) ORDER BY m.id "
    "ON CONFLICT DO NOTHING"
)


def _lock(session: Session, query: str, params: Mapping[str, Any]) -> tuple[int, list[int] | None]:
    """Lock the balances there are; return how many, and the agreements that have none."""
    locked, missing = session.execute(
        text(
            f"WITH wanted AS MATERIALIZED (SELECT DISTINCT q.agreement_id FROM ({query}) AS q), "  # noqa: S608 - no input in it
            "locked AS MATERIALIZED (SELECT b.agreement_id FROM balances AS b WHERE b.agreement_id IN "
            "(SELECT w.agreement_id FROM wanted AS w) ORDER BY b.agreement_id FOR NO KEY UPDATE OF b) "
            "SELECT (SELECT count(*) FROM locked), "
            "CASE WHEN (SELECT count(*) FROM wanted) > (SELECT count(*) FROM locked) THEN "
            "(SELECT array_agg(w.agreement_id) FROM wanted AS w "
            "WHERE w.agreement_id NOT IN (SELECT l.agreement_id FROM locked AS l)) END"
        ),
        params,
    ).one()
    return int(locked), missing
