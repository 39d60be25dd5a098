"""Notice that older passages came all at once: in the transaction that booked them, under the balances' locks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.customers.tell import NewMessage, tell
from billing.passages.backlog import rules
from billing.passages.backlog.models import Backlog
from config.clock import business_date
from config.rates import whole

# Old: what happened so long before it arrived. A counter-row arrives late of itself: it counts with its passage's day,
# and only against what is unbilled; and what is recent is what came in time.
_LOOK = text("""
    SELECT b.agreement_id, b.unbilled_ore, coalesce(o.old_ore, 0)::bigint AS old_ore,
        coalesce(o.recent_ore, 0)::bigint AS recent_ore
    FROM balances AS b
    CROSS JOIN LATERAL (
        SELECT sum(p.amount_ore) FILTER (
                WHERE p.claim_id IS NULL AND p.passed_at < p.booked_at - make_interval(days => :age)
            ) AS old_ore,
            sum(p.amount_ore) FILTER (
                WHERE p.booked_at > :recently AND p.passed_at >= p.booked_at - make_interval(days => :age)
            ) AS recent_ore
        FROM passages AS p
        WHERE p.agreement_id = b.agreement_id AND NOT p.external AND p.booked_at >= least(b.open_since, :recently)
    ) AS o
    WHERE b.agreement_id = ANY(CAST(:agreements AS bigint[])) AND b.unbilled_ore > :limit
        AND NOT EXISTS (SELECT FROM backlogs AS k WHERE k.agreement_id = b.agreement_id AND k.ended_at IS NULL)
    ORDER BY b.agreement_id
""")


def terms(today: dt.date) -> rules.Terms:
    """Return the figures in force on an Oslo date."""
    return rules.Terms(
        whole("backlog_age_days", today),
        whole("backlog_ore", today),
        whole("backlog_slice_ore", today),
        whole("backlog_week_days", today),
        whole("backlog_invoice_slices", today),
    )


def old_before(now: dt.datetime) -> dt.datetime:
    """Return the instant before which what arrives now is old."""
    return now - dt.timedelta(days=whole("backlog_age_days", business_date(now)))


def notice(session: Session, agreement_ids: Sequence[int], *, now: dt.datetime) -> list[int]:
    """Begin a backlog for those of the agreements that have one now, and tell them; return which.

    The caller booked passages and holds the locks on the balances. One that lasts already is left alone.
    """
    if not agreement_ids:
        return []
    figures = terms(business_date(now))
    found = session.execute(
        _LOOK,
        {
            "agreements": list(agreement_ids),
            "age": figures.age_days,
            "limit": figures.limit_ore,
            "recently": now - dt.timedelta(weeks=rules.ORDINARY_WEEKS),
        },
    ).all()
    rows = []
    for one in found:
        size = rules.slice_ore(figures.slice_ore, one.recent_ore)
        if rules.begins(one.old_ore, one.unbilled_ore, size, figures.limit_ore):
            rows.append(
                {
                    "agreement_id": one.agreement_id,
                    "noticed_at": now,
                    "old_ore": one.old_ore,
                    "unbilled_ore": one.unbilled_ore,
                    "slice_ore": size,
                }
            )
    if not rows:
        return []
    made = session.scalars(insert(Backlog).values(rows).returning(Backlog)).all()
    tell(session, [_message(row) for row in made], now=now)
    return [row.agreement_id for row in made]


def _message(row: Backlog) -> NewMessage:
    facts = {"slice_ore": row.slice_ore, "weeks": rules.weeks(row.unbilled_ore, row.slice_ore)}
    return NewMessage(
        row.agreement_id, "backlog", f"backlog:{row.id}", data={"amount_ore": row.unbilled_ore, "facts": facts}
    )
