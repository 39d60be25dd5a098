"""Reopen an agreement: support does, after everything due is paid and the customer has made contact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from accounts.agreements import block
from accounts.agreements.standing import apply
from accounts.customers.tell import NewMessage, tell
from billing.claims import credit, queries
from billing.claims.rules import chased
from billing.claims.standing import REMAINDER
from billing.claims.write_off import write_off
from billing.passages.balances import lock
from config.clock import business_date
from config.problems import Conflict, NotFound
from config.rates import whole


@dataclass(frozen=True)
class Reopened:
    """The standing now, the block that was ended, and whether it had been reopened already."""

    agreement_id: int
    number: int
    standing: str
    block_id: int
    already: bool


def reopen(session: Session, number: int, contact: Mapping[str, str], now: dt.datetime, actor: str) -> Reopened:
    """Reopen the agreement with this number. ``contact``: how the customer made contact (``channel``, ``note``).

    Credit is used on what is past due, remainders under the figure are written off. Raises NotFound; Conflict
    (``still-due``, with what: invoice, KID, øre, due date) while something is due, (``not-blocked``,
    ``closed``) when there is nothing to reopen; Invalid for an unknown channel.
    """
    row = session.execute(
        text("SELECT id, closed_at FROM agreements WHERE number = :number"), {"number": number}
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such agreement.")
    if row.closed_at is not None and row.closed_at <= now:
        raise Conflict("The agreement is closed; make a new one.", slug="closed")
    today = business_date(now)
    lock(session, [row.id])
    _nothing_due(session, row.id, today, now)
    ended, already = block.reopen(session, row.id, contact, actor, now)
    apply(session, {row.id: 0}, now, "reopened", actor)
    if not already:
        tell(session, [NewMessage(row.id, "reopened", f"block:{ended.id}")], now=now)
    standing = session.scalar(text("SELECT standing FROM agreements WHERE id = :id"), {"id": row.id})
    return Reopened(row.id, number, str(standing), ended.id, already)


def _nothing_due(session: Session, agreement_id: int, today: dt.date, now: dt.datetime) -> None:
    """Raise Conflict with what is past due; write off what is too small to ask for."""
    credit.use(session, credit.past_due(session, [agreement_id], today), today, now)
    remainder = whole(REMAINDER, today)
    claims = [c for c in queries.open_claims(session, [agreement_id]) if c.due_on is not None and c.due_on < today]
    due = [claim for claim in claims if chased(claim.open_ore, remainder)]
    if due:
        total = sum(claim.open_ore for claim in due)
        raise Conflict(
            f"{len(due)} invoice(s) are due and not paid; the agreement can be reopened when they are.",
            slug="still-due",
            extra={"due": [claim.as_dict() for claim in due], "open_ore": total},
        )
    write_off(session, [claim.claim_id for claim in claims], today, now)
