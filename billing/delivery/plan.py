"""Plan: a message becomes a delivery by the channel its reader chose.

``WAYS`` says for each choice which channels are tried, in order: the first is planned here, a later one by
``fall_back`` when the one before it cannot reach the reader at all. A new channel is a line here and a transport.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.database import touched

CHUNK = 1_000

WAYS: Mapping[str, tuple[str, ...]] = {"email": ("email",)}
"""Choice of the customer → channels, the first tried first."""

_PLAN = """
    WITH waiting AS (
        SELECT id, agreement_id FROM messages WHERE planned_at IS NULL ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    ), made AS (
        INSERT INTO deliveries (message_id, agreement_id, channel, next_at, queued_at)
        SELECT w.id, w.agreement_id, way.channel, :real, :now
        FROM waiting AS w
        JOIN agreements AS a ON a.id = w.agreement_id
        JOIN customers AS k ON k.id = a.customer_id
        JOIN unnest(CAST(:choices AS text[]), CAST(:channels AS text[])) AS way (choice, channel)
            ON way.choice = k.channel
        ORDER BY w.id
        ON CONFLICT (message_id, channel) DO NOTHING
    )
    UPDATE messages SET planned_at = :now WHERE id IN (SELECT id FROM waiting)
"""


def plan(session: Session, *, now: dt.datetime, real: dt.datetime) -> int:
    """Plan the deliveries of the next messages; return how many messages. Two at once share the messages."""
    result = session.execute(
        text(_PLAN),
        {
            "limit": CHUNK,
            "now": now,
            "real": real,
            "choices": list(WAYS),
            "channels": [channels[0] for channels in WAYS.values()],
        },
    )
    return touched(result)


def next_channel(choice: str, tried: set[str]) -> str | None:
    """Return the channel to try after those tried; None when there is none left."""
    return next((channel for channel in WAYS.get(choice, ()) if channel not in tried), None)


def fall_back(session: Session, message_id: int, *, now: dt.datetime, real: dt.datetime) -> str | None:
    """Queue a message on the next channel of its reader's choice; return that channel, None when there is none."""
    rows = session.execute(
        text(
            "SELECT k.channel AS choice, d.channel FROM deliveries AS d JOIN agreements AS a ON a.id = d.agreement_id "
            "JOIN customers AS k ON k.id = a.customer_id WHERE d.message_id = :message"
        ),
        {"message": message_id},
    ).all()
    channel = next_channel(rows[0].choice, {row.channel for row in rows}) if rows else None
    if channel is not None:
        session.execute(
            text(
                "INSERT INTO deliveries (message_id, agreement_id, channel, next_at, queued_at) "
                "SELECT id, agreement_id, :channel, :real, :now FROM messages WHERE id = :message "
                "ON CONFLICT (message_id, channel) DO NOTHING"
            ),
            {"channel": channel, "real": real, "now": now, "message": message_id},
        )
    return channel
