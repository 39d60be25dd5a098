"""What comes to less than nothing: a credit note, never an invoice. It pays what is open, the rest is in credit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.make_credit import MadeCredit, make_credit
from billing.claims.standing import recompute_locked
from billing.invoices.write import Presented, write
from billing.passages.balances import lock
from config.clock import business_date


@dataclass(frozen=True)
class Credited:
    """Credit notes made, claim id → document id, their sum (øre, ≤ 0), and all claims, shown or not."""

    documents: dict[int, int]
    sum_ore: int
    claims: list[MadeCredit]


def credit_below_zero(
    session: Session,
    agreement_ids: Sequence[int],
    *,
    run: str,
    cutoff: dt.datetime,
    minimum_ore: int,
    presented: Presented,
    since: dt.datetime | None = None,
    part: str = "",
) -> Credited:
    """Credit agreements with what they have unbilled by ``cutoff`` where it comes to −``minimum_ore`` or less, or to 0.

    Locks the balances. The credit is used at once on what is open and has a due date, the first due first; the rest
    stays for the next invoice or a payout. Passages that cancel each other leave no document. ``presented`` is without
    due date. A repeat for the same (agreement, run, part) makes nothing. Raises BalanceDiffers, DocumentDiffers.
    """
    made = make_credit(session, agreement_ids, run, part, cutoff, minimum_ore, presented.now)
    if not made:
        return Credited({}, 0, [])
    today, now = business_date(presented.now), presented.now
    owners = [claim.agreement_id for claim in made if claim.amount_ore < 0]
    if credit.use(session, credit.to_pay(session, owners), today, now):
        recompute_locked(session, owners, today, now, presented.actor or "credit note")
    shown = [claim for claim in made if claim.shown]
    documents = write(session, [claim.claim_id for claim in shown], presented, since=since)
    return Credited(documents, sum(claim.amount_ore for claim in shown), made)


def credit_now(
    session: Session, agreement_id: int, *, reason: str, seller: Mapping[str, Any], now: dt.datetime, actor: str
) -> int | None:
    """Credit an agreement now with what it has unbilled below zero, on request; return the document's id.

    None where nothing is below zero, or it has been done already in this very instant. ``reason`` is an agent's.
    """
    lock(session, [agreement_id])
    presented = Presented(seller, business_date(now), None, None, None, now, reason, actor)
    run = f"credit:{now.isoformat()}"
    done = credit_below_zero(session, [agreement_id], run=run, cutoff=now, minimum_ore=1, presented=presented)
    return next(iter(done.documents.values()), None)
