"""Write batches: what is queued for paper gets its page outside any transaction, then file and deliveries in one.

What cannot be posted is failed and says why, so that support sees it; what is paid or replaced by now is dropped.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, func, select, text
from sqlalchemy.orm import Session

from billing.delivery import rules
from billing.delivery.copies import copy_form
from billing.delivery.costs import add_cost
from billing.delivery.links import BILLS
from billing.delivery.models import DeliveryFile
from billing.delivery.paper.address import BadAddress, Place, lines
from billing.delivery.paper.batch import Letter, batch_name, build
from billing.delivery.paper.channel import NAME, shown
from billing.delivery.plan import fall_back
from billing.invoices.pdf.processes import Renderer, RenderError
from billing.invoices.render import pdf
from config.clock import business_now, now_utc
from config.database import SessionFactory

log = structlog.get_logger(__name__)

KIND = "print"
MOST = 1_000
MOST_BYTES = 64 * 1024 * 1024
"""Letters, and bytes of pages, of one batch."""
SIDE_BY_SIDE = 20
LONGEST_ERROR = 300

_QUEUED = """
    SELECT d.id, d.message_id, d.presents, d.attempts, m.template, doc.id AS document_id, k.details_in_copy, k.name,
           k.street, k.postal_code, k.city, k.country, c.amount_ore > c.settled_ore AS open,
           EXISTS (SELECT FROM documents AS n WHERE n.credits_id = doc.id) AS credited
    FROM deliveries AS d
    JOIN messages AS m ON m.id = d.message_id
    JOIN agreements AS a ON a.id = d.agreement_id
    JOIN customers AS k ON k.id = a.customer_id
    LEFT JOIN documents AS doc ON doc.id = m.document_id
    LEFT JOIN claims AS c ON c.id = doc.claim_id
    WHERE d.channel = 'paper' AND d.state = 'queued' AND d.next_at <= :real
"""
_NEXT = _QUEUED + " ORDER BY d.id LIMIT :most"
_TAKE = _QUEUED + " AND d.id = ANY(:ids) ORDER BY d.id FOR UPDATE OF d SKIP LOCKED"
_NOT = """
    UPDATE deliveries AS d SET state = t.state, error = t.why
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:whys AS text[])) AS t (id, state, why)
    WHERE d.id = t.id
"""
_SENT = """
    UPDATE deliveries AS d SET state = 'sent', attempts = d.attempts + 1, called_at = :real, sent_at = :now,
           file_id = :file, file_line = t.sheet, recipient = t.recipient, partner_ref = NULL, error = NULL,
           proof = d.proof || jsonb_build_object('batch', CAST(:batch AS text), 'sheet', t.sheet)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:sheets AS integer[]), CAST(:recipients AS text[]))
        AS t (id, sheet, recipient)
    WHERE d.id = t.id
"""
_LATER = """
    UPDATE deliveries SET attempts = attempts + 1, next_at = :next, error = :why WHERE id = :id AND state = 'queued'
