"""From when a change counts, as a request says it: a day, an instant, or nothing for now."""

from __future__ import annotations

import datetime as dt

from accounts.vehicles import rules
from config.checks import Wrong
from config.problems import Invalid


def instant_of(
    day: dt.date | None, at: dt.datetime | None, now: dt.datetime, *, past: bool, reason: str | None = None
) -> dt.datetime:
    """Return the instant (rules.effective_at). ``past`` is for support, and then takes a reason. Raises Invalid."""
    try:
        found = rules.effective_at(day, at, now, past=past)
    except Wrong as wrong:
        field = "day" if at is None else "at"
        raise Invalid(
            "That is no instant to change from.", errors=[{"field": field, "code": wrong.code, "message": str(wrong)}]
        ) from None
    refuse_unexplained(found, now, reason)
    return found


def refuse_unexplained(at: dt.datetime, now: dt.datetime, reason: str | None) -> None:
    """Raise Invalid for an earlier instant without a reason: it changes what people have been billed for."""
    if at < now and not (reason or "").strip():
        wrong = {"field": "reason", "code": "missing", "message": "is needed for an earlier instant"}
        raise Invalid("Say why it counts from an earlier instant.", errors=[wrong])
