"""Files for chargers as rows: made once for what they are of, sent until they are there, sent again when asked for."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable, Iterator

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.passages.models import Batch
from billing.roadside.exchange.models import Exchange, Outgoing
from billing.roadside.exchange.rules import answer_name, usable_name
from billing.roadside.formats import FORMATS
from config.clock import now_utc
from config.database import SessionFactory
from config.jobs import ring
from config.problems import Conflict, NotFound

JOB = "exchange"

Producer = Callable[[SessionFactory, Outgoing], Iterator[bytes]]
"""Yields the bytes of a file, the same whenever it is asked for the same row. It opens its own sessions."""

KINDS = {
    "answers": "billing.roadside.exchange.produce:answers",
    "refusal": "billing.roadside.exchange.produce:refusal",
    "amended_answers": "billing.roadside.exchange.amended:content",
    "complaints": "billing.roadside.complaints.send:content",
    "list": "billing.roadside.exchange.produce:status_list",
}
"""Kind of file → module and name of its Producer. ``ref`` is the batch; the incoming file; the first amendment; the
message of complaints; the list's version row (for one sent by hand: the lists' own job sends them otherwise)."""


def producer(kind: str) -> Producer:
    """Return what makes the bytes of a kind. Raises KeyError."""
    module, _, attribute = KINDS[kind].partition(":")
    found: Producer = getattr(importlib.import_module(module), attribute)
    return found


def send_file(
    session: Session,
    charger_id: int,
    kind: str,
    ref: str,
    name: str,
    now: dt.datetime,
    *,
    form: str | None = None,
) -> Outgoing:
    """Have a file sent to a charger, and return its row: the one there is when it has been asked for before.

    ``kind`` must be in ``KINDS``; ``ref`` is what of. ``name`` is what it shall be called there; where another file of
    the charger's has that name, ``ref`` is added. ``form`` is kept for the producer. Raises KeyError; ValueError for
    what cannot be a file's name.
    """
    producer(kind)
    if not usable_name(name):
        raise ValueError(f"a file cannot be called {name!r}")
    known = _known(session, charger_id, kind, ref)
    if known is not None:
        return known
    taken = select(Outgoing.id).where(Outgoing.charger_id == charger_id, Outgoing.name == name)
    if session.scalar(taken) is not None:
        stem, dot, ending = name.partition(".")
        name = answer_name(f"{stem}.x", f"{dot}{ending}", f"-{kind}-{ref}")
    values = {
        "charger_id": charger_id, "kind": kind, "ref": ref, "name": name, "form": form, "made_at": now,
        "next_at": now_utc(),
    }  # fmt: skip
    statement = insert(Outgoing).values(values).on_conflict_do_nothing(index_elements=["charger_id", "kind", "ref"])
    made = session.scalar(statement.returning(Outgoing))
    if made is None:  # by another transaction at the same moment
        made = _known(session, charger_id, kind, ref)
        assert made is not None
    else:
        ring(session, JOB)
    return made


def _known(session: Session, charger_id: int, kind: str, ref: str) -> Outgoing | None:
    return session.scalar(
        select(Outgoing).where(Outgoing.charger_id == charger_id, Outgoing.kind == kind, Outgoing.ref == ref)
    )


def send_answers(session: Session, batch: Batch, now: dt.datetime) -> Outgoing:
    """Have the answer file of a batch sent, in the form of the charger's answers, else in the batch's own."""
    exchange = session.get(Exchange, batch.charger_id)
    form = (exchange.answer_form if exchange is not None else None) or batch.format
    name = answer_name(batch.name, FORMATS[form].answer_suffix)
    return send_file(session, batch.charger_id, "answers", str(batch.id), name, now, form=form)


def resend(
    session: Session, outgoing_id: int | None = None, *, batch_id: int | None = None, now: dt.datetime
) -> Outgoing:
    """Have a file sent again, or the answers of a batch (also one that came over HTTP): the same bytes, by the way the
    charger has now. One that waits already goes at once.

    Raises NotFound; for a batch also when its answers are not kept (``not-kept``), and Conflict while it is being
    booked (``being-booked``) or when it was refused whole and has none (``file-refused``).
    """
    if batch_id is not None:
        outgoing_id = send_answers(session, _answered(session, batch_id), now).id
    row = session.scalar(
        update(Outgoing)
        .where(Outgoing.id == outgoing_id)
        .values(state="waiting", attempts=0, error=None, next_at=now_utc())
        .returning(Outgoing)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("There is no such file.")
    ring(session, JOB)
    return row


def _answered(session: Session, batch_id: int) -> Batch:
    batch = session.get(Batch, batch_id)
    if batch is None:
        raise NotFound("There is no such file.")
    if batch.state == "receiving":
        raise Conflict("This file is being booked; its answers are whole when it is done.", slug="being-booked")
    if batch.state == "refused":
        raise Conflict(f"This file was refused whole: {batch.error}.", slug="file-refused")
    if batch.bytes is None and batch.done:
        raise NotFound("This file came before answers were kept.", slug="not-kept")
    return batch


_UNANSWERED = text("""
    SELECT b.id FROM (
        SELECT id, way, state FROM batches WHERE charger_id = :charger ORDER BY id DESC LIMIT 2000
    ) AS b
    WHERE b.way IN ('inbox', 'sftp') AND b.state = 'done' AND NOT EXISTS (
        SELECT FROM outgoing_files AS o
        WHERE o.charger_id = :charger AND o.kind = 'answers' AND o.ref = CAST(b.id AS text))
    ORDER BY b.id
""")


def answer_all(session: Session, charger_id: int, now: dt.datetime) -> int:
    """Have the answers sent of batches that came by file and have none: those whose booking others have ended. Looks at
    the newest two thousand of the charger; return how many."""
    found = list(session.scalars(_UNANSWERED, {"charger": charger_id}))
    for batch_id in found:
        send_answers(session, session.get_one(Batch, batch_id), now)
    return len(found)
