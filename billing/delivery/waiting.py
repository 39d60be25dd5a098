"""Deliveries whose turn has come: taken with all that their words need, or dropped when no longer true."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from billing.claims import queries
from billing.delivery.mail import message_id
from billing.delivery.rules import no_longer_true
from billing.delivery.words import Bill, Told
from config.clock import business_date, to_oslo
from config.rates import whole

_TAKE = """
    SELECT d.id, d.message_id, d.queued_at, d.rfc_message_id, d.attempts, m.template, m.data, m.document_id,
           a.id AS agreement_id, a.number AS agreement, a.standing, a.closed_at, c.name, c.email,
           coalesce(doc.language, c.language) AS language,
           doc.number AS invoice, doc.kid,
           greatest(doc.due_on, (SELECT max(due_on) FROM due_extensions WHERE document_id = doc.id)) AS due_on,
           doc.total_ore - doc.credit_used_ore - doc.paid_ore AS left_ore,
           doc.seller ->> 'account' AS account, cl.amount_ore - cl.settled_ore AS open_ore,
           EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id) AS replaced,
           coalesce((SELECT number FROM documents WHERE id = doc.credits_id),
                    (SELECT number FROM documents WHERE claim_id = doc.claim_id AND version = doc.version - 1
                         AND credits_id IS NULL AND doc.credits_id IS NULL)) AS before
    FROM deliveries AS d
    JOIN messages AS m ON m.id = d.message_id
    JOIN agreements AS a ON a.id = d.agreement_id
    JOIN customers AS c ON c.id = a.customer_id
    LEFT JOIN documents AS doc ON doc.id = m.document_id
    LEFT JOIN claims AS cl ON cl.id = doc.claim_id
    WHERE d.state = 'queued' AND d.channel = 'email' AND d.next_at <= :real
    ORDER BY d.next_at, d.id LIMIT :chunk FOR UPDATE OF d SKIP LOCKED
"""
_SENDING = """
    UPDATE deliveries AS d SET state = 'sending', attempts = d.attempts + 1, called_at = :real, error = NULL,
           recipient = t.email, rfc_message_id = t.rfc
    FROM unnest(CAST(:ids AS bigint[]), CAST(:emails AS text[]), CAST(:rfcs AS text[])) AS t (id, email, rfc)
    WHERE d.id = t.id
"""
_DROPPED = """
    UPDATE deliveries AS d SET state = 'dropped', error = t.why
    FROM unnest(CAST(:ids AS bigint[]), CAST(:whys AS text[])) AS t (id, why) WHERE d.id = t.id
"""


@dataclass(frozen=True)
class Taken:
    """A delivery under way: its how-manyeth attempt, what is told to whom. ``document_id``: that of the message."""

    delivery_id: int
    message_id: int
    attempt: int
    rfc_message_id: str
    template: str
    document_id: int | None
    email: str
    told: Told


@dataclass(frozen=True)
class Chunk:
    """What was taken, and how many were dropped instead."""

    taken: list[Taken]
    dropped: int

    def __bool__(self) -> bool:
        return bool(self.taken or self.dropped)


def take(session: Session, limit: int, *, sender: str, account: str, now: dt.datetime, real: dt.datetime) -> Chunk:
    """Mark the next deliveries as being sent, those no longer true as dropped, and return them.

    ``sender`` is our address (its domain is in the Message-IDs), ``account`` the one customers pay to. ``now`` is
    business time, ``real`` real time. The caller commits before anything is sent. Two at once take different ones.
    """
    rows = session.execute(text(_TAKE), {"real": real, "chunk": limit}).all()
    today = business_date(now)
    due = _due(session, [row.agreement_id for row in rows if row.template == "blocked"], account, today)
    taken: list[Taken] = []
    dropped: dict[int, str] = {}
    for row in rows:
        why = no_longer_true(
            row.template,
            standing=row.standing,
            open_ore=row.open_ore or 0,
            due_on=row.due_on,
            replaced=row.replaced,
            data=row.data,
            closed_at=row.closed_at,
            today=today,
        )
        if why is None and row.template == "blocked" and not due[row.agreement_id]:
            why = "nothing is due"
        if why is None:
            taken.append(_taken(row, due[row.agreement_id], sender))
        else:
            dropped[row.id] = why
    _write(session, taken, dropped, real)
    return Chunk(taken, len(dropped))


def _write(session: Session, taken: Sequence[Taken], dropped: dict[int, str], real: dt.datetime) -> None:
    if taken:
        columns = {
            "ids": [one.delivery_id for one in taken],
            "emails": [one.email for one in taken],
            "rfcs": [one.rfc_message_id for one in taken],
        }
        session.execute(text(_SENDING), {"real": real, **columns})
    if dropped:
        session.execute(text(_DROPPED), {"ids": list(dropped), "whys": list(dropped.values())})


def _due(session: Session, agreement_ids: Sequence[int], account: str, today: dt.date) -> dict[int, list[Bill]]:
    """Return what is past due now, by agreement: it may have become less or more since the message was written."""
    found: dict[int, list[Bill]] = defaultdict(list)
    if not agreement_ids:
        return found
    for claim in queries.due(session, agreement_ids, today, whole("overdue_remainder_ore", today)):
        if claim.number is not None and claim.kid is not None and claim.due_on is not None:
            found[claim.agreement_id].append(Bill(claim.number, claim.open_ore, claim.kid, account, claim.due_on))
    return found


def _taken(row: Row[Any], due: Sequence[Bill], sender: str) -> Taken:
    bill = None
    if row.invoice is not None and row.kid is not None and row.due_on is not None:
        # A document says what it said when it was issued; a reminder what is left of it.
        ore = row.open_ore if row.template == "reminder" else row.left_ore
        bill = Bill(row.invoice, ore, row.kid, row.account, row.due_on)
    came = row.data.get("from") if row.template == "closed" else None
    told = Told(
        name=row.name,
        language=row.language,
        agreement=row.agreement,
        invoice=row.invoice,
        # A credit note's sum is told as what is credited.
        amount_ore=abs(row.left_ore if row.left_ore is not None else int(row.data.get("amount_ore", 0))),
        before=row.before,
        bill=bill,
        due=tuple(due),
        from_when=to_oslo(dt.datetime.fromisoformat(came)) if came else None,
        facts=row.data.get("facts", {}),
    )
    rfc = row.rfc_message_id or message_id(row.id, row.queued_at, sender)
    return Taken(row.id, row.message_id, row.attempts + 1, rfc, row.template, row.document_id, row.email, told)
