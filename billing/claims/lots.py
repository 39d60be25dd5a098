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


def free(session: Session, agreement_ids: Sequence[int], own_ore: int = 0) -> dict[int, deque[tuple[dt.date, int]]]:
    """Return the credit that may be used, as ``lots`` does: what a dispute would take stays, the latest money of it.

    ``own_ore`` of each is not held: it has just come in, and pays what it came from.
    """
    found = lots(session, agreement_ids)
    for row in session.execute(text(_WOULD_TAKE), {"ids": list(found)}) if found else ():
        held, credit = row.ore - own_ore, found[row.agreement_id]
        while held > 0 and credit:
            value_date, ore = credit.pop()
            if ore > held:
                credit.append((value_date, ore - held))
            held -= ore
        if not credit:
            del found[row.agreement_id]
    return found


# What disputes that are open would take of the credit if they were lost (as billing.cards.dispute places a loss): of a
# payment no more than is the customer's still to give, less what it pays of its charge's claim, where that would be
# owed again. Money that came late (attempts.credited), and what came back of a dispute, pays as credit.
_WOULD_TAKE = """
    SELECT agreement_id, sum(ore)::bigint AS ore FROM (
        SELECT w.agreement_id, greatest(sum(w.ore) - greatest(coalesce(min(pays.ore), 0), 0), 0) AS ore
        FROM (
            SELECT d.agreement_id, d.charge_id, t.credited,
                   least(sum(d.amount_ore), greatest(t.amount_ore - (SELECT sum(o.claim_ore + o.credit_ore)
                         FROM card_disputes AS o WHERE o.attempt_id = t.id), 0)) AS ore
            FROM card_disputes AS d JOIN attempts AS t ON t.id = d.attempt_id
            WHERE d.agreement_id = ANY(:ids) AND d.state = 'opened'
            GROUP BY d.agreement_id, d.charge_id, t.id
        ) AS w
        JOIN charges AS h ON h.id = w.charge_id
        LEFT JOIN LATERAL (
            SELECT least(c.settled_ore, CASE WHEN w.credited THEN coalesce(a.credit, 0) + coalesce(a.taken_late, 0)
                   ELSE coalesce(a.card, 0) + coalesce(a.taken, 0) + least(coalesce(a.credit, 0),
                        (SELECT coalesce(sum(e.amount_ore), 0) FROM card_disputes AS o JOIN credit_entries AS e
                         ON e.code = 'dispute_back' AND e.ref = o.id WHERE o.charge_id = h.id
                         AND o.agreement_id = w.agreement_id)) END) AS ore
            FROM claims AS c LEFT JOIN LATERAL (
                SELECT sum(x.amount_ore) FILTER (WHERE x.source = 'credit') AS credit,
                       sum(x.amount_ore) FILTER (WHERE x.source = 'card') AS card,
                       sum(x.amount_ore) FILTER (WHERE x.source = 'dispute' AND ot.credited) AS taken_late,
                       sum(x.amount_ore) FILTER (WHERE x.source = 'dispute' AND NOT ot.credited) AS taken
                FROM allocations AS x LEFT JOIN card_disputes AS o ON x.source = 'dispute' AND o.id = x.source_id
                LEFT JOIN attempts AS ot ON ot.id = o.attempt_id WHERE x.claim_id = c.id
            ) AS a ON true WHERE c.id = h.claim_id
        ) AS pays ON true
        GROUP BY w.agreement_id, w.charge_id, w.credited
    ) AS one GROUP BY agreement_id HAVING sum(ore) > 0
"""
