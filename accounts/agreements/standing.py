"""Let the standing of agreements follow the facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements import rules
from accounts.chargers.publish import Notice, publish


@dataclass(frozen=True)
class StandingChanged:
    """That a standing changed; ``change_id`` is its row of the history (subject of the message about it)."""

    agreement_id: int
    before: str
    after: str
    change_id: int


def apply(
    session: Session, overdue: Mapping[int, int], now: dt.datetime, reason: str, actor: str
) -> list[StandingChanged]:
    """Recompute the standing of agreements from what is overdue on each (øre); return what changed, by agreement.

    Locks the agreements in order of their ids, then reads their blocks, so that the second of two at once sees
    what the first did. Each change is a compare-and-set, a row of history, and a publication per charger (but
    awaiting_reopen tells them nothing, and an end was published when it was decided).
    """
    if not overdue:
        return []
    ids = sorted(overdue)
    session.execute(text("SELECT FROM agreements WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE"), {"ids": ids})
    rows = session.execute(
        text(
            "SELECT a.id, a.standing, a.closed_at, EXISTS (SELECT FROM blocks b WHERE b.agreement_id = a.id "
            "AND b.ended_at IS NULL) AS blocked FROM agreements a WHERE a.id = ANY(:ids) ORDER BY a.id"
        ),
        {"ids": ids},
    ).all()
    wanted: list[tuple[int, str, str]] = []
    for row in rows:
        after = rules.standing(block_active=row.blocked, overdue_ore=overdue[row.id], closed_at=row.closed_at, now=now)
        if after != row.standing:
            wanted.append((row.id, row.standing, after))
    return change(session, wanted, now, reason, actor)


def change(
    session: Session, wanted: Sequence[tuple[int, str, str]], now: dt.datetime, reason: str, actor: str
) -> list[StandingChanged]:
    """Write changes of standing (agreement, before, after), set-based; those that are not ``before`` are left.

    Chargers are told of open and blocked here; of an end when the closing is decided (close.py).
    """
    if not wanted:
        return []
    changed = session.execute(
        text(
            "WITH wanted AS (SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:befores AS text[]), "
            "CAST(:afters AS text[])) AS w (id, before, after)), "
            "moved AS (UPDATE agreements a SET standing = w.after, version = a.version + 1 FROM wanted w "
            "WHERE a.id = w.id AND a.standing = w.before RETURNING a.id, a.closed_at, w.before, w.after), "
            "told AS (INSERT INTO standings (agreement_id, standing, at, reason, actor) "
            "SELECT id, after, CASE after WHEN 'closed' THEN closed_at ELSE :now END, "
            "CASE after WHEN 'closed' THEN 'closed' ELSE :reason END, :actor FROM moved ORDER BY id "
            "RETURNING id, agreement_id) "
            "SELECT m.id, m.before, m.after, t.id AS change_id FROM moved m JOIN told t ON t.agreement_id = m.id "
            "ORDER BY m.id"
        ),
        {
            "ids": [row[0] for row in wanted],
            "befores": [row[1] for row in wanted],
            "afters": [row[2] for row in wanted],
            "now": now,
            "reason": reason,
            "actor": actor,
        },
    ).all()
    result = [StandingChanged(row.id, row.before, row.after, row.change_id) for row in changed]
    notices = [
        Notice(one.agreement_id, rules.PUBLISHED[one.after], reason)
        for one in result
        if one.after in (rules.OPEN, rules.BLOCKED)
    ]
    publish(session, notices, now)
    session.expire_all()
    return result
