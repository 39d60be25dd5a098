"""What a complaint may say, and when one is overdue: no database, no clock."""

from __future__ import annotations

import datetime as dt

from config.checks import Checks, Wrong, refuse_unprintable

KINDS = ("wrong_vehicle", "wrong_class", "not_there", "double", "price", "other")
OUTCOMES = ("upheld", "adjusted", "rejected")
PROMISES = ("upheld", "adjusted")
"""Outcomes that a correction must follow."""
LONGEST_TEXT = 2_000
"""Characters of what a customer or charger writes; a message to a charger may hold 4,000."""


def kind(value: str) -> str:
    """Return what is wrong with a passage, in a word. Raises Wrong."""
    if value not in KINDS:
        raise Wrong("dispute_kind", f"must be one of {', '.join(KINDS)}")
    return value


def outcome(value: str) -> str:
    """Return what a charger answers, in a word. Raises Wrong."""
    if value not in OUTCOMES:
        raise Wrong("outcome", f"must be one of {', '.join(OUTCOMES)}")
    return value


def text(value: str) -> str:
    """Return what somebody wrote, in lines, nothing hidden; it may be empty. Raises Wrong."""
    lines = [" ".join(line.split()) for line in value.splitlines()]
    for line in lines:
        if line:
            refuse_unprintable(line)
    kept = "\n".join(lines).strip("\n")
    if len(kept) > LONGEST_TEXT:
        raise Wrong("too_long", f"must not have more than {LONGEST_TEXT} characters")
    return kept


def checked(given_kind: str, given_text: str) -> tuple[str, str]:
    """Return kind and text of a dispute. Raises Invalid, by field; ``other`` needs a text."""
    checks = Checks()
    said_kind = checks.take("kind", kind, given_kind, "")
    said_text = checks.take("text", text, given_text, "")
    if said_kind == "other" and not said_text:
        checks.note("text", "empty", "is needed: say what is wrong")
    checks.done()
    return said_kind, said_text


def is_overdue(answered_at: dt.datetime, now: dt.datetime, days: int) -> bool:
    """Say whether a correction that an answer promised should have come by now."""
    return now - answered_at > dt.timedelta(days=days)
