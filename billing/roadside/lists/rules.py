"""Decisions of status lists: what a list says of a tag or a vehicle, when one is due, what is told by then.

Pure functions. Reject reasons are those of exception lists in ISO 12855: stolen, deactivated, latePayment, noPayment,
technical.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

STOLEN, DEACTIVATED, LATE, UNPAID, TECHNICAL = "stolen", "deactivated", "latePayment", "noPayment", "technical"
REASONS = (STOLEN, DEACTIVATED, LATE, UNPAID, TECHNICAL)
LATE_WORDS = frozenset({"overdue"})
"""Reasons of a block that say that an invoice is late; any other says that it will not be paid."""

VALID, BLOCKED, REMOVED = "valid", "blocked", "removed"


@lru_cache(maxsize=4096)
def said(tag_state: str | None, covered: bool, standing: str | None, why: str | None) -> tuple[str, str | None]:
    """Return what a list says: the state, and the reason where it is not valid.

    ``tag_state``: active, lost, stolen or returned; None for a vehicle by its plate. ``covered``: it is on an agreement
    now (a tag: the vehicle it is in). ``standing``: what was last published of that agreement (valid, blocked, ended,
    None when nothing was), and ``why``.
    """
    if tag_state == "stolen":
        return BLOCKED, STOLEN
    if tag_state not in (None, "active"):
        return BLOCKED, DEACTIVATED
    if not covered:
        return (REMOVED, None) if tag_state is None else (BLOCKED, DEACTIVATED)
    if standing == "blocked":
        return BLOCKED, LATE if why in LATE_WORDS else UNPAID
    if standing == "ended":
        return BLOCKED, DEACTIVATED
    return VALID, None


@dataclass(frozen=True)
class Latest:
    """The newest versions of a (charger, type): of any kind and of the last full one. ``rejected``: the newest was.
    ``stale``: the last full one is from before the charger took lists again, so nothing can build on it."""

    version: int
    through: int
    full_at: dt.datetime
    rejected_kind: str | None
    stale: bool = False


def full_is_due(latest: Latest | None, now: dt.datetime, days: int) -> bool:
    """Say whether a full list is to be made: the first one of a period, one a week, and one after an incremental one
    was rejected, on which no later one can build. A full one that was rejected waits for somebody to look at it."""
    if latest is None or latest.stale or latest.rejected_kind == "incremental":
        return True
    return now - latest.full_at >= dt.timedelta(days=days)


def next_try(sent_at: dt.datetime, minutes: int) -> dt.datetime:
    """Return when a version is sent again, or alarms, if it is not acknowledged by then."""
    return sent_at + dt.timedelta(minutes=minutes)


@dataclass(frozen=True)
class Change:
    """A change of an agreement's standing: its position on lists and what it says."""

    position: int
    status: str


@dataclass(frozen=True)
class Held:
    """A version: the last position it holds (from the one after its predecessor's), its kind, and since when it is
    acknowledged."""

    first: int
    last: int
    full: bool
    acknowledged_at: dt.datetime | None

    def tells(self, position: int) -> bool:
        """Say whether who has this version knows a change."""
        return (self.full or self.first <= position) and position <= self.last


def judged(
    changes: Iterable[Change], versions: Sequence[Held], at: dt.datetime, latency: dt.timedelta
) -> Change | None:
    """Return the last change that a charger had been told of when something happened, or None: an end is for good.

    What matching does in SQL, said once more in the plainest way: the tests hold one against the other.
    """
    known = [one for one in versions if one.acknowledged_at is not None and one.acknowledged_at + latency <= at]
    told = [change for change in changes if any(one.tells(change.position) for one in known)]
    return max(told, key=lambda change: (change.status == "ended", change.position), default=None)
