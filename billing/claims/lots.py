"""Which money an agreement's credit is: by the value dates of the payments it came with."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict, deque
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session


def lots(session: Session, agreement_ids: Sequence[int]) -> dict[int, deque[tuple[dt.date, int]]]:
    """Return the credit of those agreements that have any as (value date, øre > 0), the oldest first.

    More can have been taken back of a date than was left of it (what was used is not taken back): then the oldest
    of the rest stands in.
    """
    rows = session.execute(
        text(
            "SELECT agreement_id, value_date, sum(amount_ore)::bigint AS ore FROM credit_entries "
            "WHERE agreement_id = ANY(:ids) GROUP BY agreement_id, value_date HAVING sum(amount_ore) <> 0 "
            "ORDER BY agreement_id, value_date"
        ),
        {"ids": list(agreement_ids)},
    ).all()
    lacking: Counter[int] = Counter()
    for row in rows:
        lacking[row.agreement_id] -= min(row.ore, 0)
    found: dict[int, deque[tuple[dt.date, int]]] = defaultdict(deque)
    for row in rows:
        if row.ore > 0:
            gone = min(row.ore, lacking[row.agreement_id])
            lacking[row.agreement_id] -= gone
            if row.ore > gone:
                found[row.agreement_id].append((row.value_date, row.ore - gone))
    return dict(found)


def free(session: Session, agreement_ids: Sequence[int]) -> dict[int, deque[tuple[dt.date, int]]]:
    """Return the credit that may be used, as ``lots`` does: what a dispute would take stays, the latest money of it."""
    found = lots(session, agreement_ids)
    for row in session.execute(text(_WOULD_TAKE), {"ids": list(found)}) if found else ():
        held, credit = row.ore, found[row.agreement_id]
        while held > 0 and credit:
            value_date, ore = credit.pop()
            if ore > held:
                credit.append((value_date, ore - held))
            held -= ore
        if not credit:
            del found[row.agreement_id]
    return found


# What disputes that are open would take of the credit if they were lost: what is more than the card still pays of the
# charge's claim, where it would be owed again. Money that came late (attempts.credited) pays no claim as a card's.
_WOULD_TAKE = """
    SELECT agreement_id, sum(ore)::bigint AS ore FROM (
        SELECT d.agreement_id,
               greatest(sum(d.amount_ore) - CASE WHEN t.credited THEN 0 ELSE coalesce(min(pays.ore), 0) END, 0) AS ore
        FROM card_disputes AS d
        JOIN attempts AS t ON t.id = d.attempt_id
        JOIN charges AS h ON h.id = d.charge_id
        LEFT JOIN LATERAL (
            SELECT least(c.settled_ore, (SELECT sum(amount_ore) FROM allocations
                                         WHERE claim_id = c.id AND source IN ('card', 'dispute'))) AS ore
            FROM claims AS c WHERE c.id = h.claim_id
        ) AS pays ON true
        WHERE d.agreement_id = ANY(:ids) AND d.state = 'opened'
        GROUP BY d.agreement_id, d.charge_id, t.credited
    ) AS one GROUP BY agreement_id HAVING sum(ore) > 0
"""
