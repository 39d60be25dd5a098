"""What an agreement has not paid for when its card is not to pay any more: invoiced now, whatever the sum.

The callers hold the lock on the agreement's balance, and on its open charge.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from billing.cards import outcome
from billing.cards.due import call_off
from billing.cards.models import Charge
from billing.cards.outcome import Seller
from billing.cards.queries import unanswered_of
from billing.claims.make import make
from billing.invoices.issue import issue
from billing.invoices.rules import due_date
from billing.passages.models import Balance
from config.clock import business_date
from config.problems import Conflict
from config.rates import whole


def invoice_charge(session: Session, charge: Charge, *, seller: Seller, now: dt.datetime) -> None:
    """End an open charge without the card: an untried one is cancelled, one that is tried becomes an invoice now.

    Raises Conflict ``charge-unknown`` while nobody knows whether the card has paid.
    """
    if charge.state == "due":
        call_off(session, charge, now=now)
        return
    if unanswered_of(session, charge.id) is not None:
        raise Conflict(
            "The bank has not answered yet whether the card has paid. It is asked again by itself; try again after "
            "that.",
            slug="charge-unknown",
        )
    outcome.give_up(session, charge, seller=seller, now=now, because="chosen")


def invoice_it(session: Session, agreement_id: int, *, seller: Seller, now: dt.datetime) -> int | None:
    """Invoice what an agreement has not been billed for, now and however little; return the document's id.

    None where that is nothing or less, where a charge on the card takes it, and for a closed agreement, whose last
    invoice is the next run's.
    """
    agreement = session.get_one(Agreement, agreement_id, populate_existing=True)
    balance = session.get_one(Balance, agreement_id, populate_existing=True)
    closed = agreement.standing == "closed" or (agreement.closed_at is not None and agreement.closed_at <= now)
    if closed or balance.open_charge_id is not None or balance.unbilled_ore <= 0:
        return None
    made = make(
        session, [agreement_id], kind="invoice", run=f"method:{agreement.version}:{now.isoformat()}", part="",
        cutoff=now, minimum_ore=1, now=now,
    )  # fmt: skip
    if not made:
        return None
    today = business_date(now)
    [document_id] = issue(
        session, [made[0].claim_id], seller=seller, issued_on=today,
        due_on=due_date(today, whole("invoice_term_days", today)), now=now,
    )  # fmt: skip
    return document_id
