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
    records came, wait for each other and never deadlock.
    """
    session.execute(
        text(
            f"INSERT INTO balances (agreement_id) SELECT DISTINCT q.agreement_id FROM ({query}) AS q "  # noqa: S608 - ours
            "WHERE NOT EXISTS (SELECT FROM balances AS b WHERE b.agreement_id = q.agreement_id) "
            "ORDER BY q.agreement_id ON CONFLICT DO NOTHING"
        ),
        params,
    )
    locked = session.execute(
        text(
            "SELECT count(*) FROM (SELECT b.agreement_id FROM balances AS b WHERE b.agreement_id IN "  # noqa: S608
            f"(SELECT q.agreement_id FROM ({query}) AS q) ORDER BY b.agreement_id FOR NO KEY UPDATE) AS locked"
        ),
        params,
    ).scalar_one()
    return int(locked)
