"""Plan: a message becomes a delivery.

What is told by e-mail in any case (all that is no document, and the documents of private customers who chose e-mail) is
planned here, set-based. What goes by another way is chosen one by one (`choose.py`). What failed is followed: its
message waits for a choice again, which leaves out what was tried.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.delivery.readers import DOCUMENTS
from config.database import touched
from config.jobs import ring

CHUNK = 1_000

# One that presents its document already (it is told again) makes this a copy. A conflict with one that is planned
# beside this leaves the message for the next round, which sees it.
_PLAN = """
    WITH waiting AS (
        SELECT m.id, m.agreement_id, k.email, d.id AS document_id, m.template = ANY(:documents) AS chosen,
               m.template = ANY(:invoices) AND d.kid IS NOT NULL AND c.settled_ore < c.amount_ore AND NOT EXISTS (
                   SELECT FROM deliveries AS o WHERE o.document_id = d.id AND o.presents
                   AND o.state IN ('queued', 'sending', 'sent', 'unknown', 'delivered', 'ending')) AS presents
        FROM messages AS m
        JOIN agreements AS a ON a.id = m.agreement_id
        JOIN customers AS k ON k.id = a.customer_id
        LEFT JOIN documents AS d ON d.id = m.document_id
        LEFT JOIN claims AS c ON c.id = d.claim_id
        WHERE m.planned_at IS NULL AND (m.template <> ALL(:documents) OR d.id IS NULL
              OR (k.channel = 'email' AND k.kind = 'private'
                  AND NOT EXISTS (SELECT FROM deliveries AS t WHERE t.message_id = m.id)
                  AND NOT EXISTS (SELECT FROM channel_choices AS s WHERE s.message_id = m.id
                                  AND s.ordinal = 1 AND s.cause = 'agent')))
        ORDER BY m.id LIMIT :limit FOR UPDATE OF m SKIP LOCKED
    ), made AS (
        INSERT INTO deliveries (message_id, agreement_id, document_id, channel, presents, next_at, queued_at)
        SELECT id, agreement_id, document_id, 'email', presents, :real, :now FROM waiting ORDER BY id
        ON CONFLICT DO NOTHING RETURNING message_id
    ), said AS (
        INSERT INTO channel_choices (message_id, ordinal, agreement_id, document_id, at, cause, channel, considered)
        SELECT id, 1, agreement_id, document_id, :now, 'first', 'email', CAST(:chosen AS jsonb)
        FROM waiting WHERE chosen AND document_id IS NOT NULL AND id IN (SELECT message_id FROM made)
        ON CONFLICT DO NOTHING
    )
    UPDATE messages SET planned_at = :now WHERE id IN (SELECT message_id FROM made)
        OR id IN (SELECT w.id FROM waiting AS w JOIN deliveries AS t ON t.message_id = w.id)
"""
_CHOSEN = '[{"channel": "email", "verdict": "yes", "why": "chosen"}]'

# What goes beside (it presents nothing) is followed only where nothing else of the message stands.
_FOLLOW = """
    WITH failed AS (
        UPDATE deliveries AS d SET followed_at = :now
        WHERE d.state = 'failed' AND d.followed_at IS NULL
          AND (CAST(:message AS bigint) IS NULL OR d.message_id = :message)
        RETURNING d.message_id, d.presents
    )
    UPDATE messages AS m SET planned_at = NULL
    FROM failed AS f
    WHERE m.id = f.message_id AND m.template = ANY(:documents) AND (f.presents OR NOT EXISTS (
        SELECT FROM deliveries AS o WHERE o.message_id = m.id
        AND o.state IN ('queued', 'sending', 'sent', 'unknown', 'delivered')))
"""


def plan(session: Session, *, now: dt.datetime, real: dt.datetime) -> int:
    """Plan the e-mails of the next messages; return how many messages. Two at once share the messages."""
    result = session.execute(
        text(_PLAN),
        {
            "limit": CHUNK,
            "now": now,
            "real": real,
            "documents": list(DOCUMENTS),
            "invoices": [name for name, what in DOCUMENTS.items() if what == "invoice"],
            "chosen": _CHOSEN,
        },
    )
    return touched(result)


def follow(session: Session, *, now: dt.datetime, message_id: int | None = None) -> int:
    """Have what failed (of one message, or all) chosen for anew; return how many messages wait for that now.

    Once a failure. What is no document has no other way: support sees it (`desk.troubled`).
    """
    result = session.execute(text(_FOLLOW), {"now": now, "message": message_id, "documents": list(DOCUMENTS)})
    return touched(result)


def fall_back(session: Session, message_id: int, *, now: dt.datetime, real: dt.datetime) -> bool:
    """Have a message whose delivery has just failed go by the next way; return whether there may be one."""
    del real
    again = follow(session, now=now, message_id=message_id) > 0
    if again:
        ring(session, "deliveries")
    return again
