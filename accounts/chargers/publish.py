"""Tell every charger what became of an agreement, or of one registration on it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

STATUSES = frozenset({"valid", "blocked", "ended", "removed"})


@dataclass(frozen=True)
class Notice:
    """What to publish: ``status`` of an agreement (valid, blocked, ended) or of a registration (removed).

    ``effective_at`` is the instant it counts from when that lies ahead; an earlier one counts from now, because
    nobody can have been told before they were.
    """

    agreement_id: int
    status: str
    reason: str | None = None
    registration_id: int | None = None
    effective_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        if self.status not in STATUSES or (self.status == "removed") != (self.registration_id is not None):
            raise ValueError(f"cannot publish {self.status} of registration {self.registration_id}")


def publish(session: Session, notices: Sequence[Notice], now: dt.datetime) -> int:
    """Write one publication per notice and charger, set-based, and return how many.

    Until status lists are exchanged, a publication is made, sent and acknowledged at one instant: ``now``, or
    the notice's ``effective_at`` where that is later.
    """
    if not notices:
        return 0
    result = session.execute(
        text(
            "INSERT INTO publications (charger_id, agreement_id, registration_id, status, reason, "
            "made_at, sent_at, acknowledged_at) "
            "SELECT c.id, n.agreement_id, n.registration_id, n.status, n.reason, n.at, n.at, n.at "
            "FROM unnest(CAST(:agreements AS bigint[]), CAST(:registrations AS bigint[]), CAST(:statuses AS text[]), "
            "CAST(:reasons AS text[]), CAST(:instants AS timestamptz[])) WITH ORDINALITY "
            "AS n (agreement_id, registration_id, status, reason, at, position) CROSS JOIN chargers AS c "
            "ORDER BY n.position, c.id"
        ),
        {
            "agreements": [notice.agreement_id for notice in notices],
            "registrations": [notice.registration_id for notice in notices],
            "statuses": [notice.status for notice in notices],
            "reasons": [notice.reason for notice in notices],
            "instants": [max(now, notice.effective_at or now) for notice in notices],
        },
    )
    return int(result.rowcount)  # type: ignore[attr-defined]  # a CursorResult
