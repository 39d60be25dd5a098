"""The jobs of status lists: every minute what has changed goes out; full lists beside that, at night or when rung."""

from __future__ import annotations

import datetime as dt
from functools import partial

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from accounts.chargers.rules import types_of
from billing.roadside.exchange.transport import outbox_of, switched_off
from billing.roadside.lists.cut import Cut, cut, latest
from billing.roadside.lists.release import release
from billing.roadside.lists.rules import full_is_due
from billing.roadside.lists.send import due, send
from config.clock import business_date, business_now
from config.database import SessionFactory, touched
from config.jobs import JobContext, Result
from config.rates import whole


def takers(session: Session) -> list[tuple[int, str]]:
    """Return every (charger id, list type) that is taken, in an order that stays."""
    query = select(Charger).where(Charger.lists != "none").order_by(Charger.id)
    return [(row.id, one) for row in session.scalars(query) for one in types_of(row.list_types)]


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Give changes their places, cut incremental lists of them, send what is new and what was not acknowledged."""
    released = release_all(ctx.sessions)
    made = 0
    with ctx.sessions() as session:
        taken = takers(session)
    for charger_id, list_type in taken:
        made += cut_one(ctx.sessions, charger_id, list_type, "incremental") is not None
    return {"changes": released, "lists": made, **send_due(ctx)}


def job_full(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Make the full lists that are due, and send them; forget the bytes of old ones. It takes its time: what changes
    meanwhile goes out by the other job."""
    release_all(ctx.sessions)
    made = 0
    with ctx.sessions() as session:
        taken = takers(session)
    for charger_id, list_type in taken:
        with ctx.sessions() as session:
            now = business_now(session)
            days = whole("status_list_full_days", business_date(now))
            wanted = full_is_due(latest(session, charger_id, list_type), now, days)
        if wanted:
            made += cut_one(ctx.sessions, charger_id, list_type, "full") is not None
    return {"lists": made, **send_due(ctx), "forgotten": _forget(ctx.sessions)}


def release_all(sessions: SessionFactory) -> int:
    """Give all changes that wait their places, some at a time; return how many."""
    released = 0
    while True:
        with sessions.begin() as session:
            some = release(session, business_now(session))
        released += some
        if not some:
            return released


def cut_one(sessions: SessionFactory, charger_id: int, list_type: str, kind: str) -> Cut | None:
    """Make a version in a transaction of its own, by a charger read in it: what it takes may have changed."""
    with sessions.begin() as session:
        charger = session.get_one(Charger, charger_id)
        if charger.lists == "none" or list_type not in types_of(charger.list_types):
            return None
        return cut(session, charger, list_type, kind, business_now(session))


def send_due(ctx: JobContext) -> Result:
    """Send what waits; return how much was sent, offered, failed. A charger that could not be reached with one is left
    alone with its others this time: each would cost the rest a wait as long."""
    counts: Result = {"sent": 0, "offered": 0, "failed": 0}
    with ctx.sessions() as session:
        waiting = due(session, business_now(session), switched_off(session))
    failing: set[int] = set()
    for version_id, charger_id in waiting:
        if charger_id in failing:
            continue
        outcome = send(ctx.sessions, version_id, partial(outbox_of, ctx.sessions, ctx.settings))
        if outcome == "failed":
            failing.add(charger_id)
        if outcome in counts:
            counts[outcome] = int(counts[outcome]) + 1
    return counts


_FORGET = text("""
    DELETE FROM list_parts AS p USING list_versions AS v
    WHERE v.id = p.version_id AND v.made_at < :before AND v.state IN ('acknowledged', 'superseded') AND EXISTS (
        SELECT FROM list_versions AS f WHERE f.charger_id = v.charger_id AND f.list_type = v.list_type
            AND f.kind = 'full' AND f.state = 'acknowledged' AND (f.version > v.version OR v.kind <> 'full'))
""")


def _forget(sessions: SessionFactory) -> int:
    """Forget the bytes of versions that nobody needs any more: answered and old, but not the newest full list that was
    acknowledged. That they were is kept."""
    with sessions.begin() as session:
        now = business_now(session)
        before = now - dt.timedelta(days=whole("status_list_keep_days", business_date(now)))
        gone = session.execute(_FORGET, {"before": before})
        return touched(gone)