"""


@dataclass(frozen=True)
class _Not:
    row: Row[Any]
    state: str
    why: str


def prepare(sessions: SessionFactory, renderer: Renderer, most: int = MOST, most_bytes: int = MOST_BYTES) -> Pages:
    """Make, or read, the pages of the next letters: at most so many, and so many bytes (one letter at least).

    What is no letter (a bad address, paid, no document) is named as well, without a page. A page that cannot be made
    puts its letter off and costs the others nothing.
    """
    with sessions() as session:
        rows = session.execute(text(_NEXT), {"real": now_utc(), "most": most}).all()
    found: dict[int, bytes | None] = {row.id: None for row in rows if isinstance(_judged(row), _Not)}
    letters = [row for row in rows if row.id not in found]
    size = 0
    with ThreadPoolExecutor(renderer.processes, thread_name_prefix="paper") as threads:
        for start in range(0, len(letters), SIDE_BY_SIDE):
            chunk = letters[start : start + SIDE_BY_SIDE]
            for row, page in zip(chunk, threads.map(lambda one: _page(sessions, one, renderer), chunk), strict=True):
                if isinstance(page, Exception):
                    _put_off(sessions, row, page)
                    continue
                if size and size + len(page) > most_bytes:
                    return found
                size += len(page)
                found[row.id] = page
    return found


Pages = Mapping[int, bytes | None]
"""By delivery: its page, or None for what is not to be printed."""


def write_batch(session: Session, pages: Pages, *, now: dt.datetime, real: dt.datetime) -> DeliveryFile | None:
    """Put the letters whose pages are there into a new batch; return it, None when there is none to print.

    In one transaction: the file, its deliveries ``sent`` with their sheets, and what is failed or dropped instead.
    ``now`` is business time, ``real`` real time. Two at once take different letters, one after the other.
    """
    rows = session.execute(text(_TAKE), {"real": real, "ids": list(pages)}).all()
    nots: list[_Not] = []
    taken: list[tuple[int, Letter]] = []
    for row in rows:
        judged = _judged(row)
        page = pages[row.id]
        if isinstance(judged, _Not):
            nots.append(judged)
        elif page is not None:  # else it has become a letter just now, and waits for its page
            taken.append((row.id, Letter(judged, row.country, page)))
    _record(session, nots, now=now, real=real)
    if not taken:
        return None
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('brikke print batches', 0))"))
    last = select(func.max(DeliveryFile.number)).where(DeliveryFile.channel == NAME, DeliveryFile.kind == KIND)
    number = (session.scalar(last) or 0) + 1
    content = build(number, [letter for _, letter in taken], made_at=now)
    file = DeliveryFile(
        channel=NAME,
        kind=KIND,
        direction="out",
        number=number,
        name=f"{batch_name(number)}.zip",
        sha256=hashlib.sha256(content).digest(),
        content=content,
        transactions=len(taken),
        state="made",
        made_at=now,
    )
    session.add(file)
    session.flush()
    _sent(session, file, taken, now=now, real=real)
    return file


def _judged(row: Row[Any]) -> tuple[str, ...] | _Not:
    """Return a letter's envelope, or why there is no letter."""
    if row.document_id is None:
        return _Not(row, "failed", "it has no document")
    if row.template in BILLS and (row.credited or not row.open):
        return _Not(row, "dropped", "the invoice has been replaced" if row.credited else "the invoice is paid")
    try:
        return lines(Place(row.name, row.street, row.postal_code, row.city, row.country))
    except BadAddress as bad:
        return _Not(row, "failed", f"bad_address: {bad}")


def _page(sessions: SessionFactory, row: Row[Any], renderer: Renderer) -> bytes | Exception:
    """Return a letter's page, or what is wrong with it."""
    form = copy_form(presents=row.presents, details=row.details_in_copy)
    try:
        return pdf(sessions, row.document_id, form=form, renderer=renderer)
    except (RenderError, LookupError, ValueError) as error:
        return error


def _put_off(sessions: SessionFactory, row: Row[Any], error: Exception) -> None:
    wait = rules.wait(row.attempts + 1) or rules.RETRY[-1]
    log.warning("paper.not_rendered", delivery=row.id, error=type(error).__name__)
    with sessions.begin() as session:
        why = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
        session.execute(text(_LATER), {"id": row.id, "next": now_utc() + wait, "why": why})


def _record(session: Session, nots: Sequence[_Not], *, now: dt.datetime, real: dt.datetime) -> None:
    if nots:
        columns = {
            "ids": [one.row.id for one in nots],
            "states": [one.state for one in nots],
            "whys": [one.why for one in nots],
        }
        session.execute(text(_NOT), columns)
    for one in nots:
        if one.state == "failed":
            fall_back(session, one.row.message_id, now=now, real=real)


def _sent(
    session: Session, file: DeliveryFile, taken: Sequence[tuple[int, Letter]], *, now: dt.datetime, real: dt.datetime
) -> None:
    ids = [delivery_id for delivery_id, _ in taken]
    columns = {
        "ids": ids,
        "sheets": list(range(1, len(taken) + 1)),
        "recipients": [shown(letter.lines) for _, letter in taken],
    }
    values = {"file": file.id, "batch": batch_name(file.number or 0), "now": now, "real": real}
    session.execute(text(_SENT), columns | values)
    add_cost(session, ids, NAME, now=now)


def write_all(sessions: SessionFactory, renderer: Renderer, batches: int = 100) -> dict[str, int | str]:
    """Write batches until nothing waits, each in a transaction of its own; return how many, and how many letters."""
    made = letters = 0
    for _ in range(batches):
        pages = prepare(sessions, renderer)
        if not pages:
            break
        with sessions.begin() as session:
            file = write_batch(session, pages, now=business_now(session), real=now_utc())
            if file is not None:
                made, letters = made + 1, letters + file.transactions
                log.info("paper.batch_made", file=file.name, letters=file.transactions)
    return {"batches": made, "letters": letters}
