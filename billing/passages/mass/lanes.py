"""Mass corrections and the lanes that passages were read in (``lane_reads``; doubles.py has the rule).

What the **charger** bears is paid by nobody: it stands in its lane no more, and its charger may send the same passing
under a new id, with the right price. What **we** bear the charger is still owed, and so it stands.

A refused second read of what is taken back so is **not** decided anew (not when its charger cancels that then, either),
unlike one of a read that its charger cancels while it stands:
it was read by the same station in the same seconds, so what is wrong with the first is wrong with it, and nobody who
saw the preview has asked for it. Booked now, it would charge the customer again what was just taken back. A charger
that means it sends it under a new id, or contests it.

An **undo** makes stand again what stood. It leaves out passages beside which another read stands that was booked since:
that is the same passing, sent anew, and both would be paid.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.passages.rules import Flag
from config.clock import business_date
from config.rates import whole

_ANY = text("SELECT EXISTS (SELECT FROM lane_reads WHERE charger_id = :charger)")

# Held in the order in which correct.sql (free_lanes) and odd.sql (stand) hold them.
_FREE = text("""
    WITH held AS MATERIALIZED (
        SELECT k.source_id FROM lane_reads AS k
        WHERE k.charger_id = :charger AND k.stands AND k.source_id = ANY(ARRAY(
            SELECT p.source_id FROM passages AS p
            WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.booked_at BETWEEN :first AND :last
        ))
        ORDER BY k.source_id COLLATE "C" FOR NO KEY UPDATE
    )
    UPDATE lane_reads AS k SET stands = false FROM held AS h
    WHERE k.charger_id = :charger AND k.source_id = h.source_id
""")

# As odd.sql (keep_lanes): doubles that are booked do not stand, but where a person said that one is a passing of its
# own.
_STAND = text("""
    WITH held AS MATERIALIZED (
        SELECT k.source_id FROM lane_reads AS k
        WHERE k.charger_id = :charger AND NOT k.stands AND k.source_id = ANY(ARRAY(
            SELECT p.source_id FROM passages AS p
            WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.booked_at BETWEEN :first AND :last
                AND (p.flags & :double = 0 OR EXISTS (
                    SELECT FROM amendments AS m
                    WHERE m.charger_id = p.charger_id AND m.source_id = p.source_id AND m.cause = 'contested'
                        AND m.code = 'accepted'
                ) AND EXISTS (
                    SELECT FROM passings_apart AS a WHERE a.charger_id = p.charger_id AND a.original_id = coalesce(
                        (SELECT c.original_id FROM corrections AS c
                        WHERE c.charger_id = p.charger_id AND c.source_id = p.source_id), p.source_id)
                ))
        ))
        ORDER BY k.source_id COLLATE "C" FOR NO KEY UPDATE
    )
    UPDATE lane_reads AS k SET stands = true FROM held AS h
    WHERE k.charger_id = :charger AND k.source_id = h.source_id
""")

# Two that were charged beside each other until the correction, one of them as a double all the same, were two passings
# then and are (the other itself, or a copy of it, was not taken back before, or by another chunk of this); so are two
# that a person says are two, and what they were adjusted to.
# OFFSET 0: look-ups, whatever is believed of how many there are.
_ANEW = text("""
    SELECT DISTINCT p.id FROM passages AS p
    JOIN reversals AS v ON v.passage_id = p.id
    CROSS JOIN LATERAL (
        SELECT l.* FROM lane_reads AS l WHERE l.charger_id = :charger AND l.source_id = p.source_id OFFSET 0
    ) AS l
    CROSS JOIN LATERAL (
        SELECT k.source_id FROM lane_reads AS k
        WHERE k.charger_id = :charger AND k.country = l.country AND k.plate = l.plate AND k.station = l.station
            AND k.lane = l.lane AND k.stands AND k.source_id <> l.source_id
            AND k.passed_at BETWEEN l.passed_at - :within AND l.passed_at + :within
        OFFSET 0
    ) AS k
    WHERE p.id = ANY(CAST(:passages AS bigint[])) AND p.booked_at BETWEEN :first AND :last
        AND NOT EXISTS (
            SELECT FROM records AS r JOIN passages AS q ON q.id = r.passage_id
            WHERE r.charger_id = :charger AND r.source_id = k.source_id AND q.booked_at < v.at
                AND (p.flags | r.flags) & :double <> 0
                AND EXISTS (
                    WITH RECURSIVE copies (id) AS (
                        SELECT q.id
                        UNION ALL
                        SELECT w.replaced_by FROM copies AS c JOIN reversals AS w ON w.passage_id = c.id
                        WHERE w.replaced_by IS NOT NULL
                    )
                    SELECT FROM copies AS c
                    JOIN passages AS x ON x.id = c.id
                    LEFT JOIN reversals AS w ON w.passage_id = c.id
                    WHERE x.booked_at < v.at AND (w.at IS NULL OR w.at >= v.at OR w.reason = v.reason)
                )
            OFFSET 0
        )
        AND NOT EXISTS (
            SELECT FROM passings_apart AS a
            WHERE a.charger_id = :charger AND a.original_id = coalesce(
                    (SELECT c.original_id FROM corrections AS c
                    WHERE c.charger_id = :charger AND c.source_id = p.source_id), p.source_id)
                AND a.other_id = coalesce(
                    (SELECT o.original_id FROM corrections AS o
                    WHERE o.charger_id = :charger AND o.source_id = k.source_id), k.source_id)
            OFFSET 0
        )
""")


def free(session: Session, about: dict[str, Any]) -> None:
    """Take passages that the charger bears out of their lanes.

    ``about``: charger (id), passages (ids, that are being taken back), first and last (when they were booked). The
    balances are locked.
    """
    if session.scalar(_ANY, about):
        session.execute(_FREE, about)


def stand(session: Session, about: dict[str, Any]) -> None:
    """Make passages that come back stand in their lanes as they did. ``about`` as of ``free``."""
    if session.scalar(_ANY, about):
        session.execute(_STAND, {**about, "double": Flag.DOUBLE_READ.value})


def sent_anew(session: Session, about: dict[str, Any], now: dt.datetime) -> set[int]:
    """Return those of the passages taken back beside which another read stands that was booked since.

    ``about`` as of ``free``. Under the balances' locks: what is sent at the same time sees those that come back.
    """
    if not session.scalar(_ANY, about):
        return set()
    within = dt.timedelta(seconds=whole("double_read_seconds", business_date(now)))
    params = {**about, "within": within, "double": Flag.DOUBLE_READ.value}
    return set(session.scalars(_ANEW, params))
