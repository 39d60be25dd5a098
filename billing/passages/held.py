"""Passages that are held back from billing while their charger looks at what the customer disputes.

A held passage stays unbilled and in the balance; what makes claims leaves it out. One that is billed already cannot be
held. What has been taken back is not held any more: its counter-row is billed, and it with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing.passages.backlog.slices import Slice
from billing.passages.balances import lock
from billing.passages.held_models import Held
from billing.passages.models import Passage

_UNBILLED = text("""
    SELECT p.agreement_id, p.id, p.amount_ore FROM passages AS p
    JOIN balances AS b ON b.agreement_id = p.agreement_id
    WHERE p.agreement_id = ANY(CAST(:agreements AS bigint[])) AND p.claim_id IS NULL AND NOT p.external
        AND p.booked_at >= b.open_since AND p.booked_at <= :cutoff ORDER BY p.id
""")
_HELD = text("""
    SELECT h.agreement_id, h.passage_id, h.amount_ore FROM held_passages AS h
    WHERE h.agreement_id = ANY(CAST(:agreements AS bigint[]))
        AND NOT EXISTS (SELECT FROM reversals AS v WHERE v.passage_id = h.passage_id)
""")


def hold(session: Session, passage: Passage, now: dt.datetime) -> bool:
    """Hold a passage back; say whether it could be: not when it is billed. Locks its agreement's balance."""
    lock(session, [passage.agreement_id])
    session.refresh(passage)
    if passage.claim_id is not None or passage.external:
        return False
    values = {"passage_id": passage.id, "agreement_id": passage.agreement_id, "amount_ore": passage.amount_ore,
              "held_at": now}  # fmt: skip
    session.execute(insert(Held).values(values).on_conflict_do_nothing(index_elements=["passage_id"]))
    return True


def release(session: Session, passage_ids: Sequence[int]) -> list[int]:
    """Hold passages back no longer; return the agreements, whose balances are locked: a card may be due now."""
    which = Held.passage_id == func.any(list(passage_ids))
    agreements = sorted(set(session.scalars(select(Held.agreement_id).where(which))))
    lock(session, agreements)
    session.execute(delete(Held).where(which).execution_options(synchronize_session=False))
    return agreements


def sums(session: Session, agreement_ids: Sequence[int]) -> dict[int, int]:
    """Return how much of agreements is held back, øre; those without are left out."""
    found: dict[int, int] = {}
    for agreement, _, ore in session.execute(_HELD, {"agreements": list(agreement_ids)}):
        found[agreement] = found.get(agreement, 0) + ore
    return found


def leave_out(
    session: Session, agreement_ids: Sequence[int], sliced: Mapping[int, Slice], cutoff: dt.datetime
) -> dict[int, Slice]:
    """Return what may be taken (see ``backlog.slices``) without what is held: of agreements that have something held,
    a list of the others; who has nothing held is as he was. The balances are locked."""
    held: dict[int, set[int]] = {}
    for agreement, passage, _ in session.execute(_HELD, {"agreements": list(agreement_ids)}):
        held.setdefault(agreement, set()).add(passage)
    if not held:
        return dict(sliced)
    rows = session.execute(_UNBILLED, {"agreements": list(held), "cutoff": cutoff}).all()
    result = dict(sliced)
    for agreement, without in held.items():
        within = set(sliced[agreement].passages) if agreement in sliced else None
        some = [
            (row.id, row.amount_ore)
            for row in rows
            if row.agreement_id == agreement and row.id not in without and (within is None or row.id in within)
        ]
        cut = sliced[agreement].cut if agreement in sliced else False
        result[agreement] = Slice(sum(ore for _, ore in some), len(some), cut, tuple(one for one, _ in some))
    return result
