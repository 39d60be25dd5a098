"""Credit: what we owe a customer who paid too much, and its use on claims.

Whoever changes or spends credit holds the agreement's balance lock, so the sum cannot go below zero.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims.settle import Settlement, allocate
from billing.ledger.book import book_query
from billing.passages.balances import lock


@dataclass(frozen=True)
class Gain:
    """So many øre (> 0) of a payment that become an agreement's credit."""

    agreement_id: int
    payment_id: int
    amount_ore: int


_ADD = """
    INSERT INTO credit_entries (agreement_id, amount_ore, code, ref, at)
    SELECT agreement_id, amount_ore, :code, ref, :now
    FROM unnest(CAST(:agreements AS bigint[]), CAST(:amounts AS bigint[]), CAST(:refs AS bigint[]))
        AS g (agreement_id, amount_ore, ref)
    ORDER BY ref
    ON CONFLICT (code, ref) DO NOTHING
    RETURNING id
"""

_BOOK_GAIN = """
    SELECT 'suspense' AS debit, 0 AS debit_owner, 'credit' AS credit, agreement_id AS credit_owner, amount_ore,
           'overpaid' AS code, id AS ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""

_BOOK_LOSS = """
    SELECT 'credit' AS debit, agreement_id AS debit_owner, 'suspense' AS credit, 0 AS credit_owner,
           -amount_ore AS amount_ore, 'credit_back' AS code, id AS ref, '' AS part
    FROM credit_entries WHERE id = ANY(:ids)
"""


def add(
    session: Session, gains: Sequence[Gain], code: Literal["overpaid", "assigned"], today: dt.date, now: dt.datetime
) -> None:
    """Turn money in suspense into credit: too much for its claim (``overpaid``), or placed by support (``assigned``).

    Once per (code, payment). The agreements' balances must be locked.
    """
    if not gains:
        return
    ids = _insert(session, code, [(g.agreement_id, g.amount_ore, g.payment_id) for g in gains], now)
    book_query(session, _BOOK_GAIN, {"ids": ids}, booked_on=today, now=now)


def take_back(
    session: Session, agreement_id: int, reversal_id: int, amount_ore: int, today: dt.date, now: dt.datetime
) -> int:
    """Take up to ``amount_ore`` (> 0) of credit back for a payment the bank reversed; return how much there was.

    What has been spent cannot be taken back. The agreement's balance must be locked.
    """
    amount = min(amount_ore, held(session, [agreement_id]).get(agreement_id, 0))
    if amount <= 0:
        return 0
    ids = _insert(session, "reversed", [(agreement_id, -amount, reversal_id)], now)
    book_query(session, _BOOK_LOSS, {"ids": ids}, booked_on=today, now=now)
    return amount


def held(session: Session, agreement_ids: Sequence[int]) -> dict[int, int]:
    """Return the credit (øre) of those agreements that have any."""
    rows = session.execute(
        text(
            "SELECT agreement_id, sum(amount_ore)::bigint AS ore FROM credit_entries "
            "WHERE agreement_id = ANY(:ids) GROUP BY agreement_id HAVING sum(amount_ore) > 0"
        ),
        {"ids": list(agreement_ids)},
    )
    return {row.agreement_id: row.ore for row in rows}


def use(session: Session, claim_ids: Sequence[int], today: dt.date, now: dt.datetime) -> dict[int, int]:
    """Settle claims with their agreements' credit, the first due first; return claim id → øre used.

    Used when an invoice is issued and before anything is blocked. The standing is not judged here: a claim just
    issued is not overdue, other callers recompute.
    """
    if not claim_ids:
        return {}
    owners = session.scalars(
        text("SELECT DISTINCT agreement_id FROM claims WHERE id = ANY(:ids) ORDER BY 1"), {"ids": list(claim_ids)}
    ).all()
    lock(session, owners)
    credit = held(session, owners)
    if not credit:
        return {}
    # `times` keeps several uses on one claim apart.
    rows = session.execute(
        text(
            "SELECT id, agreement_id, amount_ore - settled_ore AS open_ore, (SELECT count(*) FROM allocations AS a "
            "WHERE a.claim_id = c.id AND a.source = 'credit') AS times FROM claims AS c "
            "WHERE id = ANY(:ids) AND agreement_id = ANY(:owners) AND settled_ore < amount_ore "
            "ORDER BY due_on NULLS LAST, id"
        ),
        {"ids": list(claim_ids), "owners": list(credit)},
    )
    settlements = []
    for row in rows:
        amount = min(row.open_ore, credit[row.agreement_id])
        if amount > 0:
            credit[row.agreement_id] -= amount
            settlements.append(Settlement(row.id, "credit", row.times + 1, amount, today))
    return _spend(session, settlements, today, now)


def past_due(session: Session, agreement_ids: Sequence[int], today: dt.date) -> list[int]:
    """Return the open claims past due of agreements: credit is used on them at once, not at the next invoice.

    Who paid two invoices with the KID of one has paid both.
    """
    return list(
        session.scalars(
            text(
                "SELECT id FROM claims WHERE agreement_id = ANY(:ids) AND due_on < :today AND settled_ore < amount_ore"
            ),
            {"ids": list(agreement_ids), "today": today},
        )
    )


def _spend(session: Session, settlements: list[Settlement], today: dt.date, now: dt.datetime) -> dict[int, int]:
    """Allocate credit and write what was used as entries; return claim id → øre."""
    done = allocate(session, settlements, today, now)
    if done.leftovers:
        raise AssertionError("the claims changed although their balances are locked")
    rows = session.execute(
        text("SELECT id, claim_id, agreement_id, amount_ore FROM allocations WHERE id = ANY(:ids)"),
        {"ids": done.allocation_ids},
    ).all()
    _insert(session, "used", [(row.agreement_id, -row.amount_ore, row.id) for row in rows], now)
    return {row.claim_id: row.amount_ore for row in rows}


def _insert(session: Session, code: str, rows: Sequence[tuple[int, int, int]], now: dt.datetime) -> list[int]:
    """Insert entries (agreement, øre, ref), each (code, ref) once; return the ids of the new ones."""
    params = {
        "code": code,
        "agreements": [row[0] for row in rows],
        "amounts": [row[1] for row in rows],
        "refs": [row[2] for row in rows],
        "now": now,
    }
    return list(session.scalars(text(_ADD), params))
