"""Take unbilled passages into claims: the claim's id is written on each of them, once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Taken:
    """What a claim took: the sum in øre (counter-rows being negative) and how many rows."""

    ore: int
    count: int


_OLDEST = text("SELECT min(open_since) FROM balances WHERE agreement_id = ANY(CAST(:agreements AS bigint[]))")

_TAKE = text("""
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:agreements AS bigint[]), CAST(:claims AS bigint[])) AS w (agreement_id, claim_id)
    ), taken AS (
        UPDATE passages AS p SET claim_id = w.claim_id
        FROM wanted AS w
        WHERE p.agreement_id = w.agreement_id AND p.claim_id IS NULL AND NOT p.external
            AND p.booked_at >= :oldest AND p.booked_at <= :cutoff
        RETURNING p.agreement_id, p.amount_ore
    )
    SELECT agreement_id, sum(amount_ore), count(*) FROM taken GROUP BY agreement_id
""")

_LOWER = text("""
    UPDATE balances AS b
    SET unbilled_ore = b.unbilled_ore - t.ore, unbilled_count = b.unbilled_count - t.number,
        open_since = CASE WHEN b.unbilled_count > t.number THEN (
            SELECT min(p.booked_at) FROM passages AS p
            WHERE p.agreement_id = b.agreement_id AND p.claim_id IS NULL AND NOT p.external AND p.booked_at > :cutoff
        ) END
    FROM unnest(CAST(:agreements AS bigint[]), CAST(:sums AS bigint[]), CAST(:numbers AS integer[]))
        AS t (agreement_id, ore, number)
    WHERE b.agreement_id = t.agreement_id
""")


_TAKE_THESE = text("""
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:agreements AS bigint[]), CAST(:claims AS bigint[]), CAST(:passages AS bigint[]))
            AS w (agreement_id, claim_id, passage_id)
    ), taken AS (
        UPDATE passages AS p SET claim_id = w.claim_id
        FROM wanted AS w
        WHERE p.id = w.passage_id AND p.agreement_id = w.agreement_id AND p.claim_id IS NULL AND NOT p.external
            AND p.booked_at >= :oldest AND p.booked_at <= :cutoff
        RETURNING p.agreement_id, p.amount_ore
    )
    SELECT agreement_id, sum(amount_ore), count(*) FROM taken GROUP BY agreement_id
""")

# What stays may have arrived before the cut-off.
_LOWER_SOME = text("""
    UPDATE balances AS b
    SET unbilled_ore = b.unbilled_ore - t.ore, unbilled_count = b.unbilled_count - t.number,
        open_since = CASE WHEN b.unbilled_count > t.number THEN (
            SELECT min(p.booked_at) FROM passages AS p
            WHERE p.agreement_id = b.agreement_id AND p.claim_id IS NULL AND NOT p.external
                AND p.booked_at >= b.open_since
        ) END
    FROM unnest(CAST(:agreements AS bigint[]), CAST(:sums AS bigint[]), CAST(:numbers AS integer[]))
        AS t (agreement_id, ore, number)
    WHERE b.agreement_id = t.agreement_id
""")


def take_these(
    session: Session, claims: Mapping[int, int], passages: Mapping[int, Sequence[int]], cutoff: dt.datetime
) -> dict[int, Taken]:
    """Take as ``take`` does, but of each agreement only these of its passages (ids), if they are unbilled still."""
    oldest = session.execute(_OLDEST, {"agreements": list(claims)}).scalar_one() if claims else None
    if oldest is None:
        return {}
    wanted = [(agreement, claim, one) for agreement, claim in claims.items() for one in passages[agreement]]
    rows = session.execute(
        _TAKE_THESE,
        {
            "agreements": [agreement for agreement, _, _ in wanted],
            "claims": [claim for _, claim, _ in wanted],
            "passages": [one for _, _, one in wanted],
            "oldest": oldest,
            "cutoff": cutoff,
        },
    ).all()
    taken = {agreement: Taken(int(ore), count) for agreement, ore, count in rows}
    session.execute(_LOWER_SOME, _lowered(taken))
    return taken


def _lowered(taken: Mapping[int, Taken]) -> dict[str, list[int]]:
    return {
        "agreements": list(taken),
        "sums": [one.ore for one in taken.values()],
        "numbers": [one.count for one in taken.values()],
    }


def take(session: Session, claims: Mapping[int, int], cutoff: dt.datetime) -> dict[int, Taken]:
    """Write each agreement's claim id on its unbilled passages booked by ``cutoff`` (inclusive).

    ``claims`` is {agreement id: claim id}. Returns what each took; an agreement with nothing to take is left
    out. Balances are lowered by exactly that, and must have been locked by the caller in an earlier statement.
    External journeys are never taken. Only partitions since the oldest unbilled passage are looked at.
    """
    if not claims:
        return {}
    agreements = list(claims)
    oldest = session.execute(_OLDEST, {"agreements": agreements}).scalar_one()
    if oldest is None or oldest > cutoff:
        return {}
    rows = session.execute(
        _TAKE, {"agreements": agreements, "claims": list(claims.values()), "oldest": oldest, "cutoff": cutoff}
    ).all()
    taken = {agreement: Taken(int(ore), count) for agreement, ore, count in rows}
    session.execute(_LOWER, _lowered(taken) | {"cutoff": cutoff})
    return taken
