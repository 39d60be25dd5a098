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
