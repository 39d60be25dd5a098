"""Give changes their places on lists.

Changes are written by many transactions at once and become visible in any order: one with a lower id may commit after
a list was cut that holds higher ones. So a list goes by places, which changes get here, after they are committed, by
one transaction at a time: what is not visible yet gets a later place, and is on the next list. Whoever publishes
waits for nobody. Places seen by a later transaction are complete up to their highest, because the lock is kept until
the commit.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.database import touched

AT_ONCE = 50_000

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('brikke places on status lists', 0))")
_RELEASE = text("""
    UPDATE publications AS p SET position = n.position
    FROM (
        SELECT w.id, coalesce((SELECT max(position) FROM publications), 0)
            + row_number() OVER (ORDER BY w.effective_at, w.id) AS position
        FROM (
            SELECT id, effective_at FROM publications WHERE position IS NULL AND effective_at <= :now
            ORDER BY effective_at, id LIMIT :limit
        ) AS w
    ) AS n
    WHERE p.id = n.id
""")


def release(session: Session, now: dt.datetime, limit: int = AT_ONCE) -> int:
    """Give places to committed changes that count by now, at most ``limit``; return how many. The caller commits, at
    once: others wait."""
    session.execute(_LOCK)  # a statement of its own: the next one sees what its last holder committed
    done = session.execute(_RELEASE, {"now": now, "limit": limit})
    return touched(done)


def highest(session: Session) -> int:
    """Return the highest place that is committed; 0 when there is none. All lower ones are committed too."""
    return int(session.scalar(text("SELECT max(position) FROM publications")) or 0)
