"""Move passages after a vehicle was removed, or put on another agreement, from an earlier instant: reversed here, new
where the vehicle was.

Work is rows: ``removals`` with ``moved_at`` null. A passage goes to the agreement that had the vehicle (or the tag)
when it happened, by the rules of matching, whatever the row was made for; where none had it, it stays until an agent
credits it, for the charger is still owed. What settles elsewhere is reversed and only shown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from accounts.chargers.told import latency, tag_refused
from accounts.vehicles.models import Removal
from billing.ledger.book import book_query
from billing.passages.backlog.notice import notice
from billing.passages.balances import lock
from billing.passages.match import latencies
from billing.passages.partitions import ensure
from billing.passages.reverse import BALANCES, COUNTER_ROWS, REPLACEMENTS
from config.clock import business_date, business_now
from config.jobs import JobContext
from config.rates import whole

ACTOR = "billing.passages"

_LOST = tag_refused("m.pan", "m.passed_at", latency("m.passed_at", ":since_dates", ":minutes"))
# A tag that was in no vehicle was taken to be in its last one. Unless the plate of that one was read too (flag 1), or
# the tag was in it after all, whoever comes to the vehicle from an earlier instant pays for no journey of the tag's.
_WAS_THERE = """(m.flags & 5 <> 4 OR m.pan IS NULL
                OR EXISTS (SELECT FROM agreements AS f JOIN agreements AS own ON own.id = m.agreement_id
                    WHERE f.id = x.agreement_id AND coalesce(f.parent_id, f.id) = coalesce(own.parent_id, own.id))
                OR EXISTS (SELECT FROM tag_mounts AS tm WHERE tm.pan = m.pan AND tm.country = m.country
                    AND tm.plate = m.plate AND tm.valid_from <= m.passed_at
                    AND (tm.valid_to IS NULL OR tm.valid_to > m.passed_at)))"""
_TARGETS = text(f"""
    SELECT m.id, r.agreement_id, r.id AS registration_id, r.settlement = 'external' AS external
    FROM passages AS m
    JOIN chargers AS c ON c.id = m.charger_id
    CROSS JOIN LATERAL (
        SELECT reg.id, reg.agreement_id, reg.settlement FROM (
            (SELECT 1 AS rank, x.* FROM registrations AS x WHERE x.pan = m.pan AND x.scope = c.code
                AND x.valid_from <= m.passed_at AND (x.valid_to IS NULL OR x.valid_to > m.passed_at)
                AND NOT {_LOST} LIMIT 1)
            UNION ALL
            (SELECT 2, x.* FROM registrations AS x
            WHERE x.country = m.country AND x.plate = m.plate AND x.scope = c.code
                AND x.valid_from <= m.passed_at AND (x.valid_to IS NULL OR x.valid_to > m.passed_at)
                AND {_WAS_THERE} LIMIT 1)
            UNION ALL
            (SELECT 3, x.* FROM registrations AS x
            WHERE x.country = m.country AND x.plate = m.plate AND x.scope = ''
                AND x.valid_from <= m.passed_at AND (x.valid_to IS NULL OR x.valid_to > m.passed_at)
                AND {_WAS_THERE} LIMIT 1)
        ) AS reg ORDER BY reg.rank LIMIT 1
    ) AS r
    WHERE m.agreement_id = :agreement AND m.registration_id = :registration AND m.passed_at >= :ends_at
        AND m.booked_at >= :since AND m.reverses_id IS NULL AND NOT m.external
        AND (r.agreement_id <> m.agreement_id OR r.settlement = 'external')
        AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = m.id)
    ORDER BY m.id
""")  # noqa: S608 - no input in it

_REVERSE = text("""
    INSERT INTO reversals (passage_id, counter_id, replaced_by, cause, reason, actor, at)
    SELECT p.id, nextval('passage_ids'), nextval('passage_ids'), 'moved', :reason, :actor, :now
    FROM unnest(CAST(:passages AS bigint[])) AS p (id)
    RETURNING passage_id, counter_id, replaced_by
""")

_LEDGER = """
    SELECT CASE WHEN p.amount_ore < 0 THEN 'payable' ELSE 'unbilled' END AS debit,
        CASE WHEN p.amount_ore < 0 THEN p.charger_id ELSE 0 END AS debit_owner,
        CASE WHEN p.amount_ore < 0 THEN 'unbilled' ELSE 'payable' END AS credit,
        CASE WHEN p.amount_ore < 0 THEN 0 ELSE p.charger_id END AS credit_owner,
        abs(p.amount_ore) AS amount_ore, CASE WHEN p.amount_ore < 0 THEN 'reversed' ELSE 'passages' END AS code,
        p.id AS ref, 'moved' AS part
    FROM passages AS p WHERE p.id = ANY(CAST(:fresh AS bigint[])) AND p.booked_at = :now AND NOT p.external
