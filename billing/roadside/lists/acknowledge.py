"""Take a charger's acknowledgement of a version."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from accounts.chargers.keep import FULL_LISTS
from accounts.chargers.models import Charger, ListVersion
from config.checks import Checks, one_line
from config.jobs import ring
from config.problems import Conflict, Invalid, NotFound

log = structlog.get_logger(__name__)
LONGEST_REASON = 500


@dataclass(frozen=True)
class Acknowledged:
    """The version, and whether this had been said of it before (a repeat is a result)."""

    version: ListVersion
    already: bool


def acknowledge(
    session: Session,
    charger: Charger,
    list_type: str,
    version: int,
    *,
    accepted: bool,
    now: dt.datetime,
    reason: str | None = None,
) -> Acknowledged:
    """Write down that a charger has taken a version, or (with a reason) has not.

    From ``now`` on it knows what the list says. A full one makes earlier ones that it never acknowledged superfluous;
    after a rejected incremental one a full one is made. Who rejected it may still take it; who took it knows it, and
    cannot say otherwise later. Raises NotFound; Invalid for a rejection without a reason; Conflict.
    """
    said = _reason(reason)
    if not accepted and said is None:
        wrong = {"field": "reason", "code": "missing", "message": "say why it was rejected"}
        raise Invalid("A rejection needs a reason.", errors=[wrong])
    row = session.scalar(
        select(ListVersion)
        .where(ListVersion.charger_id == charger.id, ListVersion.list_type == list_type, ListVersion.version == version)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound(f"There is no version {version} of {charger.code}'s list of {list_type}.")
    if accepted:
        return _accepted(session, row, now)
    return _rejected(session, charger, row, said, now)


def _reason(reason: str | None) -> str | None:
    checks = Checks()
    said = checks.take("reason", one_line(LONGEST_REASON), reason, "") if reason else None
    checks.done()
    return said or None


def _accepted(session: Session, row: ListVersion, now: dt.datetime) -> Acknowledged:
    if row.state == "acknowledged":
        return Acknowledged(row, already=True)
    row.state, row.acknowledged_at, row.next_at = "acknowledged", now, None
    row.sent_at = row.sent_at or now  # it has it, though we died before we wrote that it was sent
    session.flush()
    if row.kind == "full":
        session.execute(
            update(ListVersion)
            .where(
                ListVersion.charger_id == row.charger_id,
                ListVersion.list_type == row.list_type,
                ListVersion.version < row.version,
                ListVersion.state.in_(("made", "sent", "rejected")),
            )
            .values(state="superseded", next_at=None)
        )
    return Acknowledged(row, already=False)


def _rejected(
    session: Session, charger: Charger, row: ListVersion, reason: str | None, now: dt.datetime
) -> Acknowledged:
    if row.state == "acknowledged":
        raise Conflict(
            f"Version {row.version} was acknowledged at {row.acknowledged_at:%Y-%m-%dT%H:%MZ}; that stands.",
            slug="list-acknowledged",
        )
    if row.state in ("rejected", "superseded"):
        return Acknowledged(row, already=True)
    row.state, row.next_at, row.error = "rejected", None, reason
    row.sent_at = row.sent_at or now
    session.flush()
    log.warning("status_list.rejected", charger=charger.code, list=row.list_type, version=row.version, reason=reason)
    if row.kind == "incremental":
        ring(session, FULL_LISTS)
    return Acknowledged(row, already=False)
