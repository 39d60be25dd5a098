"""Claims below zero: what was taken back is more than what was driven, so we owe the customer.

A sum below zero is never an invoice. Its passages come into a claim of kind ``credit``, whose sum is the agreement's
credit from then on. Passages that come to exactly nothing are taken too, or they would stay unbilled for ever.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.make import BalanceDiffers
from billing.passages import held
from billing.passages.backlog.slices import Slice
from billing.passages.balances import lock
from billing.passages.take import take, take_these
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
           coalesce(s.ore, b.unbilled_ore - coalesce(late.ore, 0)),
           coalesce(s.count, b.unbilled_count - coalesce(late.count, 0)), :now
    FROM balances AS b
    LEFT JOIN (
        SELECT agreement_id, sum(amount_ore)::bigint AS ore, count(*) AS count
        FROM passages
        WHERE booked_at > :cutoff AND agreement_id = ANY(:agreements) AND claim_id IS NULL AND NOT external
        GROUP BY agreement_id
    ) AS late ON late.agreement_id = b.agreement_id
    LEFT JOIN unnest(CAST(:without_held AS bigint[]), CAST(:ores AS bigint[]), CAST(:counts AS integer[]))
        AS s (agreement_id, ore, count) ON s.agreement_id = b.agreement_id
    WHERE b.agreement_id = ANY(:agreements)
      AND coalesce(s.count, b.unbilled_count - coalesce(late.count, 0)) > 0
      AND (coalesce(s.ore, b.unbilled_ore - coalesce(late.ore, 0)) <= -CAST(:minimum AS bigint)
           OR coalesce(s.ore, b.unbilled_ore - coalesce(late.ore, 0)) = 0)
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

    What is held back because it is disputed is left out. Booked as credit. Unique by (agreement, run, part) among all
    claims: a repeat makes nothing and returns nothing.

    Raises BalanceDiffers when what was taken is not what the balance said.
    """
    if not agreement_ids:
        return []
    lock(session, agreement_ids)
    some = held.leave_out(session, agreement_ids, {}, cutoff)
    rows = session.execute(
        text(_INSERT),
        {
            "agreements": list(agreement_ids),
            "run": run,
            "part": part,
            "cutoff": cutoff,
            "minimum": max(minimum_ore, 1),
            "now": now,
            "without_held": list(some),
            "ores": [one.ore for one in some.values()],
            "counts": [one.count for one in some.values()],
        },
    ).all()
    if not rows:
        return []
    _take(session, rows, some, cutoff)
    ids = [row.id for row in rows]
    credit.of_claims(session, ids, business_date(now), now)
    params = {"agreements": [row.agreement_id for row in rows], "claims": ids}
    within = set(session.scalars(text(_WITHIN), params))
    return [MadeCredit(row[0], row[1], row[2], row[3], row.id not in within) for row in rows]


def _take(session: Session, rows: Sequence[Any], some: Mapping[int, Slice], cutoff: dt.datetime) -> None:
    """Take what the claims promise: all up to the cut-off, or what is not held of it. Raises BalanceDiffers."""
    claims = {row.agreement_id: row.id for row in rows}
    taken = take(session, {one: claim for one, claim in claims.items() if one not in some}, cutoff)
    parts = {one: claim for one, claim in claims.items() if one in some}
    if parts:
        taken |= take_these(session, parts, {one: some[one].passages for one in parts}, cutoff)
    for row in rows:
        got = taken.get(row.agreement_id)
        if got is None or (got.ore, got.count) != (row.passages_ore, row.passages_count):
            raise BalanceDiffers(
                f"agreement {row.agreement_id}: the balance promised {row.passages_ore} øre in "
                f"{row.passages_count} passages, taken were {got}; run `brikke audit`"
            )
