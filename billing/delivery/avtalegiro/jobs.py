"""The jobs: write files before the bank's cut-off, put them into the outbox, miss receipts that do not come."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import structlog
from sqlalchemy import select, text

from billing.delivery.avtalegiro.cancellations import amend, write_cancellations
from billing.delivery.avtalegiro.channel import NAME, Payee
from billing.delivery.avtalegiro.claims import write_claims
from billing.delivery.models import DeliveryFile
from config.bankdays import add_bank_days
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, Result
from config.outbox import put
from config.rates import whole

log = structlog.get_logger(__name__)

MOST_FILES = 100
"""Files of a kind in one run; what is left waits for the next."""

_UNANSWERED = """
    SELECT id, name, put_at FROM delivery_files
    WHERE channel = 'avtalegiro' AND direction = 'out' AND state = 'put' AND answered_at IS NULL ORDER BY id
"""


def job(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Write what is queued and what is to be taken back, a file a transaction, and put the files out."""
    payee = Payee.of(ctx.settings)
    if payee is None:
        return {"note": "AvtaleGiro is not set up (AVTALEGIRO_SENDER)"}
    counts = write_all(ctx.sessions, payee)
    return {**counts, **job_outbox(ctx, scheduled_for)}


def write_all(sessions: SessionFactory, payee: Payee) -> dict[str, int | str]:
    """Write files until nothing waits; return how many of each kind, and how many transactions."""
    counts: Counter[str] = Counter()
    with sessions.begin() as session:
        counts["amended"] += amend(session, now=business_now(session))
    for kind, verb in (("claims", write_claims), ("cancellations", write_cancellations)):
        for _ in range(MOST_FILES):
            with sessions.begin() as session:
                file = verb(session, payee, now=business_now(session), real=now_utc())
                if file is None:
                    break
                counts[kind] += file.transactions
                counts["files"] += 1
                log.info("avtalegiro.file_made", file=file.name, transactions=file.transactions)
    return {word: number for word, number in counts.items() if number}


def job_outbox(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Put every file that has not been there into the outbox, the oldest first, and alarm for receipts that are missed.

    Each is looked at again under its lock, which is held until it is noted that the file is out.
    """
    del scheduled_for
    with ctx.sessions() as session:
        waiting = session.scalars(
            select(DeliveryFile.id)
            .where(DeliveryFile.channel == NAME, DeliveryFile.direction == "out", DeliveryFile.state == "made")
            .order_by(DeliveryFile.id)
        ).all()
    written = 0
    for file_id in waiting:
        with ctx.sessions.begin() as session:
            row = session.get_one(DeliveryFile, file_id, with_for_update=True)
            if row.state != "made":
                continue
            put(ctx.settings.avtalegiro_outbox, row.name, row.content)
            row.state, row.put_at, name = "put", business_now(session), row.name
        written += 1
        log.info("avtalegiro.file_put", file=name)
    return {"put": written, "unanswered": _unanswered(ctx.sessions)}


def _unanswered(sessions: SessionFactory) -> int:
    """Count the files whose receipt should have come by now, and alarm for each."""
    with sessions() as session:
        today = business_date(business_now(session))
        days = whole("avtalegiro_receipt_bank_days", today)
        rows = session.execute(text(_UNANSWERED)).all()
    missed = [row for row in rows if add_bank_days(business_date(row.put_at), days) < today]
    for row in missed:
        log.warning("avtalegiro.no_receipt", file=row.name)
    return len(missed)
