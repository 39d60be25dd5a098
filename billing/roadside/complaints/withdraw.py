"""Disputes that hold their passage back no longer although the charger has not answered: withdrawn, or too old."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.roadside.complaints.answer import let_go
from billing.roadside.complaints.models import Complaint
from config.clock import business_date
from config.problems import Conflict, NotFound
from config.rates import whole

MOST = 500
"""Disputes that are given up in one transaction."""

_GIVE_UP = text("""
    UPDATE complaints AS c SET let_go_at = :now, let_go_why = 'unanswered'
    FROM (
        SELECT id FROM complaints WHERE state <> 'answered' AND let_go_at IS NULL AND made_at < :before
        ORDER BY id LIMIT :most FOR NO KEY UPDATE
    ) AS old
    WHERE c.id = old.id RETURNING c.id, c.agreement_id
""")


def withdraw(session: Session, agreement_id: int, complaint_id: int, now: dt.datetime) -> tuple[Complaint, bool]:
    """Withdraw a dispute that the charger has not answered: its passage is billed as others are. Return it, and whether
    it was withdrawn by this; one that holds nothing any more stays as it is. The charger may answer all the same.

    Raises NotFound, also for another agreement's; Conflict when it was answered.
    """
    query = select(Complaint).where(Complaint.id == complaint_id, Complaint.agreement_id == agreement_id)
    row = session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if row is None:
        raise NotFound("There is no such dispute on this agreement.")
    if row.state == "answered":
        raise Conflict("The operator has answered; there is nothing left to withdraw.", slug="answered-before")
    if row.let_go_at is not None:
        return row, False
    row.let_go_at, row.let_go_why = now, "withdrawn"
    session.flush()
    let_go(session, now, row.id)
    return row, True


def give_up(session: Session, now: dt.datetime) -> int:
    """Wait no longer for answers that have not come in ``complaint_answer_days``: tell the customers; their passages
    are let go by ``answer.let_go``. Takes MOST at a time; returns how many."""
    before = now - dt.timedelta(days=whole("complaint_answer_days", business_date(now)))
    rows = session.execute(_GIVE_UP, {"now": now, "before": before, "most": MOST}).all()
    told = [NewMessage(row.agreement_id, "dispute_let_go", f"complaint:{row.id}") for row in sorted(rows)]
    tell(session, told, now=now)
    return len(rows)
