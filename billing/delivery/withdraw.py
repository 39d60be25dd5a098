"""Withdraw: what a partner presents and nobody is to pay any more is taken back, so that it is not paid twice.

An invoice that was paid another way, or credited, while its due date lies ahead. AvtaleGiro has verbs of its own for
it, with the bank's hours (`avtalegiro/cancellations.py`).
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.ways import TABLE
from config.clock import business_date, business_now, now_utc
from config.database import touched
from config.jobs import JobContext, ring

OLDEST = dt.timedelta(days=100)
"""What was handed over longer ago is due by now."""

_MOOT = """
    UPDATE deliveries AS d SET state = 'ending', next_at = :real, error = 'not to be paid any more'
    FROM documents AS doc JOIN claims AS c ON c.id = doc.claim_id
    WHERE d.presents AND d.state IN ('sent', 'delivered') AND d.channel = ANY(:channels) AND d.sent_at >= :since
      AND doc.id = d.document_id AND NOT d.proof ? 'stands' AND c.due_on >= :today
      AND (c.settled_ore >= c.amount_ore OR EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id))
"""


def withdraw(session: Session, *, now: dt.datetime, real: dt.datetime) -> int:
    """Have what is not to be paid any more taken back; return how many. What its partner says stands, stays."""
    result = session.execute(
        text(_MOOT),
        {
            "channels": [one.name for one in TABLE if one.takes_back and one.name != "avtalegiro"],
            "since": now - OLDEST,
            "today": business_date(now),
            "real": real,
        },
    )
    return touched(result)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Withdraw, and have the channels take it back."""
    del scheduled_for
    with ctx.sessions.begin() as session:
        found = withdraw(session, now=business_now(session), real=now_utc())
        if found:
            ring(session, "deliveries")
    return {"withdrawn": found}
