"""What waits at the roadside: corrections for their originals, second reads of a passing whose first was taken back,
and batches that were cut short.

Work is rows: corrections that are ``waiting``, double reads that are ``freed``, batches that are ``receiving``. The
schedule comes by each minute; an ingest rings when it may have brought what is waited for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import structlog
from sqlalchemy import TextClause, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.cards.due import decide
from billing.passages.again import Cause, DecidedAgain, decide_again, give_up
from billing.passages.models import Batch
from billing.roadside import receive
from config.clock import business_now
from config.jobs import JobContext
from config.problems import Problem

_CHUNK = 500
log = structlog.get_logger(__name__)

_READY = text("""
    SELECT k.charger_id, k.source_id FROM corrections AS k
    JOIN records AS r ON r.charger_id = k.charger_id AND r.source_id = k.original_id
    WHERE k.state = 'waiting' AND (k.charger_id, k.source_id) > (:charger, :source)
    ORDER BY k.charger_id, k.source_id LIMIT :limit
""")

_FREED = text("""
    SELECT charger_id, source_id FROM double_reads
    WHERE freed AND (charger_id, source_id) > (:charger, :source)
    ORDER BY charger_id, source_id LIMIT :limit
""")


class StuckBatches(RuntimeError):
    """Batches could not be gone on with, for a reason that is ours; all others were."""


def decide_waiting(
    session: Session, charger: Charger, source_ids: Sequence[str], now: dt.datetime, cause: Cause = "original_came"
) -> DecidedAgain:
    """Apply corrections whose original has come, or decide doubles anew whose first read was taken back; then, under
    the same locks, see whose cards are due."""
    done = decide_again(session, charger, source_ids, cause=cause, reason=None, actor="billing.roadside", now=now)
    decide(session, done.touched, now=now)
    return done


def job_corrections(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Apply corrections whose original has come since, a chunk of one charger's a transaction; give up the oldest. Then
    decide doubles anew whose first read was taken back."""
    del scheduled_for
    looked, applied = _in_chunks(ctx, _READY, "original_came")
    with ctx.sessions.begin() as session:  # what can be applied is; what still waits may be too late
        given_up = give_up(session, business_now(session))
    freed, decided = _in_chunks(ctx, _FREED, "read_taken_back")
    return {"looked_at": looked + freed, "decided": applied + decided, "given_up": given_up}


def _in_chunks(ctx: JobContext, query: TextClause, cause: Cause) -> tuple[int, int]:
    """Decide what a query finds, by charger and id; return how many were looked at, and how many amended."""
    looked = amended = 0
    after: tuple[int, str] = (0, "")
    while True:
        with ctx.sessions.begin() as session:
            found = session.execute(query, {"charger": after[0], "source": after[1], "limit": _CHUNK}).all()
            if not found:
                return looked, amended
            mine = [row.source_id for row in found if row.charger_id == found[0].charger_id]
            charger = session.get_one(Charger, found[0].charger_id)
            done = decide_waiting(session, charger, mine, business_now(session), cause)
        after = (charger.id, mine[-1])
        looked, amended = looked + len(mine), amended + len(done.amended)


def job_batches(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Go on with batches that were cut short; those that another process is booking are left to it."""
    del scheduled_for
    resumed = failed = 0
    stuck: list[int] = []
    with ctx.sessions.begin() as session:
        query = select(Batch.id).where(Batch.state == "receiving", Batch.bytes.is_not(None)).order_by(Batch.id)
        waiting = list(session.scalars(query))
    for batch_id in waiting:
        try:
            resumed += receive.resume(ctx.sessions, batch_id) is not None
        except Problem as problem:  # the batch is refused, and says why
            failed += 1
            log.warning("batch.refused", batch=batch_id, detail=problem.detail)
        except Exception:  # one that cannot be booked keeps no other waiting; the log and its state tell of it
            stuck.append(batch_id)
            log.exception("batch.stuck", batch=batch_id)
    if stuck:
        raise StuckBatches(f"batches cannot be gone on with: {', '.join(map(str, stuck))}; see the log")
    return {"resumed": resumed, "refused": failed}
