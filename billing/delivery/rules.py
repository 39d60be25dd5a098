"""What delivery decides, without a database or a clock."""

from __future__ import annotations

import datetime as dt
from typing import Any

RETRY = tuple(dt.timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180))
"""How long to wait after the first, second, ... attempt that may be repeated; the last figure from then on."""

ATTEMPTS = 30
"""Three and a half days of tries, about what mail servers themselves give a letter."""

STALE = dt.timedelta(minutes=10)
"""A delivery that has been under way for longer belongs to somebody who died."""

LEASE_SECONDS = 240.0
"""How long a taken chunk may be worked on before the rest is put back: a mail begun just then ends before STALE."""

RESEND = dt.timedelta(minutes=10)
"""How long to wait before the one repeat of a mail that got no answer."""

UNANSWERED = 2
"""So often may a mail end without an answer: the first time, and its repeat."""

_STANDINGS = {
    "blocked": {"blocked"},
    "paid_call_us": {"awaiting_reopen"},
    "nothing_due_call_us": {"awaiting_reopen"},
    "reopened": {"open"},
    "unblocked": {"open"},
}


def wait(attempts: int) -> dt.timedelta | None:
    """Return how long to wait (real time) after so many attempts, None to give up."""
    if attempts >= ATTEMPTS:
        return None
    return RETRY[min(max(attempts, 1), len(RETRY)) - 1]


def no_longer_true(
    template: str,
    *,
    standing: str,
    open_ore: int,
    due_on: dt.date | None,
    replaced: bool,
    data: dict[str, Any],
    closed_at: dt.datetime | None,
    today: dt.date,
) -> str | None:
    """Return why a message must not be sent any more, None when it is still true.

    ``standing`` is the agreement's now; ``open_ore`` what is left of the claim of the message's document, ``replaced``
    whether a later version of the document exists. ``today`` is the Oslo date. Documents themselves are always sent.
    """
    if template in _STANDINGS and standing not in _STANDINGS[template]:
        return f"the agreement is {standing}"
    if template == "reminder":
        if open_ore <= 0:
            return "the invoice is paid"
        if replaced:
            return "the invoice has been replaced"
        if due_on is not None and due_on < today:
            return "the due date has passed"
    if template == "closed" and closed_at is not None and "from" in data:
        # Written in minutes; a closing that was moved to an earlier day is told by a message of its own.
        told = dt.datetime.fromisoformat(data["from"])
        if abs(told - closed_at) >= dt.timedelta(minutes=1):
            return "the closing was moved"
    return None
