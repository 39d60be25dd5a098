"""The audit trail: what was done and looked up, by whom, in the same transaction as the act itself."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from accounts.access.models import TrailEntry
from accounts.access.principal import Principal

# Past the ORM, and compiled once: most requests write an entry, and an ORM insert took a tenth of their time.
_APPEND = insert(TrailEntry.__table__)  # type: ignore[arg-type]  # a mapped class says FromClause; ours is a Table


def record(
    session: Session,
    principal: Principal,
    action: str,
    subject: str,
    now: dt.datetime,
    reason: str | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Append one entry. ``subject`` names a thing by kind and number (``agreement:10000001``), never a person."""
    session.execute(
        _APPEND,
        {
            "at": now,
            "actor": principal.subject,
            "role": principal.role,
            "action": action,
            "subject": subject,
            "reason": reason,
            "detail": detail or {},
        },
    )


def looked_up(session: Session, principal: Principal, subject: str, now: dt.datetime, what: str = "look_up") -> None:
    """Log that somebody of ours looked at a customer's thing; a customer who looks at their own is not logged."""
    if principal.is_staff:
        record(session, principal, what, subject, now)
