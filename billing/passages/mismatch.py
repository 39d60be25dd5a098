"""Tell holders of tags that are read in other vehicles than those they are mounted in; once in some days a tag.

Also where such records are refused: ingest notes those beside their answer, and they are told and forgotten.

Passages are looked through by their ids, which are given out in order but committed in any: so it is first written down
how far ids have been given out, and that far is looked when every transaction from before then has ended.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.passages.mismatch_models import MismatchPosition, TagMismatch
from config.clock import business_date, business_now
from config.jobs import JobContext
from config.rates import whole

CHUNK = 1_000
SHOWN = dt.timedelta(days=90)
"""So long pages show that a tag was read elsewhere."""
_MARGIN = dt.timedelta(days=2)
"""Passages are booked at the business time their chunk began at, which may be a while before it is committed."""

_GIVEN_OUT = text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM passage_ids")
_OURS = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
# Of this database only: a snapshot's own lowest number waits for everybody's on the server. What has ended here is seen
# by the next statement.
_STILL_AT_IT = text("""
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_xid IS NOT NULL
            AND age(backend_xid) > age(CAST(CAST(CAST(:xid AS text) AS xid8) AS xid)))
""")

# A passage that was booked on the plate that was read has it itself; the record of every other one keeps it. What has
# been taken back since was no mismatch, or is the charger's mistake.
_FOUND = text("""
    SELECT p.id, coalesce(t.agreement_id, p.agreement_id) AS agreement_id, p.pan, t.printed_number, p.passed_at,
        m.country AS mounted_country, m.plate AS mounted_plate,
        coalesce(r.body ->> 'country', p.country) AS read_country, coalesce(r.body ->> 'plate', p.plate) AS read_plate
    FROM passages AS p
    LEFT JOIN records AS r ON r.charger_id = p.charger_id AND r.source_id = p.source_id
    LEFT JOIN tags AS t ON t.pan = p.pan
    LEFT JOIN LATERAL (
        SELECT tm.country, tm.plate FROM tag_mounts AS tm
        WHERE tm.pan = p.pan AND tm.valid_from <= p.passed_at AND (tm.valid_to IS NULL OR tm.valid_to > p.passed_at)
        ORDER BY tm.valid_from DESC LIMIT 1
    ) AS m ON true
    WHERE p.id > :after AND p.id <= :through AND p.booked_at >= :since AND p.flags & 2 <> 0 AND p.pan IS NOT NULL
        AND p.reverses_id IS NULL AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id)
    ORDER BY p.id LIMIT :limit
