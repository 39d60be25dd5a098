"""Take backlogs in slices: what a claim may take of an agreement that has one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from billing.passages.backlog import rules
from billing.passages.backlog.models import Backlog
from billing.passages.backlog.notice import terms
from billing.passages.balances import lock
from billing.passages.models import Balance
from config.clock import business_date


@dataclass(frozen=True)
class Slice:
    """What may be taken of an agreement: these passages, their sum in øre, how many; nothing before its week is over.

    ``cut``: more is waiting behind, kept back by the slice's limit.
    """

    ore: int = 0
    count: int = 0
    cut: bool = True
    passages: Sequence[int] = field(default_factory=tuple)


# A unit is a passage with what takes it back (and what takes that back, as a charger's cancellation of what support had
# credited does), as far as they are unbilled; a counter-row of something billed stands by itself, where it arrived.
# Units go by arrival. The first that would exceed the limit ends the slice, unless there is nothing in it yet.
_CUT = text("""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:agreements AS bigint[]), CAST(:limits AS bigint[])) AS a (agreement_id, limit_ore)
    ), unbilled AS MATERIALIZED (
        SELECT p.agreement_id, p.id, p.booked_at, p.reverses_id, p.amount_ore
        FROM asked AS a JOIN passages AS p ON p.agreement_id = a.agreement_id
        WHERE p.claim_id IS NULL AND NOT p.external AND p.booked_at >= :oldest AND p.booked_at <= :cutoff
            AND NOT EXISTS ( -- what is held back (held.py) keeps nothing else waiting
                SELECT FROM held_passages AS h WHERE h.passage_id = p.id
                    AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = p.id)
            )
    ), rooted AS (
        SELECT u.agreement_id, u.id, u.amount_ore,
            coalesce(c.booked_at, b.booked_at, a.booked_at, u.booked_at) AS root_at,
            coalesce(c.id, b.id, a.id, u.id) AS root_id
        FROM unbilled AS u
        LEFT JOIN unbilled AS a ON a.id = u.reverses_id
        LEFT JOIN unbilled AS b ON b.id = a.reverses_id
        LEFT JOIN unbilled AS c ON c.id = b.reverses_id
    ), units AS (
        SELECT agreement_id, root_at, root_id, sum(amount_ore) AS ore FROM rooted
        GROUP BY agreement_id, root_at, root_id
    ), running AS (
        SELECT u.*, a.limit_ore, sum(u.ore) OVER w AS through, row_number() OVER w AS place
        FROM units AS u JOIN asked AS a USING (agreement_id)
        WINDOW w AS (PARTITION BY u.agreement_id ORDER BY u.root_at, u.root_id ROWS UNBOUNDED PRECEDING)
    ), ends AS (
        SELECT agreement_id, min(place) FILTER (WHERE through > limit_ore AND through - ore > 0) AS stop
        FROM running GROUP BY agreement_id
    )
    SELECT agreement_id, e.stop IS NULL OR u.place < e.stop AS taken, sum(r.amount_ore)::bigint AS ore,
        count(*) AS number, array_agg(r.id ORDER BY r.id) AS ids
    FROM rooted AS r JOIN running AS u USING (agreement_id, root_at, root_id) JOIN ends AS e USING (agreement_id)
    GROUP BY agreement_id, taken
""")


_TAKEN = text("""
    UPDATE backlogs AS k SET last_on = :today, slices = k.slices + 1, taken_ore = k.taken_ore + t.ore
    FROM unnest(CAST(:agreements AS bigint[]), CAST(:sums AS bigint[])) AS t (agreement_id, ore)
    WHERE k.agreement_id = t.agreement_id AND k.ended_at IS NULL
""")


def slices(
    session: Session,
    agreement_ids: Sequence[int],
    cutoff: dt.datetime,
    kind: Literal["card", "invoice"],
    now: dt.datetime,
) -> dict[int, Slice]:
    """Return, for those of the agreements that have a backlog, what may be taken now of what arrived by the cut-off.

    The balances are locked. A backlog that fits into one slice by now, its week being over, ends, and its agreement is
    left out: it is billed as any other.
    """
    query = (
        select(Backlog, Balance.unbilled_ore, Balance.open_since)
        .join(Balance, Balance.agreement_id == Backlog.agreement_id)
        .where(Backlog.agreement_id == func.any(list(agreement_ids)), Backlog.ended_at.is_(None))
    )
    rows = session.execute(query).all()
    if not rows:
        return {}
    today = business_date(now)
    figures = terms(today)
    result: dict[int, Slice] = {}
    limits: dict[int, int] = {}
    for backlog, unbilled_ore, _ in rows:
        most = figures.invoice_slices if kind == "invoice" else 1
        began_on = business_date(backlog.noticed_at)
        number = rules.due_slices(backlog.last_on, began_on, today, figures.week_days, most)
        if number == 0:
            result[backlog.agreement_id] = Slice()
        elif unbilled_ore <= backlog.slice_ore:
            backlog.ended_at = now
        else:
            limits[backlog.agreement_id] = number * backlog.slice_ore
    session.flush()
    oldest = min((since for backlog, _, since in rows if since is not None), default=None)
    if limits and oldest is not None:
        result |= _cut(session, limits, oldest, cutoff)
    return result


def _cut(session: Session, limits: dict[int, int], oldest: dt.datetime, cutoff: dt.datetime) -> dict[int, Slice]:
    params = {"agreements": list(limits), "limits": list(limits.values()), "oldest": oldest, "cutoff": cutoff}
    found = session.execute(_CUT, params).all()
    behind = {row.agreement_id for row in found if not row.taken}
    return {agreement: Slice(cut=False) for agreement in limits} | {
        row.agreement_id: Slice(row.ore, row.number, row.agreement_id in behind, row.ids) for row in found if row.taken
    }


def taken(session: Session, sums: Mapping[int, int], now: dt.datetime) -> None:
    """Note slices that were taken, {agreement: øre}. The next are due a week from now."""
    session.execute(_TAKEN, {"agreements": list(sums), "sums": list(sums.values()), "today": business_date(now)})


def end_reached(session: Session, *, now: dt.datetime, after: int = 0, limit: int = 500) -> int:
    """End backlogs of which no more than one slice is left and whose week is over, above agreement id ``after``.

    One chunk; returns the last agreement looked at, 0 when there are no more.
    """
    today = business_date(now)
    over = today - dt.timedelta(days=terms(today).week_days)
    done = (Backlog.ended_at.is_(None), Backlog.last_on <= over, Balance.unbilled_ore <= Backlog.slice_ore)
    ids = list(
        session.scalars(
            select(Backlog.agreement_id)
            .join(Balance, Balance.agreement_id == Backlog.agreement_id)
            .where(*done, Backlog.agreement_id > after)
            .order_by(Backlog.agreement_id)
            .limit(limit)
        )
    )
    if not ids:
        return 0
    lock(session, ids)
    session.execute(
        update(Backlog)
        .where(*done, Backlog.agreement_id == Balance.agreement_id, Backlog.agreement_id.in_(ids))
        .values(ended_at=now)
        .execution_options(synchronize_session=False)
    )
    return ids[-1]
