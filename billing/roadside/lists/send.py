"""Send versions, send again what is not acknowledged, and say so.

A version is a row before it is sent, so that one killed on the way sends the same bytes again. What is pulled is sent
when the charger has fetched it; when it is not acknowledged in time there is nothing to send again, but the alarm is
the same. What could not be delivered is tried again soon, after 1, 2 and then every 5 minutes: a charger whose server
is back knows of a block within five.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator

import structlog
from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, ListPart, ListVersion
from billing.roadside.exchange.rules import next_try as try_again
from billing.roadside.lists.outbox import Outbox, SwitchedOff
from billing.roadside.lists.rules import next_try
from config.clock import business_date, business_now
from config.database import SessionFactory
from config.rates import whole

log = structlog.get_logger(__name__)

_SOON = dt.timedelta(minutes=5)
"""How long at most what could not be delivered waits: a change of a standing is out within five minutes."""


def content(sessions: SessionFactory, version_id: int) -> Iterator[bytes]:
    """Yield the bytes of a version, gzipped, as they were made. Nothing when they are no longer kept."""
    part = 1
    while True:
        with sessions() as session:  # a piece at a time, so that a slow taker holds no transaction
            body = session.scalar(select(ListPart.body).where(ListPart.version_id == version_id, ListPart.part == part))
        if body is None:
            return
        yield body
        part += 1


def due(session: Session, now: dt.datetime, off: Collection[int] = ()) -> list[tuple[int, int]]:
    """Return the versions to be sent, or sent again, by now, as (id, charger id), in the order of each list; those of
    chargers that could be reached come first. What is pushed to those that are ``off`` (charger ids) waits."""
    failing = func.bool_or(ListVersion.error.is_not(None)).over(partition_by=ListVersion.charger_id)
    query = (
        select(ListVersion.id, ListVersion.charger_id)
        .join(Charger)
        .where(ListVersion.next_at <= now, ~and_(Charger.lists == "push", Charger.id.in_(off)))
        .order_by(failing, ListVersion.charger_id, ListVersion.list_type, ListVersion.version)
    )
    return [(row.id, row.charger_id) for row in session.execute(query)]


def send(sessions: SessionFactory, version_id: int, outbox_of: Callable[[str], Outbox]) -> str:
    """Send a version; return what came of it: sent, offered (to be pulled), failed, off (it waits until files are
    exchanged with the charger again) or gone (nothing to do any more).

    The delivery is outside of any transaction; its outcome is written after it. An error is kept in the row.
    """
    with sessions() as session:
        row, charger = _both(session, version_id)
        if row.next_at is None:
            return "gone"
        code, name, lists = charger.code, row.name, charger.lists
    error = None
    if lists == "push":
        try:
            outbox_of(code).deliver(name, content(sessions, version_id))
        except SwitchedOff:
            return "off"
        except OSError as caught:
            error = f"{type(caught).__name__}: {caught}"[:500]
    with sessions.begin() as session:
        return _tried(session, version_id, error, business_now(session))


def _tried(session: Session, version_id: int, error: str | None, now: dt.datetime) -> str:
    row, charger = _both(session, version_id, lock=True)
    if row.next_at is None:  # acknowledged while we sent it
        return "gone"
    again = row.attempts > 0 and row.error is None
    row.attempts += 1
    minutes = whole("status_list_ack_minutes", business_date(now))
    row.next_at = next_try(now, minutes) if error is None else min(try_again(row.attempts, now), now + _SOON)
    row.error = error
    about = {"charger": charger.code, "list": row.list_type, "version": row.version, "attempts": row.attempts}
    if error is not None:
        log.warning("status_list.not_delivered", error=error, **about)
        return "failed"
    if again:
        log.warning("status_list.not_acknowledged", made_at=row.made_at.isoformat(), **about)
    if charger.lists != "push":
        return "offered"
    row.sent_at, row.state = row.sent_at or now, "sent"
    return "sent"


def fetched(session: Session, version_id: int, now: dt.datetime) -> None:
    """Write down that a charger has fetched a version, the first time."""
    row, _ = _both(session, version_id, lock=True)
    if row.state == "made":
        row.sent_at, row.state = now, "sent"


def _both(session: Session, version_id: int, *, lock: bool = False) -> tuple[ListVersion, Charger]:
    query = select(ListVersion, Charger).join(Charger).where(ListVersion.id == version_id)
    if lock:
        query = query.with_for_update(of=ListVersion, key_share=True).execution_options(populate_existing=True)
    row = session.execute(query).one()
    return row[0], row[1]