""")


# Who refuses them may decide one anew, and book it: then it is a passage, and told as one. For who has the vehicle that
# was read, the tag is none of ours: nobody is told.
_REFUSED = text("""
    WITH mine AS (
        DELETE FROM refused_mismatches
        WHERE id IN (SELECT id FROM refused_mismatches ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
        RETURNING id, charger_id, source_id
    )
    SELECT mine.id AS note, CAST(NULL AS bigint) AS id, t.agreement_id, t.pan, t.printed_number, r.passed_at,
        m.country AS mounted_country, m.plate AS mounted_plate, r.body ->> 'country' AS read_country,
        r.body ->> 'plate' AS read_plate
    FROM mine
    LEFT JOIN records AS r ON r.charger_id = mine.charger_id AND r.source_id = mine.source_id
        AND r.code = 'tag_plate_mismatch'
    LEFT JOIN tags AS t ON t.pan = r.body ->> 'pan'
    LEFT JOIN LATERAL (
        SELECT tm.country, tm.plate FROM tag_mounts AS tm
        WHERE tm.pan = t.pan AND tm.valid_from <= r.passed_at AND (tm.valid_to IS NULL OR tm.valid_to > r.passed_at)
        ORDER BY tm.valid_from DESC LIMIT 1
    ) AS m ON true
    ORDER BY mine.id
""")


@dataclass(frozen=True)
class Looked:
    """What came of looking: mismatches seen, holders told, and whether there may be more at once."""

    seen: int
    told: int
    more: bool


def look(session: Session, now: dt.datetime) -> Looked:
    """Look through the next passages, tell the holders, and note how far it went; the caller commits. The session
    should have written nothing yet."""
    # Who has drawn an id by now had its own transaction's number before that, and ours is drawn after: it is higher.
    given_out = session.scalars(_GIVEN_OUT).one()
    position = session.scalars(
        select(MismatchPosition).with_for_update().execution_options(populate_existing=True)
    ).one()
    if position.next_id is None or position.next_xid is None:
        position.next_id, position.next_xid = given_out, session.scalars(_OURS).one()
        session.flush()
        return Looked(0, 0, given_out > position.passage_id)  # to be looked at from the next transaction on
    if session.scalars(_STILL_AT_IT, {"xid": position.next_xid}).one():
        return Looked(0, 0, False)  # somebody who may have an id below is still at it
    since = (min(position.looked_at, now) if position.looked_at else dt.datetime(1990, 1, 1, tzinfo=dt.UTC)) - _MARGIN
    bounds = {"after": position.passage_id, "through": position.next_id, "since": since, "limit": CHUNK}
    rows = session.execute(_FOUND, bounds).all()
    told = _tell(session, rows, now)
    if len(rows) == CHUNK:
        position.passage_id = rows[-1].id
    else:
        position.passage_id, position.next_id, position.next_xid = position.next_id, None, None
        position.looked_at = now
    session.flush()
    return Looked(len(rows), told, len(rows) == CHUNK)


def look_at_refused(session: Session, now: dt.datetime) -> Looked:
    """Take the next notes of records that were refused for it, and tell the holders; the caller commits. A note is
    there when its record is, so none is passed over."""
    rows = session.execute(_REFUSED, {"limit": CHUNK}).all()
    known = [row for row in rows if row.agreement_id is not None]
    return Looked(len(known), _tell(session, known, now), len(rows) == CHUNK)


def _tell(session: Session, rows: Sequence[Row[Any]], now: dt.datetime) -> int:
    today = business_date(now)
    since = today - dt.timedelta(days=whole("tag_mismatch_days", today))
    messages = []
    for row in rows:  # a handful: of all passages some thousandths
        lately = (
            select(TagMismatch.id)
            .where(
                TagMismatch.agreement_id == row.agreement_id, TagMismatch.pan == row.pan, TagMismatch.told_on > since
            )
            .order_by(TagMismatch.id.desc())
            .limit(1)
        )
        known = session.scalar(lately)
        if known is not None:
            session.execute(update(TagMismatch).where(TagMismatch.id == known).values(times=TagMismatch.times + 1))
            continue
        values = {
            "agreement_id": row.agreement_id, "pan": row.pan, "passage_id": row.id, "passed_at": row.passed_at,
            "mounted_country": row.mounted_country, "mounted_plate": row.mounted_plate,
            "read_country": row.read_country, "read_plate": row.read_plate, "told_on": today, "told_at": now,
        }  # fmt: skip
        made = session.scalars(insert(TagMismatch).returning(TagMismatch.id), [values]).one()
        ends = (row.printed_number or row.pan)[-4:]
        subject = f"tag_mismatch:{row.agreement_id}:{f'refused-{made}' if row.id is None else row.id}"
        messages.append(NewMessage(row.agreement_id, _template(row), subject, data={"facts": {"tag": ends}}))
    tell(session, messages, now=now)
    return len(messages)


def _template(row: Row[Any]) -> str:
    return "tag_mismatch_refused" if row.id is None else "tag_mismatch"


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Look through what has been booked and refused since, a chunk a transaction."""
    del scheduled_for
    seen = told = 0
    for step in (look, look_at_refused):
        more = True
        while more:
            with ctx.sessions.begin() as session:
                done = step(session, business_now(session))
            seen, told, more = seen + done.seen, told + done.told, done.more
    return {"seen": seen, "told": told}


def of_agreement(session: Session, agreement_id: int, since: dt.datetime, limit: int = 20) -> list[TagMismatch]:
    """Return the mismatches that the holder of an agreement was told of since an instant, the last first."""
    query = select(TagMismatch).where(TagMismatch.agreement_id == agreement_id, TagMismatch.told_at >= since)
    return list(session.scalars(query.order_by(TagMismatch.id.desc()).limit(limit)))
