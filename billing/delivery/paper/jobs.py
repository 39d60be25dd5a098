"""The jobs: write batches, put them at the print house, read what it confirms, and miss confirmations.

Neither putting nor fetching happens in a transaction: a file that was put and not noted is put again, which is
harmless; a confirmation that was read and not cleared away is known by its bytes.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter

import structlog
from sqlalchemy import select, text, update

from billing.delivery.models import DeliveryFile
from billing.delivery.paper.channel import NAME
from billing.delivery.paper.confirm import MAX_BYTES
from billing.delivery.paper.places import Place, open_place
from billing.delivery.paper.settle import settle
from billing.delivery.paper.write import KIND, write_all
from billing.invoices.pdf.processes import shared
from config.clock import business_date, business_now, now_utc
from config.database import SessionFactory
from config.jobs import JobContext, Result
from config.rates import whole

log = structlog.get_logger(__name__)

MOST_FILES = 200
"""Files put, and read, in one look; the rest waits for the next."""

_MISSED = """
    SELECT f.name FROM delivery_files AS f
    WHERE f.channel = 'paper' AND f.direction = 'out' AND f.state IN ('put', 'accepted') AND f.put_at < :before
      AND EXISTS (SELECT FROM deliveries AS d WHERE d.file_id = f.id AND d.state = 'sent') ORDER BY f.id LIMIT 100
"""


def job_batches(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Write what waits for paper into batches, and put them."""
    if ctx.settings.print_target is None:
        return {}
    return {**write_all(ctx.sessions, shared()), **job_exchange(ctx, scheduled_for)}


def job_exchange(ctx: JobContext, scheduled_for: dt.datetime) -> Result:
    """Put the batches that are not there yet, read the confirmations that are there, and name what is missed."""
    del scheduled_for
    counts: Counter[str] = Counter()
    if ctx.settings.print_target is None:
        return {}
    problem: str | None = None
    try:
        with open_place(ctx.settings) as place:
            if place is not None:
                put_all(ctx.sessions, place, counts)
                read_all(ctx.sessions, place, counts)
    except OSError as error:  # what was done by then stays done
        problem = str(error)
        log.warning("paper.exchange", error=problem)
    missed = unconfirmed(ctx.sessions)
    if missed:
        log.warning("paper.unconfirmed", batches=len(missed), first=missed[0])
        counts["unconfirmed"] = len(missed)
    return {**counts, **({"error": problem} if problem else {})}


def put_all(sessions: SessionFactory, place: Place, counts: Counter[str]) -> None:
    """Put every batch that waits, the oldest first. Raises OSError at the first that cannot be."""
    query = select(DeliveryFile.id).where(
        DeliveryFile.channel == NAME, DeliveryFile.kind == KIND, DeliveryFile.state == "made"
    )
    with sessions() as session:
        waiting = session.scalars(query.order_by(DeliveryFile.id).limit(MOST_FILES)).all()
    for file_id in waiting:
        with sessions() as session:
            row = session.get_one(DeliveryFile, file_id)
            name, content = row.name, row.content
        place.put(name, content)
        with sessions.begin() as session:
            changed = update(DeliveryFile).where(DeliveryFile.id == file_id, DeliveryFile.state == "made")
            now = business_now(session)
            session.execute(changed.values(state="put", put_at=now, puts=DeliveryFile.puts + 1))
        counts["put"] += 1
        log.info("paper.batch_put", file=name)


def read_all(sessions: SessionFactory, place: Place, counts: Counter[str]) -> None:
    """Read every confirmation that is there whole, each in a transaction of its own, then clear it away."""
    for file in place.waiting()[:MOST_FILES]:
        if file.size > MAX_BYTES:
            counts["too_large"] += 1
            log.warning("paper.confirmation_too_large", file=file.name, bytes=file.size)
            place.clear(file, refused=True)
            continue
        content = place.fetch(file)
        with sessions.begin() as session:
            done = settle(session, file.name, content, now=business_now(session), real=now_utc())
        counts[done.outcome] += 1
        counts["posted"] += done.posted
        counts["rejected"] += done.rejected
        place.clear(file, refused=done.outcome == "refused")


def unconfirmed(sessions: SessionFactory) -> list[str]:
    """Return the batches that have lain at the print house for the figure ``print_unconfirmed_days`` and of which
    letters are neither posted nor rejected."""
    with sessions() as session:
        now = business_now(session)
        before = now - dt.timedelta(days=whole("print_unconfirmed_days", business_date(now)))
        return list(session.scalars(text(_MISSED), {"before": before}))
