"""Issue invoices: claims get a document with a number, a KID and a due date, and the customer is told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.invoices.write import Presented, existing, write
from billing.passages.balances import lock


def issue(
    session: Session,
    claim_ids: Sequence[int],
    *,
    seller: Mapping[str, Any],
    issued_on: dt.date,
    due_on: dt.date,
    run_id: int | None = None,
    now: dt.datetime,
    since: dt.datetime | None = None,
) -> list[int]:
    """Issue the invoices of claims and return the documents' ids, in order of the claims given.

    What the customer has to their credit is used first; an invoice that it pays wholly is issued all the same. A
    claim that has its document already keeps it. ``since``: see write. Locks balances, claims, number series.
    Raises DocumentDiffers, LookupError.
    """
    if not claim_ids:
        return []
    lock_claims(session, claim_ids)
    done = existing(session, claim_ids)
    fresh = [claim_id for claim_id in dict.fromkeys(claim_ids) if claim_id not in done]
    presented = Presented(seller, issued_on, due_on, None, run_id, now)
    done |= issue_fresh(session, fresh, presented, since=since)
    return [done[claim_id] for claim_id in claim_ids]


def issue_fresh(
    session: Session, claim_ids: Sequence[int], presented: Presented, *, since: dt.datetime | None = None
) -> dict[int, int]:
    """Issue the invoices of claims that have none, their balances being locked; return claim id → document id."""
    owners = session.execute(
        text(
            "SELECT id FROM claims AS c WHERE id = ANY(:ids) "
            "AND EXISTS (SELECT FROM credit_entries AS e WHERE e.agreement_id = c.agreement_id)"
        ),
        {"ids": list(claim_ids)},
    )
    credit.use(session, list(owners.scalars()), today=presented.issued_on, now=presented.now)
    return write(session, claim_ids, presented, since=since)


def lock_claims(session: Session, claim_ids: Sequence[int]) -> None:
    """Lock the balances of the claims' agreements: of two that issue the same claim the second finds it done."""
    owners = session.scalars(
        text("SELECT DISTINCT agreement_id FROM claims WHERE id = ANY(:ids)"), {"ids": list(claim_ids)}
    )
    lock(session, owners)
