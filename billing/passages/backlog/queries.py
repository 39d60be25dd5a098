"""Reads of backlogs for screens."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.passages.backlog import rules
from billing.passages.backlog.models import Backlog
from billing.passages.backlog.notice import terms
from billing.passages.models import Balance
from config.clock import business_date


@dataclass(frozen=True)
class Lasting:
    """A backlog as a screen shows it: since when, what is unbilled and a slice (øre), the first Oslo date on which the
    next can be billed, in about how many weeks it ends."""

    noticed_at: dt.datetime
    unbilled_ore: int
    slice_ore: int
    next_on: dt.date
    weeks: int


def lasting(session: Session, agreement_id: int) -> Lasting | None:
    """Return the backlog of an agreement that still does not fit into one slice, if there is one."""
    row = session.execute(
        select(Backlog, Balance.unbilled_ore)
        .join(Balance, Balance.agreement_id == Backlog.agreement_id)
        .where(
            Backlog.agreement_id == agreement_id,
            Backlog.ended_at.is_(None),
            Balance.unbilled_ore > Backlog.slice_ore,
        )
    ).one_or_none()
    if row is None:
        return None
    backlog, unbilled_ore = row
    began_on = business_date(backlog.noticed_at)
    week = dt.timedelta(days=terms(began_on).week_days)
    next_on = began_on if backlog.last_on is None else backlog.last_on + week
    return Lasting(
        backlog.noticed_at, unbilled_ore, backlog.slice_ore, next_on, rules.weeks(unbilled_ore, backlog.slice_ore)
    )


def history(session: Session, agreement_id: int, limit: int) -> list[Backlog]:
    """Return the backlogs of an agreement, newest first."""
    query = select(Backlog).where(Backlog.agreement_id == agreement_id).order_by(Backlog.id.desc()).limit(limit)
    return list(session.scalars(query))
