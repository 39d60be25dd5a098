"""Join a claim: what takes its passages back, and what replaces them, comes into the claim that has the passages."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session


class Joining(NamedTuple):
    """A counter-row, or a passage in another's place, that is unbilled: id, and øre (counter-rows negative)."""

    passage_id: int
    amount_ore: int


# From the claim's passages along the reversals, as far as nothing else has billed them: a passage may have been
# adjusted twice. What a charger adjusts comes as a record of its own, which the reversal names (its reason). What is
# disputed waits (held.py) unless it was taken back itself.
_FIND = text("""
    WITH RECURSIVE chain AS (
        SELECT p.id, p.charger_id, p.claim_id, p.amount_ore FROM passages AS p
        WHERE p.agreement_id = :agreement AND p.claim_id = :claim
        UNION
        SELECT n.id, n.charger_id, n.claim_id, n.amount_ore
        FROM chain AS k
        JOIN reversals AS v ON v.passage_id = k.id
        LEFT JOIN records AS r ON v.cause = 'adjusted' AND r.charger_id = k.charger_id AND r.source_id = v.reason
        CROSS JOIN LATERAL (VALUES (v.counter_id), (v.replaced_by), (r.passage_id)) AS f (id)
        JOIN passages AS n ON n.id = f.id AND n.agreement_id = :agreement AND NOT n.external
        WHERE n.claim_id IS NULL OR n.claim_id = :claim
    )
    SELECT id, amount_ore FROM chain AS k
    WHERE claim_id IS NULL AND NOT EXISTS (
        SELECT FROM held_passages AS h WHERE h.passage_id = k.id
            AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = h.passage_id))
    ORDER BY id
""")

_CORRECTED = text("""
    SELECT DISTINCT o.claim_id
    FROM balances AS b
    JOIN passages AS c ON c.agreement_id = b.agreement_id AND c.claim_id IS NULL AND c.reverses_id IS NOT NULL
         AND NOT c.external AND c.booked_at >= b.open_since
    JOIN passages AS o ON o.id = c.reverses_id AND o.agreement_id = c.agreement_id AND o.claim_id IS NOT NULL
    WHERE b.agreement_id = ANY(CAST(:agreements AS bigint[])) AND b.unbilled_count > 0
      AND c.booked_at <= :cutoff
    ORDER BY o.claim_id
""")

_CLAIM = text("""
    UPDATE passages SET claim_id = :claim
    WHERE agreement_id = :agreement AND id = ANY(CAST(:ids AS bigint[])) AND claim_id IS NULL
    RETURNING amount_ore
""")

# What is left may be enough for a card now: its sweep looks at those whose date has come.
_LOWER = text("""
    UPDATE balances AS b
    SET unbilled_ore = b.unbilled_ore - :ore, unbilled_count = b.unbilled_count - :count,
        open_since = CASE WHEN b.unbilled_count > :count THEN (
            SELECT min(p.booked_at) FROM passages AS p
            WHERE p.agreement_id = b.agreement_id AND p.claim_id IS NULL AND NOT p.external
              AND p.booked_at >= b.open_since
        ) END,
        charge_not_before = least(b.charge_not_before, :today)
    WHERE b.agreement_id = :agreement
""")


def find(session: Session, agreement_id: int, claim_id: int) -> list[Joining]:
    """Return what is unbilled and corrects a claim's passages, without what is held back. The agreement's balance must
    be locked."""
    rows = session.execute(_FIND, {"agreement": agreement_id, "claim": claim_id})
    return [Joining(*row) for row in rows]


def corrected(session: Session, agreement_ids: Sequence[int], cutoff: dt.datetime) -> list[int]:
    """Return the claims that have passages which unbilled counter-rows, booked by the cut-off, take back."""
    return list(session.scalars(_CORRECTED, {"agreements": list(agreement_ids), "cutoff": cutoff}))


def join(session: Session, agreement_id: int, claim_id: int, rows: Sequence[Joining], today: dt.date) -> None:
    """Write a claim's id on what ``find`` found, and lower the balance by it, whose lock is held still.

    Raises AssertionError when that is no longer unbilled, which the lock makes impossible.
    """
    if not rows:
        return
    ids = [row.passage_id for row in rows]
    taken = session.scalars(_CLAIM, {"claim": claim_id, "agreement": agreement_id, "ids": ids}).all()
    ore = sum(row.amount_ore for row in rows)
    if (len(taken), sum(taken)) != (len(rows), ore):
        raise AssertionError(f"passages of agreement {agreement_id} changed although its balance is locked")
    session.execute(_LOWER, {"ore": ore, "count": len(rows), "agreement": agreement_id, "today": today})
