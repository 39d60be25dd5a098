"""The decisions about a payment at Vipps, pure: what is done next, given what Vipps says and what is open."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from billing.payments.vipps.client import Seen

LEAST_ORE = 100
"""Vipps takes no payment of less."""
REFUND_DAYS = 365
"""Vipps gives nothing back of what was captured longer ago."""
_ENDS = {"ABORTED": "aborted", "EXPIRED": "expired", "TERMINATED": "cancelled"}

Do = Literal["wait", "capture", "cancel", "end"]


@dataclass(frozen=True)
class Step:
    """What is done next: ``state`` is the payment's from then on, ``ore`` what is captured."""

    do: Do
    state: str
    ore: int = 0


def next_step(state: str, seen: Seen, open_ore: int, *, leave: bool = False, refused: bool = False) -> Step:
    """Return what is done about a payment in ``state``, of whose claim ``open_ore`` are open.

    What was approved is captured as far as it is open, and the rest released. What had ended here, or was being given
    up, is not captured any more. ``leave``: a page that is open is given up. ``refused``: Vipps will not capture what
    was asked for. Nothing is released while a capture may be under way: ``state`` says that one is.
    """
    if seen.state in _ENDS:
        return Step("end", "captured" if seen.captured_ore else _ENDS[seen.state])
    if seen.state == "CREATED":
        if leave or not open_ore or state not in ("unknown", "created"):
            return Step("cancel", "cancelling")
        return Step("wait", "created")
    left = seen.authorized_ore - seen.captured_ore - seen.cancelled_ore
    if left <= 0:
        return Step("end", "captured" if seen.captured_ore else "cancelled")
    if state == "capturing" and not seen.captured_ore and not refused:
        return Step("wait", "capturing")
    if state in ("unknown", "created") and not seen.captured_ore and open_ore > 0:
        return Step("capture", "capturing", min(open_ore, left))
    return Step("cancel", "cancelling")


def refundable(captured_at: dt.datetime | None, now: dt.datetime) -> bool:
    """Say whether Vipps still gives back what it captured then."""
    return captured_at is not None and now - captured_at <= dt.timedelta(days=REFUND_DAYS)
