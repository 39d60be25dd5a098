"""Close an agreement and tell its holder."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from accounts.agreements.close import Closed, close
from accounts.customers.tell import NewMessage, tell
from config.clock import to_oslo


def close_agreement(session: Session, agreement_id: int, *, at: dt.datetime, now: dt.datetime, actor: str) -> Closed:
    """Close an agreement, with those additional to it, from an instant on (accounts.agreements.close), and have
    its holder told from when. Raises as that does."""
    closed = close(session, agreement_id, at=at, now=now, actor=actor)
    if not closed.already:
        # A closing that is moved to an earlier day is told again; the same one twice is not.
        subject = f"closing:{agreement_id}:{int(at.timestamp())}"
        data = {"from": to_oslo(at).isoformat(timespec="minutes")}
        tell(session, [NewMessage(agreement_id, "closed", subject, data=data)], now=now)
    return closed