"""


# The charger is owed less than it was told: what it was answered is amended. The record stays what it was.
_AMEND = text("""
    INSERT INTO amendments (charger_id, source_id, batch_id, position, was_code, was_detail, code, flags, amount_ore,
        cause, reason, actor, at)
    SELECT r.charger_id, r.source_id, r.batch_id, r.position, r.code, r.detail, 'other_agreement', 0, r.amount_ore,
        'moved', :reason, :actor, :now
    FROM passages AS p JOIN records AS r ON r.charger_id = p.charger_id AND r.source_id = p.source_id
    WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.agreement_id = :agreement AND p.booked_at >= :since
    ORDER BY r.charger_id, r.source_id
""")


@dataclass(frozen=True)
class _Target:
    passage_id: int
    agreement_id: int
    registration_id: int
    external: bool


def move(session: Session, removal_id: int, *, now: dt.datetime) -> int | None:
    """Work through one removal: return how many passages moved, or None when it is done or being done.

    Balances of the old agreement and of all new ones are locked in one ascending statement, and what is to move
    is looked up again under the locks: ingest, which holds the old agreement's balance until it commits, has
    by then either seen the removal or booked what we see here.
    """
    removal = session.scalar(
        select(Removal).where(Removal.id == removal_id, Removal.moved_at.is_(None)).with_for_update(skip_locked=True)
    )
    if removal is None:
        return None
    agreements: set[int] = {removal.agreement_id}
    while True:
        with session.begin_nested() as attempt:
            lock(session, agreements)
            targets = _targets(session, removal, now)
            missing = {one.agreement_id for one in targets} - agreements
            if not missing:
                break
            attempt.rollback()  # gives the locks back: a missing one may have a lower id
        agreements |= missing
    if targets:
        _book(session, removal, targets, now)
    removal.moved_at = now
    session.flush()
    return len(targets)


def _since(removal: Removal, now: dt.datetime) -> dt.datetime:
    """Return an instant before which no passage since the removal can have been booked."""
    return removal.ends_at - dt.timedelta(hours=whole("passage_max_ahead_hours", business_date(now)))


def _targets(session: Session, removal: Removal, now: dt.datetime) -> Sequence[_Target]:
    told = latencies()
    rows = session.execute(
        _TARGETS,
        {
            "since_dates": told["since"],
            "minutes": told["minutes"],
            "agreement": removal.agreement_id,
            "registration": removal.registration_id,
            "ends_at": removal.ends_at,
            "since": _since(removal, now),
        },
    )
    return [_Target(*row) for row in rows]


def _book(session: Session, removal: Removal, targets: Sequence[_Target], now: dt.datetime) -> None:
    """Write reversals, counter-rows, new passages, balances and transfers of passages under their locks."""
    ensure(session, now)
    passages = [one.passage_id for one in targets]
    what = {"passages": passages, "reason": removal.reason, "actor": ACTOR, "now": now}
    made = session.execute(_REVERSE, what).all()
    rows = {"passages": passages, "agreement": removal.agreement_id, "since": _since(removal, now), "now": now}
    session.execute(text(COUNTER_ROWS), {**rows, "owed": True})
    session.execute(
        text(REPLACEMENTS),
        {
            **rows,
            "agreements": [one.agreement_id for one in targets],
            "registrations": [one.registration_id for one in targets],
            "externals": [one.external for one in targets],
        },
    )
    elsewhere = [one.passage_id for one in targets if one.external]
    if elsewhere:
        session.execute(_AMEND, {**rows, "passages": elsewhere, "reason": removal.reason, "actor": ACTOR})
    fresh = [number for row in made for number in (row.counter_id, row.replaced_by)]
    session.execute(text(BALANCES), {"fresh": fresh, "now": now, "today": business_date(now)})
    notice(session, sorted({one.agreement_id for one in targets if not one.external}), now=now)
    book_query(session, _LEDGER, {"fresh": fresh, "now": now}, booked_on=business_date(now), now=now)


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Work through every removal that waits, each in a transaction of its own."""
    done = moved = after = 0
    while True:
        with ctx.sessions.begin() as session:
            query = select(Removal.id).where(Removal.moved_at.is_(None), Removal.id > after).order_by(Removal.id)
            removal_id = session.scalar(query.limit(1))
            if removal_id is None:
                return {"removals": done, "moved": moved}
            number = move(session, removal_id, now=business_now(session))
        after = removal_id
        if number is not None:
            done, moved = done + 1, moved + number
