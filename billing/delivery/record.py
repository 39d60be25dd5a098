"""Record what became of deliveries. Every change is a compare-and-set on the attempt it is about."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery import rules
from billing.delivery.transports import Transport
from config.database import SessionFactory

log = structlog.get_logger(__name__)

LONGEST_ERROR = 500
TWICE = "No answer, twice; it may have arrived."
LEFT_BEHIND = "Whoever sent it stopped in the middle."


def sent(session: Session, delivery_id: int, attempt: int, *, now: dt.datetime) -> bool:
    """Record that it was accepted (``now`` is business time), also when its sender has been given up by then."""
    states = ("sending", "unknown", "queued")
    return _set(session, delivery_id, attempt, "state = 'sent', sent_at = :now, error = NULL", states, now=now)


def given_up(session: Session, delivery_id: int, attempt: int, why: str, *, silent: bool = False) -> bool:
    """Record that it will never be taken: it was refused, or (``silent``) there was no use in trying any longer."""
    change = "state = 'failed', error = :why" + (f", proof = {GAVE_UP}" if silent else "")
    return _set(session, delivery_id, attempt, change, why=why[:LONGEST_ERROR])


GAVE_UP = """ proof || '{"gave_up": true}'"""
"""Said of a delivery that failed because its partner was silent: nobody is printed for because of that."""


def later(session: Session, delivery_id: int, attempt: int, why: str, *, real: dt.datetime) -> bool:
    """Put it off after a failed attempt, or give it up after the last; return whether it will be tried again."""
    wait = rules.wait(attempt)
    if wait is None:
        given_up(session, delivery_id, attempt, why, silent=True)
        return False
    change = "state = 'queued', next_at = :next, error = :why"
    _set(session, delivery_id, attempt, change, next=real + wait, why=why[:LONGEST_ERROR])
    return True


def lost(session: Session, delivery_id: int, attempt: int, why: str, *, real: dt.datetime) -> None:
    """Record that no answer came: it may have arrived."""
    change = "state = 'unknown', unanswered = unanswered + 1, next_at = :next, error = :why"
    _set(session, delivery_id, attempt, change, next=real + rules.RESEND, why=why[:LONGEST_ERROR])


def _set(
    session: Session,
    delivery_id: int,
    attempt: int,
    change: str,
    states: Sequence[str] = ("sending", "unknown"),
    **values: Any,
) -> bool:
    statement = (
        f"UPDATE deliveries SET {change} "  # noqa: S608 - code of ours
        "WHERE id = :id AND attempts = :attempt AND state = ANY(:states) RETURNING id"
    )
    params = {"id": delivery_id, "attempt": attempt, "states": list(states), **values}
    return bool(session.execute(text(statement), params).all())


def put_back(session: Session, delivery_ids: Sequence[int], *, unreachable: bool, real: dt.datetime) -> None:
    """Queue again what was taken and never tried: at once, or in a while when no mail can be sent."""
    session.execute(
        text(
            "UPDATE deliveries SET state = 'queued', attempts = attempts - 1, next_at = :next "
            "WHERE id = ANY(:ids) AND state = 'sending'"
        ),
        {"ids": list(delivery_ids), "next": real + (rules.RETRY[0] if unreachable else dt.timedelta(0))},
    )


def take_left_behind(session: Session, *, real: dt.datetime) -> int:
    """Make what has been under way for too long unknown, to be settled when the repeat's wait is over."""
    rows = session.execute(
        text(
            "UPDATE deliveries SET state = 'unknown', unanswered = unanswered + 1, next_at = :next, error = :why "
            "WHERE state = 'sending' AND called_at < :before RETURNING id"
        ),
        {"before": real - rules.STALE, "next": real, "why": LEFT_BEHIND},
    ).all()
    for row in rows:
        log.warning("delivery.left_behind", delivery=row.id)
    return len(rows)


def settle_unknown(
    sessions: SessionFactory, transport: Transport, *, now: dt.datetime, real: dt.datetime
) -> Counter[str]:
    """Settle what got no answer and has waited: sent, to be sent once more, or given up. Returns how many of each."""
    with sessions() as session:
        rows = session.execute(
            text(
                "SELECT id, attempts, unanswered, rfc_message_id FROM deliveries "
                "WHERE state = 'unknown' AND channel = 'email' AND next_at <= :real ORDER BY id"
            ),
            {"real": real},
        ).all()
    counts: Counter[str] = Counter()
    for row in rows:
        found = transport.found(row.id, row.rfc_message_id)
        with sessions.begin() as session:
            if found:
                counts["sent"] += sent(session, row.id, row.attempts, now=now)
            elif found is None and row.unanswered >= rules.UNANSWERED:
                counts["failed"] += given_up(session, row.id, row.attempts, TWICE, silent=True)
            else:
                change = "state = 'queued', next_at = :real"
                counts["repeated"] += _set(session, row.id, row.attempts, change, real=real)
    return counts
