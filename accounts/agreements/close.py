"""Close an agreement, from now or from a later day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.agreements import rules
from accounts.agreements.models import Agreement
from accounts.agreements.standing import StandingChanged, change
from accounts.chargers.publish import Notice, publish
from config.clock import business_now
from config.database import touched
from config.jobs import JobContext, Result
from config.problems import Conflict, Invalid, NotFound


@dataclass(frozen=True)
class Closed:
    """What closing came to: the agreements (itself first, then its ferry agreements), how many registrations it
    ended, the standings that changed at once, and whether all was so already."""

    agreements: Sequence[Agreement]
    registrations_ended: int
    changed: Sequence[StandingChanged]
    already: bool


def close(session: Session, agreement_id: int, *, at: dt.datetime, now: dt.datetime, actor: str) -> Closed:
    """Close an agreement and those additional to it at an instant, now or later.

    All their registrations end then, and the chargers are told 'ended' as of then. Passages from before are still
    taken, and invoiced by the next run. An instant can be moved to an earlier one, never to a later one.
    Raises NotFound; Invalid for an instant in the past; Conflict.
    """
    if at < now:
        raise Invalid("An agreement is closed from now or from a later day.", slug="past")
    rows = _locked_family(session, agreement_id)
    own = next(row for row in rows if row.id == agreement_id)
    if own.closed_at is not None and own.closed_at <= at:
        if own.closed_at < at and own.standing != rules.CLOSED and at > now:
            raise Conflict("It is to be closed on an earlier day already.", slug="closing-earlier")
        return Closed([own], 0, [], already=True)
    ending = [row for row in rows if row.closed_at is None or row.closed_at > at]
    ended = session.execute(
        text(
            "UPDATE registrations SET valid_to = greatest(valid_from, CAST(:at AS timestamptz)) "
            "WHERE agreement_id = ANY(:ids) AND (valid_to IS NULL OR valid_to > greatest(valid_from, :at))"
        ),
        {"at": at, "ids": [row.id for row in ending]},
    )
    session.execute(
        text("UPDATE agreements SET closed_at = :at, version = version + 1 WHERE id = ANY(:ids)"),
        {"at": at, "ids": [row.id for row in ending]},
    )
    publish(session, [Notice(row.id, "ended", "closed", effective_at=at) for row in ending], now)
    session.expire_all()
    changed = _reached(session, [row.id for row in ending], now, actor)
    return Closed(ending, touched(ended), changed, already=False)


def _locked_family(session: Session, agreement_id: int) -> list[Agreement]:
    """Return the agreement and those additional to it, locked in order of ids. Raises NotFound."""
    query = (
        select(Agreement)
        .where((Agreement.id == agreement_id) | (Agreement.parent_id == agreement_id))
        .order_by(Agreement.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    rows = list(session.scalars(query))
    if not any(row.id == agreement_id for row in rows):
        raise NotFound("There is no such agreement.")
    return sorted(rows, key=lambda row: (row.id != agreement_id, row.id))


def close_reached(session: Session, now: dt.datetime, limit: int = 500) -> list[StandingChanged]:
    """Set the standing of agreements whose closing has come, at most ``limit``; return them. For a daily job,
    which calls until nothing comes back."""
    ids = list(
        session.scalars(
            select(Agreement.id)
            .where(Agreement.closed_at <= now, Agreement.standing != rules.CLOSED)
            .order_by(Agreement.id)
            .limit(limit)
        )
    )
    return _reached(session, ids, now, "system")


def _reached(session: Session, ids: Sequence[int], now: dt.datetime, actor: str) -> list[StandingChanged]:
    rows = session.execute(
        text(
            "SELECT id, standing FROM agreements WHERE id = ANY(:ids) AND closed_at <= :now AND standing <> 'closed' "
            "ORDER BY id FOR NO KEY UPDATE"
        ),
        {"ids": list(ids), "now": now},
    ).all()
    # Chargers were told when the closing was decided: change() publishes nothing for it.
    return change(session, [(row.id, row.standing, rules.CLOSED) for row in rows], now, "closed", actor)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Close what has come to its day, a chunk a transaction. The second time there is nothing left."""
    closed = 0
    while True:
        with ctx.sessions.begin() as session:
            changed = close_reached(session, business_now(session))
        closed += len(changed)
        if not changed:
            return {"closed": closed}
