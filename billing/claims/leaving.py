"""Credit that leaves us, to a bank account or to the card that had paid: what both ways ask before it goes."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.claims import credit
from billing.claims.standing import recompute_locked
from config import receivers
from config.clock import business_date
from config.problems import Conflict


def must_be_payable(session: Session, agreement_id: int) -> None:
    """Raise Conflict (``set-off-only``) where the holder's rulebook has credit used on invoices and never paid out."""
    org_no = session.scalar(
        text("SELECT k.org_no FROM agreements AS a JOIN customers AS k ON k.id = a.customer_id WHERE a.id = :id"),
        {"id": agreement_id},
    )
    if not receivers.rulebook(org_no).payout:
        raise Conflict("Credit is set off for this receiver, never paid out.", slug="set-off-only")


def after_debts(session: Session, agreement_id: int, now: dt.datetime, actor: str) -> int:
    """Pay what is past due with an agreement's credit, and return what is left of it (øre). The balance is locked."""
    today = business_date(now)
    if credit.use(session, credit.past_due(session, [agreement_id], today), today, now):
        recompute_locked(session, [agreement_id], today, now, actor)
    return credit.held(session, [agreement_id]).get(agreement_id, 0)


def must_be_there(wanted_ore: int, there_ore: int) -> None:
    """Raise Conflict (``not-enough-credit``, with what there is) unless that much credit (øre) is there, and any."""
    if not 0 < wanted_ore <= there_ore:
        detail = f"There are {there_ore} øre in credit." if there_ore else "There is nothing in credit."
        raise Conflict(detail, slug="not-enough-credit", extra={"credit_ore": there_ore})
