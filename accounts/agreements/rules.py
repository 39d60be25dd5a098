"""The standing of an agreement as a function of facts."""

from __future__ import annotations

import datetime as dt

from config.checks import Wrong

OPEN, BLOCKED, AWAITING, CLOSED = "open", "blocked", "awaiting_reopen", "closed"
STANDINGS = (OPEN, BLOCKED, AWAITING, CLOSED)
METHODS = ("invoice", "card")
CONTACTS = ("phone", "email", "chat", "in_person", "letter")
PUBLISHED = {OPEN: "valid", BLOCKED: "blocked", CLOSED: "ended"}
"""What chargers are told of a standing. Of awaiting_reopen nothing: to them it is blocked still."""


def standing(*, block_active: bool, overdue_ore: int, closed_at: dt.datetime | None, now: dt.datetime) -> str:
    """Return the standing (design: "Standing").

    ``block_active``: the last block has been neither ended by a reopening nor voided. ``overdue_ore``: what of
    collectable claims is past due, less holds and what a plan covers, and under the remainder that is written
    off nothing. Money overdue without a block leaves an agreement open: the overdue step records the block.
    Raises ValueError for a negative sum.
    """
    if overdue_ore < 0:
        raise ValueError("what is overdue cannot be negative")
    if closed_at is not None and closed_at <= now:
        return CLOSED
    if not block_active:
        return OPEN
    return BLOCKED if overdue_ore > 0 else AWAITING


def contact(channel: str, note: str) -> dict[str, str]:
    """Return how a customer made contact to have an agreement reopened. Raises Wrong."""
    if channel not in CONTACTS:
        raise Wrong("channel", f"must be one of {', '.join(CONTACTS)}")
    if len(note) > 1000 or "\x00" in note:
        raise Wrong("note", "must have at most 1,000 characters")
    return {"channel": channel, "note": note.strip()}


def payment_method(value: str) -> str:
    """Return a payment method: invoice or card. Raises Wrong."""
    if value not in METHODS:
        raise Wrong("payment_method", "must be invoice or card")
    return value
