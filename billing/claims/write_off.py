"""Write off what is left of claims past due when it is too small to chase."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.settle import Settlement, allocate


def write_off(session: Session, claim_ids: Sequence[int], today: dt.date, now: dt.datetime) -> int:
    """Write off what is open of these claims, which the caller found to be under the figure; return the sum (øre).

    The standing is not judged here: so small a remainder was not overdue before either.
    """
    rows = session.execute(
        text(
            "SELECT id, amount_ore - settled_ore AS open_ore, (SELECT count(*) FROM allocations AS a "
            "WHERE a.claim_id = c.id AND a.source = 'write_off') AS times FROM claims AS c "
            "WHERE id = ANY(:ids) AND settled_ore < amount_ore ORDER BY id"
        ),
        {"ids": list(claim_ids)},
    )
    settlements = [Settlement(row.id, "write_off", row.times + 1, row.open_ore, today) for row in rows]
    allocate(session, settlements, today, now)
    return sum(s.amount_ore for s in settlements)
