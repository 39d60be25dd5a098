"""Who gets a vehicle from an earlier instant: have billing look again at what was driven since.

Passages booked meanwhile are where they belonged then. Billing moves them by rows of ``removals``; here those rows
are opened again, or made.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.vehicles.models import Registration
from config.jobs import ring

# Whatever else had the same vehicle, or a tag in it, and whose passages may be the new registration's: of any scope
# where that is a tag agreement's (what nobody had fell to the last holder), else of the operator and tag agreements.
_OTHERS = """
    WITH vehicles AS (
        SELECT CAST(:country AS text) AS country, CAST(:plate AS text) AS plate
        UNION SELECT country, plate FROM tag_mounts WHERE pan = :pan AND (valid_to IS NULL OR valid_to > :since)
    ), pans AS (
        SELECT CAST(:pan AS text) AS pan
        UNION SELECT pan FROM tag_mounts
        WHERE country = :country AND plate = :plate AND (valid_to IS NULL OR valid_to > :since)
    ), others AS (
        SELECT o.* FROM (
            SELECT r.* FROM vehicles AS v JOIN registrations AS r ON r.country = v.country AND r.plate = v.plate
            UNION SELECT r.* FROM pans AS p JOIN registrations AS r ON r.pan = p.pan
        ) AS o
        WHERE o.id <> :id AND (:scope = '' OR o.scope IN ('', :scope))
    )
"""

# Whatever moved_at seems to be: billing may be working through one without seeing us, and this waits for it; and one
# that we hold already is passed over by billing, which our doorbell calls when we have committed. In order of ids,
# as two that come for one vehicle to different operators have the same ones.
_REMOVALS = text(
    _OTHERS  # noqa: S608 - no input in it
    + "SELECT m.id FROM others AS o JOIN removals AS m ON m.registration_id = o.id ORDER BY m.id FOR NO KEY UPDATE OF m"
)

_TAKE_FROM = text(
    _OTHERS  # noqa: S608 - no input in it
    + """
    INSERT INTO removals (registration_id, agreement_id, operator, ends_at, requested_at, actor, reason)
    SELECT o.id, o.agreement_id, :scope, greatest(o.valid_from, :since), :now, :actor, :reason FROM others AS o
    WHERE o.valid_to IS NULL OR o.valid_to > greatest(o.valid_from, :since)
    ORDER BY o.id RETURNING id
    """
)


def look_again(session: Session, row: Registration, now: dt.datetime, *, actor: str, reason: str | None) -> None:
    """Have passages moved to a registration that begins earlier than now.

    What stayed with a holder after a removal, because nobody had the vehicle, has a home after all: all removals
    of the vehicle are opened again, for each of its holders may have some. What is additional takes its operator's
    journeys also from registrations that go on: a row for each of them.
    """
    if row.valid_from >= now:
        return
    what = {
        "id": row.id,
        "scope": row.scope,
        "country": row.country,
        "plate": row.plate,
        "pan": row.pan,
        "since": row.valid_from,
    }
    waiting = list(session.scalars(_REMOVALS, what))
    session.execute(text("UPDATE removals SET moved_at = NULL WHERE id = ANY(:ids)"), {"ids": waiting})
    if row.scope:
        waiting += session.scalars(_TAKE_FROM, {**what, "now": now, "actor": actor, "reason": reason})
    if waiting:
        ring(session, "move_passages")
