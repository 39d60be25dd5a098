"""Read the mailbox that bounces come to: each mail once, each in a transaction of its own, and what follows from it.

Only what names a mail of ours, by the whole Message-ID that its delivery has, changes anything. Who got a mail knows
its Message-ID and could forge a notice about it: all it brings them is the same document by another way.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.delivery.bounces.boxes import Box, MailboxError, open_box
from billing.delivery.bounces.notice import MAX_BYTES, Notice, UnreadableError, read
from billing.delivery.mail_models import BouncedMail
from billing.delivery.plan import fall_back
from config.clock import business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, Result

log = structlog.get_logger(__name__)

MOST = 2_000
"""Mails of one look; the rest waits for the next."""
CHUNK = 1_000
_OURS = re.compile(r"<([1-9][0-9]{0,17})\.[0-9]{20}@")
_DELIVERY = """
    SELECT id, message_id, recipient, state,
           state IN ('sent', 'unknown', 'sending') OR (state = 'queued' AND unanswered > 0) AS under_way
    FROM deliveries
    WHERE id = :id AND rfc_message_id = :rfc AND channel = 'email' FOR NO KEY UPDATE
"""
# Under way: a mail that comes back has not reached its reader. Once a person has opened it (delivered), another channel
# was asked, or support is about to send it again, a notice is kept and changes nothing.
_PROOF = "UPDATE deliveries SET proof = proof || jsonb_build_object(CAST(:name AS text), CAST(:said AS jsonb))"


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Read what is new in the mailbox of BOUNCE_URL; say how many of each outcome."""
    del scheduled_for
    target = ctx.settings.bounce_url
    if target is None:
        return {}
    try:
        box = open_box(ctx.settings, target)
        try:
            return read_box(ctx.sessions, box)
        finally:
            box.close()
    except MailboxError as error:
        log.warning("bounces.mailbox", error=str(error))
        return {"error": str(error)}


def read_box(sessions: SessionFactory, box: Box, most: int = MOST) -> Result:
    """Read what is new in a mailbox. Raises MailboxError; what was read by then stays read."""
    counts: Counter[str] = Counter()
    with sessions() as session:
        last = session.scalar(
            select(func.max(BouncedMail.name)).where(
                BouncedMail.mailbox == box.key, BouncedMail.name.startswith(box.era, autoescape=True)
            )
        )
    for name in _new(sessions, box, box.names(last))[:most]:
        content = box.beginning(name, MAX_BYTES)
        if content is None:
            continue
        with sessions.begin() as session:
            counts[take(session, box.key, name, content, now=business_now(session), real=now_utc())] += 1
    return dict(counts)


def _new(sessions: SessionFactory, box: Box, names: Sequence[str]) -> list[str]:
    """Return those names that have not been read, in their order."""
    found: list[str] = []
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        with sessions() as session:
            query = select(BouncedMail.name).where(BouncedMail.mailbox == box.key, BouncedMail.name.in_(chunk))
            known = set(session.scalars(query))
        found += [name for name in chunk if name not in known]
    return found


def take(session: Session, mailbox: str, name: str, content: bytes, *, now: dt.datetime, real: dt.datetime) -> str:
    """Take one mail; return what it was (mail_models.OUTCOMES), or ``already``. Never raises for what is in the mail.

    Comes ours back for good, its delivery is ``failed`` with the notice as proof, and the next channel follows. ``now``
    is business time, ``real`` real time.
    """
    row: dict[str, Any] = {"mailbox": mailbox, "name": name, "read_at": now}
    try:
        mail = read(content)
    except UnreadableError:
        return _note(session, row | {"outcome": "unreadable"})
    delivery = _delivery(session, mail.notice.returned) if mail.notice else None
    if mail.notice is None or delivery is None:
        return _note(session, row | {"outcome": "foreign"})
    notice = mail.notice
    about = {
        "rfc_message_id": mail.own_id, "delivery_id": delivery.id, "recipient": notice.recipient,
        "status": notice.status, "diagnostic": notice.diagnostic,
    }  # fmt: skip
    outcome = _outcome(session, notice, mail.own_id, delivery)
    noted = _note(session, row | about | {"outcome": outcome})
    if noted == "permanent" and delivery.under_way:
        _failed(session, delivery, notice, now, real)
    elif noted == "temporary" and delivery.under_way:
        _say(session, delivery.id, "delayed", notice, now)
    return noted


def _delivery(session: Session, returned: Sequence[str]) -> Row[Any] | None:
    for rfc in returned[:5]:
        match = _OURS.match(rfc)
        if match is not None:
            found = session.execute(text(_DELIVERY), {"id": int(match[1]), "rfc": rfc}).one_or_none()
            if found is not None:
                return found
    return None


def _outcome(session: Session, notice: Notice, own_id: str | None, delivery: Row[Any]) -> str:
    """Return what a notice is, by what was read before: support may have sent the mail again meanwhile."""
    before = select(BouncedMail.id).where(BouncedMail.delivery_id == delivery.id).limit(1)
    if own_id is not None and session.scalar(before.where(BouncedMail.rfc_message_id == own_id)) is not None:
        return "repeat"
    theirs, ours = notice.recipient, (delivery.recipient or "").lower()
    if theirs and theirs != ours:
        # Somebody's forwarding names an address that we do not know. One that came back before is an old one of ours.
        old = before.where(BouncedMail.recipient == theirs, BouncedMail.outcome == "permanent")
        if session.scalar(old) is not None:
            return "other_address"
    return notice.verdict


def _note(session: Session, row: dict[str, Any]) -> str:
    done = session.execute(insert(BouncedMail).values(row).on_conflict_do_nothing().returning(BouncedMail.id)).all()
    return str(row["outcome"]) if done else "already"


def _failed(session: Session, delivery: Row[Any], notice: Notice, now: dt.datetime, real: dt.datetime) -> None:
    why = f"it came back: {notice.diagnostic or notice.status or 'no reason was given'}"[:500]
    session.execute(
        text("UPDATE deliveries SET state = 'failed', error = :why WHERE id = :id"), {"id": delivery.id, "why": why}
    )
    _say(session, delivery.id, "bounce", notice, now)
    fall_back(session, delivery.message_id, now=now, real=real)
    log.info("bounces.failed", delivery=delivery.id, status=notice.status)


def _say(session: Session, delivery_id: int, name: str, notice: Notice, now: dt.datetime) -> None:
    said = {"status": notice.status, "diagnostic": notice.diagnostic, "read_at": now.isoformat()}
    session.execute(text(f"{_PROOF} WHERE id = :id"), {"id": delivery_id, "name": name, "said": json.dumps(said)})
