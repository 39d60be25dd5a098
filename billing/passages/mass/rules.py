"""What a mass correction may be, without a database or a clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence

from config.checks import Checks, Wrong, refuse_unprintable

LONGEST_REASON = 300
MOST_STATIONS = 50


def period(checks: Checks, since: dt.datetime, until: dt.datetime, now: dt.datetime, most_days: int) -> None:
    """Note what is wrong with a period (``until`` exclusive): empty, longer than so many days, or not over."""
    if since >= until:
        checks.note("until", "period", "must lie after `since`")
    elif until - since > dt.timedelta(days=most_days, hours=1):  # an autumn day has 25 hours
        checks.note("until", "too_long", f"must be at most {most_days} days after `since`; make several corrections")
    if until > now:
        checks.note("until", "far", "must not lie ahead: what comes until then would be left out")


def stations(checks: Checks, asked: Sequence[str], known: Collection[str]) -> None:
    """Note what is wrong with station codes: none, too many, or not the charger's."""
    if not asked:
        checks.note("stations", "empty", "name at least one station")
    elif len(asked) > MOST_STATIONS:
        checks.note("stations", "too_long", f"name at most {MOST_STATIONS} stations")
    elif unknown := sorted(set(asked) - set(known)):
        checks.note("stations", "unknown", f"the charger has no station {', '.join(unknown)[:200]}")


def reason(value: str) -> str:
    """Return a reason without blanks around it. Raises Wrong when it is empty, too long or cannot be printed."""
    kept = " ".join(value.split())
    refuse_unprintable(kept)
    if not kept:
        raise Wrong("missing", "is needed: say what went wrong")
    if len(kept) > LONGEST_REASON:
        raise Wrong("too_long", f"must not have more than {LONGEST_REASON} characters")
    return kept
