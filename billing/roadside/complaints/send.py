"""Send complaints to the chargers that exchange files with us; the others read them over the API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import msgspec
import structlog
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.complaints import answer, queries
from billing.roadside.complaints.models import Complaint, ComplaintMessage
from billing.roadside.complaints.withdraw import MOST as MOST_GIVEN_UP
from billing.roadside.complaints.withdraw import give_up
from billing.roadside.exchange.models import Exchange, Outgoing
from billing.roadside.exchange.outgoing import send_file
from billing.roadside.formats import iso12855
from config.clock import business_now
from config.database import SessionFactory
from config.jobs import JobContext

MOST = 500
"""Complaints in one message."""
NOTHING_SAID = "–"
"""Where the customer only said what kind of mistake it is: a message must have a text."""
log = structlog.get_logger(__name__)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Wait no longer for what was never answered, send what waits to be sent, link corrections that have come, and say
    which answers and corrections have not."""
    del scheduled_for
    given_up = _give_up(ctx)
    with ctx.sessions.begin() as session:
        linked = answer.link(session)
        answer.let_go(session, business_now(session))
        overdue = queries.count_overdue(session, business_now(session))
        unanswered = queries.count_unanswered(session, business_now(session))
        chargers = list(session.scalars(select(Exchange.charger_id).where(Exchange.enabled)))
    sent = 0
    for charger_id in chargers:
        while True:
            with ctx.sessions.begin() as session:
                some = send(session, charger_id, business_now(session))
            sent += some
            if some < MOST:
                break
    if overdue:
        log.warning("complaints.no_correction", complaints=overdue)
    if unanswered:
        log.warning("complaints.no_answer", complaints=unanswered)
    return {"sent": sent, "linked": linked, "overdue": overdue, "unanswered": unanswered, "given_up": given_up}


def _give_up(ctx: JobContext) -> int:
    done = 0
    while True:
        with ctx.sessions.begin() as session:
            some = give_up(session, business_now(session))
        done += some
        if some < MOST_GIVEN_UP:
            return done


def send(session: Session, charger_id: int, now: dt.datetime) -> int:
    """Put a charger's next complaints into a message and have it sent; return how many. Two at once wait for each
    other at the charger's row."""
    charger = session.scalars(select(Charger).where(Charger.id == charger_id).with_for_update(key_share=True)).one()
    query = select(Complaint).where(
        Complaint.charger_id == charger_id,
        Complaint.state == "made",
        Complaint.let_go_why.is_distinct_from("withdrawn"),
    )
    rows = session.scalars(query.order_by(Complaint.id).limit(MOST).with_for_update(key_share=True)).all()
    if not rows:
        return 0
    exchange = session.get_one(Exchange, charger_id)
    numbers = select(func.coalesce(func.max(ComplaintMessage.number), 0) + 1)
    number = session.scalars(numbers.where(ComplaintMessage.charger_id == charger_id)).one()
    iso = "iso12855" in (exchange.form, exchange.answer_form)
    content = b"".join(_xml(charger, number, now, rows) if iso else _lines(rows))
    values = {"charger_id": charger_id, "number": number, "content": content, "made_at": now}
    message_id = session.execute(insert(ComplaintMessage).returning(ComplaintMessage.id), [values]).scalar_one()
    session.execute(
        update(Complaint)
        .where(Complaint.id.in_([row.id for row in rows]))
        .values(state="sent", sent_at=now, message_id=message_id)
        .execution_options(synchronize_session=False)
    )
    name = f"complaints-{charger.code}-{number}.{'xml' if iso else 'jsonl'}"
    send_file(session, charger_id, "complaints", str(message_id), name, now, form="iso12855" if iso else "jsonl")
    return len(rows)


def _xml(charger: Charger, number: int, now: dt.datetime, rows: Sequence[Complaint]) -> Iterator[bytes]:
    said = [iso12855.Complaint(str(row.id), row.source_id, row.kind, row.text or NOTHING_SAID) for row in rows]
    return iso12855.render_complaints(charger.code, number, now, said)


def _lines(rows: Sequence[Complaint]) -> Iterator[bytes]:
    for row in rows:
        said = {
            "complaint": row.id,
            "record": row.source_id,
            "kind": row.kind,
            "text": row.text,
            "made_at": row.made_at,
        }
        yield msgspec.json.encode(said) + b"\n"


def content(sessions: SessionFactory, row: Outgoing) -> Iterator[bytes]:
    """Yield the bytes of message ``ref``, as they were made."""
    with sessions() as session:
        yield session.get_one(ComplaintMessage, int(row.ref)).content
