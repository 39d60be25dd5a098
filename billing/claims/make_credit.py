"""Claims below zero: what was taken back is more than what was driven, so we owe the customer.

A sum below zero is never an invoice. Its passages come into a claim of kind ``credit``, whose sum is the agreement's
credit from then on. Passages that come to exactly nothing are taken too, or they would stay unbilled for ever.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.make import BalanceDiffers
from billing.passages.balances import lock
from billing.passages.take import take
from config.clock import business_date


@dataclass(frozen=True)
class MadeCredit:
    """A credit claim just made: its passages' sum (øre, ≤ 0), their count, and whether it has to be shown.

    It need not be where every counter-row in it takes back a passage in it: then nothing has happened.
    """

    claim_id: int
    agreement_id: int
    amount_ore: int
    count: int
    shown: bool


_INSERT = """
    INSERT INTO claims (agreement_id, kind, run, part, cutoff_at, passages_ore, passages_count, made_at)
    SELECT b.agreement_id, 'credit', :run, :part, :cutoff,
           b.unbilled_ore - coalesce(late.ore, 0), b.unbilled_count - coalesce(late.count, 0), :now
    FROM balances AS b
    LEFT JOIN (
        SELECT agreement_id, sum(amount_ore)::bigint AS ore, count(*) AS count
        FROM passages
        WHERE booked_at > :cutoff AND agreement_id = ANY(:agreements) AND claim_id IS NULL AND NOT external
        GROUP BY agreement_id
    ) AS late ON late.agreement_id = b.agreement_id
    WHERE b.agreement_id = ANY(:agreements) AND b.unbilled_count > coalesce(late.count, 0)
      AND (b.unbilled_ore - coalesce(late.ore, 0) <= -CAST(:minimum AS bigint)
           OR b.unbilled_ore - coalesce(late.ore, 0) = 0)
    ORDER BY b.agreement_id
    ON CONFLICT (agreement_id, run, part) DO NOTHING
    RETURNING id, agreement_id, passages_ore, passages_count
"""

# Two rows for each passage taken back: itself and its counter-row.
_WITHIN = """
    SELECT c.claim_id FROM passages AS c
    LEFT JOIN passages AS o ON o.id = c.reverses_id AND o.claim_id = c.claim_id
    WHERE c.agreement_id = ANY(:agreements) AND c.claim_id = ANY(:claims)
    GROUP BY c.claim_id HAVING count(*) = 2 * count(o.id)
"""


def make_credit(
    session: Session,
    agreement_ids: Sequence[int],
    run: str,
    part: str,
    cutoff: dt.datetime,
    minimum_ore: int,
    now: dt.datetime,
) -> list[MadeCredit]:
    """Take what each agreement has unbilled and booked by ``cutoff`` where it comes to −``minimum_ore`` (≥ 1) or less,
    or to nothing.

    Booked as credit. Unique by (agreement, run, part) among all claims: a repeat makes nothing and returns nothing.
    Raises BalanceDiffers when what was taken is not what the balance said.
    """
    if not agreement_ids:
        return []
    lock(session, agreement_ids)
    rows = session.execute(
        text(_INSERT),
        {
            "agreements": list(agreement_ids),
            "run": run,
            "part": part,
            "cutoff": cutoff,
            "minimum": max(minimum_ore, 1),
            "now": now,
        },
    ).all()
    if not rows:
        return []
    taken = take(session, {row.agreement_id: row.id for row in rows}, cutoff)
    for row in rows:
        got = taken.get(row.agreement_id)
        if got is None or (got.ore, got.count) != (row.passages_ore, row.passages_count):
            raise BalanceDiffers(
                f"agreement {row.agreement_id}: the balance promised {row.passages_ore} øre in "
                f"{row.passages_count} passages, taken were {got}; run `brikke audit`"
            )
    ids = [row.id for row in rows]
    credit.of_claims(session, ids, business_date(now), now)
    params = {"agreements": [row.agreement_id for row in rows], "claims": ids}
    within = set(session.scalars(text(_WITHIN), params))
    return [MadeCredit(row[0], row[1], row[2], row[3], row.id not in within) for row in rows]
