"""Write down what chargers are to be told: of an agreement, of one registration on it, of one of its tags."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.database import touched

OF_AGREEMENT = frozenset({"valid", "blocked", "ended"})
OF_REGISTRATION = frozenset({"registered", "removed"})
OF_TAG = frozenset({"tag"})


@dataclass(frozen=True)
class Notice:
    """A change: ``status`` of an agreement (valid, blocked, ended) or of a registration (registered, removed), or that
    a tag was issued, moved, lost, found … (tag).

    ``effective_at`` is the instant it counts from when that lies ahead; an earlier one counts from now, because
    nobody can have been told before they were.
    """

    agreement_id: int
    status: str
    reason: str | None = None
    registration_id: int | None = None
    effective_at: dt.datetime | None = None
    tag_id: int | None = None

    def __post_init__(self) -> None:
        about = (self.registration_id is not None, self.tag_id is not None)
        if about != (self.status in OF_REGISTRATION, self.status in OF_TAG) or (
            self.status not in OF_AGREEMENT | OF_REGISTRATION | OF_TAG
        ):
            raise ValueError(f"cannot publish {self.status} of registration {self.registration_id}, tag {self.tag_id}")


def publish(session: Session, notices: Sequence[Notice], now: dt.datetime) -> int:
    """Write one row per notice, set-based, and return how many.

    Who takes no status lists is told by that, from ``now`` or the notice's ``effective_at`` where that is later; for
    the others it waits to be put on their lists (billing.roadside.lists), which need not wait for us to commit.

    Whoever writes last for an agreement, under its lock, is right, though the other's clock may have been read later:
    what it publishes of the standing counts from no earlier than what was published of it before, so that order by
    instant and order by id are one.
    """
    if not notices:
        return 0
    result = session.execute(
        text(
            "INSERT INTO publications (agreement_id, registration_id, tag_id, status, reason, made_at, effective_at) "
            "SELECT n.agreement_id, n.registration_id, n.tag_id, n.status, n.reason, :now, greatest(n.at, :now, "
            "(SELECT max(p.effective_at) FROM publications AS p WHERE p.agreement_id = n.agreement_id "
            "AND p.status IN ('valid', 'blocked') AND n.status IN ('valid', 'blocked'))) "
            "FROM unnest(CAST(:agreements AS bigint[]), CAST(:registrations AS bigint[]), CAST(:tags AS bigint[]), "
            "CAST(:statuses AS text[]), CAST(:reasons AS text[]), CAST(:instants AS timestamptz[])) WITH ORDINALITY "
            "AS n (agreement_id, registration_id, tag_id, status, reason, at, place) ORDER BY n.place"
        ),
        {
            "agreements": [notice.agreement_id for notice in notices],
            "registrations": [notice.registration_id for notice in notices],
            "tags": [notice.tag_id for notice in notices],
            "statuses": [notice.status for notice in notices],
            "reasons": [notice.reason for notice in notices],
            "instants": [notice.effective_at for notice in notices],
            "now": now,
        },
    )
    return touched(result)
