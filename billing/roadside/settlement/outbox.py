"""The bank's outbox: released orders as files, each whole when its name appears, and put there once.

The name and the bytes of an order never change, and neither does its message id, by which a bank refuses a file that
it has had; so a file which was put there before a crash is found again and left alone (config.outbox). An order is put
there while its row is locked and still says that it is released: one that was ended meanwhile stays here, and one that
is out cannot end before that is noted.
"""

from __future__ import annotations

import datetime as dt

import structlog

from billing.roadside.settlement.models import ChargerOrder
from billing.roadside.settlement.order import unwritten
from config.clock import business_now
from config.jobs import JobContext
from config.outbox import put

log = structlog.get_logger(__name__)


def file_name(end_to_end_id: str) -> str:
    """Return what an order's file is called in the outbox."""
    return f"brikke-{end_to_end_id}.xml"


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Put every released order into the outbox, each in a transaction of its own which notes it."""
    with ctx.sessions() as session:
        waiting = unwritten(session)
    written = 0
    for order_id in waiting:
        with ctx.sessions.begin() as session:
            row = session.get_one(ChargerOrder, order_id, with_for_update=True)
            if row.state != "released" or row.written_at is not None:
                continue
            if row.content is None:
                raise ValueError(f"order {order_id} is released and has no file")
            name = file_name(row.end_to_end_id)
            put(ctx.settings.bank_outbox, name, row.content)
            row.state, row.written_at = "written", business_now(session)
        written += 1
        log.info("bank_outbox.written", file=name)
    return {"written": written}
