"""Money a card paid after its charge had ended another way: credit of the customer's.

It lies at the provider, so it must be in the books: a payment we had given up, one that was declined and made after
all, or a second one for a charge that another attempt had paid. It owes no fee: it is no payment we asked for any more.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from billing.cards.due import call_off, decide
from billing.cards.gateway import Succeeded
from billing.cards.models import Attempt, Charge
from billing.cards.queries import open_charge
from billing.cards.rules import NEED_THE_SUM, morning
from billing.claims import credit
from billing.claims.standing import recompute_locked
from billing.passages.models import Balance
from config.clock import business_date
from config.rates import whole


def keep(session: Session, charge: Charge, attempt: Attempt, result: Succeeded, *, now: dt.datetime) -> None:
    """Make credit of a payment that its charge has no more use for, and use it: on the charge's own invoice first.

    What is left is used on what is past due, then on the next invoice. It counts as paid on the day the card was
    asked (Oslo), since it may have been taken then; where it was declined then, on the day we were told. The card is
    not charged within a week of that day. The caller holds the balance's lock, and the attempt's and the charge's.
    """
    today = business_date(now)
    paid_on = today if attempt.state == "declined" else min(business_date(attempt.started_at), today)
    attempt.state, attempt.provider_ref, attempt.ended_at, attempt.credited = "succeeded", result.ref, now, True
    attempt.code = attempt.message = None
    session.flush()
    owner = charge.agreement_id
    credit.add(session, [credit.Gain(owner, attempt.id, attempt.amount_ore, paid_on)], "card_extra", today, now)
    if charge.claim_id is not None:
        credit.use(session, [charge.claim_id], today, now, own_ore=attempt.amount_ore)
    credit.use(session, credit.past_due(session, [owner], today), today, now)
    recompute_locked(session, [owner], today, now, "card gateway")
    _week(session, owner, paid_on, now=now)


def _week(session: Session, agreement_id: int, paid_on: dt.date, *, now: dt.datetime) -> None:
    """Let the week begin with a payment. What is due and has not been tried is called off and waits for the week's end;
    what is being tried is not tried again before."""
    balance = session.get_one(Balance, agreement_id, populate_existing=True)
    begins = balance.last_charged_on = max(balance.last_charged_on or paid_on, paid_on)
    charge = open_charge(session, agreement_id, lock=True)
    if charge is not None and charge.cause in NEED_THE_SUM:
        if charge.state == "due":
            call_off(session, charge, now=now)
        elif charge.waits_for is None:
            week = dt.timedelta(days=whole("card_week_days", business_date(now)))
            charge.next_at = max(charge.next_at, morning(begins + week))
    session.flush()
    decide(session, [agreement_id], now=now)
