"""What partners said of deliveries becomes their state. Every change is a compare-and-set on the attempt it is about.

queued → sending → sent → delivered (→ ending → ended)      what was refused, or given up: failed
                 ↘ unknown → sent, delivered, failed, or queued again where the partner has never had it
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery import rules
from billing.delivery.plan import fall_back
from billing.delivery.port import (
    Back,
    Delivered,
    Found,
    Handed,
    Later,
    NoAnswer,
    Outcome,
    Refused,
    TakenBack,
    TooLate,
    Unheard,
)

LONGEST = 500
_ANY = ("sending", "unknown", "sent", "queued")
"""From these a partner's word counts, also when its sender has been given up by then."""
_UNDER_WAY = ("sending", "unknown", "sent")

_NEXT = (
    "CAST(:real AS timestamptz) + least(greatest((CAST(:real AS timestamptz) - called_at) / 2, interval '2 minutes'), "
    "interval '6 hours')"
)
"""When a partner is asked (again): the longer ago it was handed over, the later."""


def apply_outcome(
    session: Session, delivery_id: int, attempt: int, outcome: Outcome, now: dt.datetime, real: dt.datetime
) -> str:
    """Record what came of handing a delivery over; return a word for it."""
    if isinstance(outcome, Later):
        return _later(session, delivery_id, attempt, outcome.why, now, real)
    if isinstance(outcome, NoAnswer):
        change = "state = 'unknown', unanswered = unanswered + 1, error = :why, next_at = " + _NEXT
        _set(session, delivery_id, attempt, change, ("sending",), why=outcome.why[:LONGEST], real=real)
        return "unknown"
    return _known(session, delivery_id, attempt, outcome, now, real)


def apply_found(
    session: Session, delivery_id: int, attempt: int, found: Found, now: dt.datetime, real: dt.datetime
) -> str:
    """Record what has become of a delivery that was asked for; return a word for it."""
    if isinstance(found, NoAnswer):
        _set(session, delivery_id, attempt, "next_at = " + _NEXT, ("sent", "unknown"), real=real)
        return "no_answer"
    if isinstance(found, Unheard):
        return _later(session, delivery_id, attempt, "the partner has never had it", now, real)
    return _known(session, delivery_id, attempt, found, now, real)


def apply_back(
    session: Session, delivery_id: int, attempt: int, back: Back, now: dt.datetime, real: dt.datetime
) -> str:
    """Record what came of taking a delivery back; return a word for it."""
    if isinstance(back, TakenBack):
        _set(session, delivery_id, attempt, "state = 'ended', ended_at = :now", ("ending",), now=now)
        return "taken_back"
    if isinstance(back, TooLate):
        _set(session, delivery_id, attempt, "state = 'delivered', error = :why, proof = proof || '{\"stands\": true}'",
             ("ending",), why=back.why[:LONGEST])  # fmt: skip
        return "stands"
    _set(session, delivery_id, attempt, "next_at = :next, error = :why", ("ending",), why=back.why[:LONGEST],
         next=real + rules.RETRY[0])  # fmt: skip
    return "no_answer"


def _known(
    session: Session,
    delivery_id: int,
    attempt: int,
    told: Handed | Delivered | Refused,
    now: dt.datetime,
    real: dt.datetime,
) -> str:
    if isinstance(told, Refused):
        change = "state = 'failed', error = :why, proof = proof || CAST(:proof AS jsonb)"
        done = _set(session, delivery_id, attempt, change, _ANY, why=told.why[:LONGEST], proof=_json(told.proof))
        if done is not None:
            fall_back(session, done, now=now, real=real)
        return "failed"
    # What it costs is added once: when it is taken for the first time.
    change = (
        "error = NULL, partner_ref = :ref, proof = proof || CAST(:proof AS jsonb), "
        "cost_ore = CASE WHEN sent_at IS NULL THEN :cost ELSE cost_ore END, sent_at = coalesce(sent_at, :now), "
    )
    values = {"ref": told.ref, "proof": _json(told.proof), "cost": told.cost_ore, "now": now}
    if isinstance(told, Delivered):
        change += (
            "state = 'delivered', delivered_at = coalesce(delivered_at, :now), opened_at = coalesce(opened_at, :opened)"
        )
        _set(session, delivery_id, attempt, change, _ANY, opened=told.opened_at, **values)
        return "delivered"
    change += "state = 'sent', next_at = " + _NEXT
    return "done" if _set(session, delivery_id, attempt, change, _ANY, real=real, **values) is None else "sent"


def _later(session: Session, delivery_id: int, attempt: int, why: str, now: dt.datetime, real: dt.datetime) -> str:
    """Put it off, or give it up after the last attempt."""
    wait = rules.wait(attempt)
    if wait is not None:
        change = "state = 'queued', next_at = :next, error = :why"
        _set(session, delivery_id, attempt, change, _UNDER_WAY, why=why[:LONGEST], next=real + wait)
        return "later"
    change = "state = 'failed', error = :why, proof = proof || '{\"gave_up\": true}'"
    done = _set(session, delivery_id, attempt, change, _UNDER_WAY, why=why[:LONGEST])
    if done is not None:
        fall_back(session, done, now=now, real=real)
    return "failed"


def _set(
    session: Session, delivery_id: int, attempt: int, change: str, states: tuple[str, ...], **values: Any
) -> int | None:
    """Change a delivery that is still at this attempt and in one of the states; return its message, else None."""
    statement = (
        f"UPDATE deliveries SET {change} "  # noqa: S608 - code of ours
        "WHERE id = :id AND attempts = :attempt AND state = ANY(:states) RETURNING message_id"
    )
    params = {"id": delivery_id, "attempt": attempt, "states": list(states), **values}
    return session.execute(text(statement), params).scalar_one_or_none()


def _json(proof: Mapping[str, Any]) -> str:
    return json.dumps(dict(proof), default=str)
