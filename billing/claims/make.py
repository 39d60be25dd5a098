"""Make claims: what has not been billed becomes something that is owed.

Set-based, one transaction a chunk (500-1,000 agreements is a good size; the caller chunks). The sum that will be
taken is known before anything is written: the balance, which is locked, less what arrived after the cut-off. So a
part that is too small leaves no trace, and what is taken is held against what was expected.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.ledger.book import book_query
from billing.passages import held
from billing.passages.backlog import slices as backlog
from billing.passages.backlog.slices import Slice
from billing.passages.balances import lock
from billing.passages.take import Taken, take, take_these
from config.clock import business_date

Kind = Literal["invoice", "card"]


@dataclass(frozen=True)
class MadeClaim:
    """A claim just made: its passages' sum (øre, > 0; its amount as long as it has no fee) and their count."""

    claim_id: int
    agreement_id: int
    amount_ore: int
    count: int


class BalanceDiffers(Exception):
    """A balance is not the sum of its agreement's unbilled passages. Nothing may be billed before that is found."""


_INSERT = """
    INSERT INTO claims (agreement_id, kind, run, part, cutoff_at, passages_ore, passages_count, due_on, made_at)
    SELECT b.agreement_id, :kind, r.run, :part, :cutoff,
           coalesce(s.ore, b.unbilled_ore - coalesce(late.ore, 0)),
           coalesce(s.count, b.unbilled_count - coalesce(late.count, 0)), :due, :now
    FROM balances AS b
    JOIN unnest(CAST(:agreements AS bigint[]), CAST(:runs AS text[])) AS r (agreement_id, run)
         ON r.agreement_id = b.agreement_id
    LEFT JOIN (
        SELECT agreement_id, sum(amount_ore)::bigint AS ore, count(*) AS count
        FROM passages
        WHERE booked_at > :cutoff AND agreement_id = ANY(:agreements) AND claim_id IS NULL AND NOT external
        GROUP BY agreement_id
    ) AS late ON late.agreement_id = b.agreement_id
    LEFT JOIN unnest(
        CAST(:sliced AS bigint[]), CAST(:slice_ores AS bigint[]), CAST(:slice_counts AS integer[]),
        CAST(:slices_cut AS boolean[])
    ) AS s (agreement_id, ore, count, cut) ON s.agreement_id = b.agreement_id
    WHERE b.agreement_id = ANY(:agreements)
      AND coalesce(s.ore, b.unbilled_ore - coalesce(late.ore, 0)) >= CASE WHEN s.cut THEN 1 ELSE :minimum END
    ORDER BY b.agreement_id
    ON CONFLICT (agreement_id, run, part) DO NOTHING
    RETURNING id, agreement_id, passages_ore, passages_count
"""

_BOOK = """
    SELECT 'receivable' AS debit, agreement_id AS debit_owner, 'unbilled' AS credit, 0 AS credit_owner,
           passages_ore AS amount_ore, 'claim' AS code, id AS ref, '' AS part
    FROM claims WHERE id = ANY(:claims)
"""


def make(
    session: Session,
    agreement_ids: Sequence[int],
    kind: Kind,
    run: str | Mapping[int, str],
    part: str,
    cutoff: dt.datetime,
    minimum_ore: int,
    now: dt.datetime,
    due_on: dt.date | None = None,
) -> list[MadeClaim]:
    """Claim what each agreement has unbilled and booked by ``cutoff`` (inclusive), where that is ≥ ``minimum_ore``.

    A sum of nothing or less is never claimed, whatever the minimum. Unique by (agreement, run, part): a repeat
    makes nothing and returns nothing; ``run`` may be each agreement's own. ``due_on``: for a caller that issues the
    document in the same transaction, which would write it otherwise. Raises BalanceDiffers when what was taken is not
    what the balance said.

    Of a backlog only its slices are claimed (billing.passages.backlog); one that was cut also under the minimum.
    What is disputed is left out (billing.passages.held).
    """
    if not agreement_ids:
        return []
    lock(session, agreement_ids)
    sliced = held.leave_out(session, agreement_ids, backlog.slices(session, agreement_ids, cutoff, kind, now), cutoff)
    rows = session.execute(
        text(_INSERT),
        {
            "agreements": list(agreement_ids),
            "runs": [run if isinstance(run, str) else run[one] for one in agreement_ids],
            "kind": kind, "part": part, "cutoff": cutoff,
            "minimum": max(minimum_ore, 1), "due": due_on, "now": now,
            **_promised(sliced),
        },
    )  # fmt: skip
    made = [MadeClaim(*row) for row in rows]
    if not made:
        return []
    taken = _take(session, made, sliced, cutoff, now)
    for claim in made:
        got = taken.get(claim.agreement_id)
        if got is None or (got.ore, got.count) != (claim.amount_ore, claim.count):
            raise BalanceDiffers(
                f"agreement {claim.agreement_id}: the balance promised {claim.amount_ore} øre in "
                f"{claim.count} passages, taken were {got}; run `brikke audit`"
            )
    book_query(session, _BOOK, {"claims": [claim.claim_id for claim in made]}, booked_on=business_date(now), now=now)
    return made


def _promised(sliced: Mapping[int, Slice]) -> dict[str, list[Any]]:
    return {
        "sliced": list(sliced),
        "slice_ores": [one.ore for one in sliced.values()],
        "slice_counts": [one.count for one in sliced.values()],
        "slices_cut": [one.cut for one in sliced.values()],
    }


def _take(
    session: Session, made: Sequence[MadeClaim], sliced: Mapping[int, Slice], cutoff: dt.datetime, now: dt.datetime
) -> dict[int, Taken]:
    """Take what the claims promise: all up to the cut-off, or the slice of a backlog."""
    claims = {claim.agreement_id: claim.claim_id for claim in made}
    taken = take(session, {one: claim for one, claim in claims.items() if one not in sliced}, cutoff)
    in_slices = {one: claim for one, claim in claims.items() if one in sliced}
    if in_slices:
        of_slices = take_these(session, in_slices, {one: sliced[one].passages for one in in_slices}, cutoff)
        backlog.taken(session, {one: got.ore for one, got in of_slices.items()}, now)
        taken |= of_slices
    return taken
