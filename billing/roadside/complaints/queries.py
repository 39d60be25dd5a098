"""Reads of complaints."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.chargers.models import Charger
from billing.roadside.complaints.models import Complaint
from billing.roadside.complaints.rules import PROMISES, is_overdue
from config.clock import business_date
from config.http_pages import Page, paged
from config.rates import whole

_HOLDS = (Complaint.state != "answered", Complaint.let_go_at.is_(None))
_UNCORRECTED = (Complaint.outcome.in_(PROMISES), Complaint.correction_id.is_(None))


@dataclass(frozen=True)
class Shown:
    """A complaint as lists show it, with the charger's code and name and the agreement's number. ``overdue``: the
    charger promised a correction so long ago that it should have come. ``unanswered``: it should have answered by now,
    or it was waited for no longer (``let_go_why``: unanswered, withdrawn)."""

    id: int
    agreement: int
    passage: int
    charger: str
    charger_name: str
    record: str
    kind: str
    text: str
    state: str
    outcome: str | None
    response: str | None
    made_at: dt.datetime
    made_by: str
    sent_at: dt.datetime | None
    answered_at: dt.datetime | None
    correction: str | None
    corrected_at: dt.datetime | None
    overdue: bool
    let_go_at: dt.datetime | None
    let_go_why: str | None
    unanswered: bool

    @property
    def open(self) -> bool:
        """Say whether the charger's answer is waited for."""
        return self.state != "answered" and self.let_go_at is None

    @property
    def promised(self) -> bool:
        """Say whether a correction is promised and has not come."""
        return self.outcome in PROMISES and self.correction is None


def _reminded(now: dt.datetime) -> dt.datetime:
    """Return the instant from before which a dispute should have been answered by now."""
    return now - dt.timedelta(days=whole("complaint_reminder_days", business_date(now)))


def _unanswered(now: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    waited = Complaint.let_go_why.is_distinct_from("withdrawn")
    return Complaint.state != "answered", waited, Complaint.made_at < _reminded(now)


def _days(now: dt.datetime) -> int:
    return whole("complaint_correction_days", business_date(now))


def _query() -> Select[*tuple[Any, ...]]:
    return (
        select(Complaint, Complaint.id.label("id"), Agreement.number, Charger.code, Charger.name)
        .join(Agreement, Agreement.id == Complaint.agreement_id)
        .join(Charger, Charger.id == Complaint.charger_id)
    )


def _shown(row: Any, now: dt.datetime) -> Shown:
    one: Complaint = row[0]
    unanswered = one.state != "answered" and one.let_go_why != "withdrawn" and one.made_at < _reminded(now)
    promised = one.answered_at is not None and one.outcome in PROMISES and one.correction_id is None
    return Shown(
        id=one.id,
        agreement=row.number,
        passage=one.passage_id,
        charger=row.code,
        charger_name=row.name,
        record=one.source_id,
        kind=one.kind,
        text=one.text,
        state=one.state,
        outcome=one.outcome,
        response=one.response,
        made_at=one.made_at,
        made_by=one.made_by,
        sent_at=one.sent_at,
        answered_at=one.answered_at,
        correction=one.correction_id,
        corrected_at=one.corrected_at,
        overdue=promised and one.answered_at is not None and is_overdue(one.answered_at, now, _days(now)),
        let_go_at=one.let_go_at,
        let_go_why=one.let_go_why,
        unanswered=unanswered,
    )


def one(session: Session, complaint_id: int, now: dt.datetime) -> Shown:
    """Return a complaint that there is."""
    return _shown(session.execute(_query().where(Complaint.id == complaint_id)).one(), now)


def _page(
    session: Session, conditions: Sequence[ColumnElement[bool]], now: dt.datetime, after: str | None, limit: int
) -> Page:
    query = _query().where(*conditions)
    found = paged(session, query, [Complaint.id], after=after, limit=limit, descending=True)
    return Page([_shown(row, now) for row in found.items], found.next)


def of_agreement(session: Session, agreement_id: int, now: dt.datetime, *, after: str | None, limit: int) -> Page:
    """Return an agreement's complaints as ``Shown``, the newest first. Raises Invalid for a bad cursor."""
    return _page(session, [Complaint.agreement_id == agreement_id], now, after, limit)


def of_charger(
    session: Session,
    charger_id: int | None,
    now: dt.datetime,
    *,
    after: str | None,
    limit: int,
    show: str | None = None,
) -> Page:
    """Return the complaints to a charger (or to all) as ``Shown``, the newest first. ``show``: open, answered,
    uncorrected (a correction is promised and has not come), or unanswered (for so long that the charger is asked).
    Raises Invalid for a bad cursor."""
    conditions: list[ColumnElement[bool]] = [] if charger_id is None else [Complaint.charger_id == charger_id]
    conditions += {
        None: (), "open": _HOLDS, "answered": (Complaint.state == "answered",), "uncorrected": _UNCORRECTED,
        "unanswered": _unanswered(now),
    }[show]  # fmt: skip
    return _page(session, conditions, now, after, limit)


def of_passages(session: Session, passage_ids: Sequence[int], now: dt.datetime) -> dict[int, Shown]:
    """Return the last complaint of each of some passages."""
    if not passage_ids:
        return {}
    rows = session.execute(_query().where(Complaint.passage_id.in_(passage_ids)).order_by(Complaint.id))
    return {shown.passage: shown for shown in (_shown(row, now) for row in rows)}


def counts(session: Session) -> dict[str, tuple[int, int]]:
    """Return, by charger's code, how many complaints are open and how many promised corrections have not come."""
    rows = session.execute(
        select(
            Charger.code,
            func.count().filter(*_HOLDS),
            func.count().filter(*_UNCORRECTED),
        )
        .join(Complaint, Complaint.charger_id == Charger.id)
        .where((_HOLDS[0] & _HOLDS[1]) | (_UNCORRECTED[0] & _UNCORRECTED[1]))
        .group_by(Charger.code)
    )
    return {row[0]: (row[1], row[2]) for row in rows}


def count_unanswered(session: Session, now: dt.datetime) -> int:
    """Return how many disputes are waited for that should have been answered by now."""
    return session.scalars(
        select(func.count()).select_from(Complaint).where(*_HOLDS, Complaint.made_at < _reminded(now))
    ).one()


def count_overdue(session: Session, now: dt.datetime) -> int:
    """Return how many promised corrections should have come by now."""
    before = now - dt.timedelta(days=_days(now))
    query = select(func.count()).select_from(Complaint).where(*_UNCORRECTED, Complaint.answered_at < before)
    return session.scalars(query).one()
