"""Money a card paid after its charge had ended another way: credit of the customer's.

It lies at the provider, so it must be in the books: a payment we had given up, one that was declined and made after
all, or a second one for a charge that another attempt had paid. It owes no fee: it is no payment we asked for any more.
"""

from __future__ import annotations

import datetime as dt

from sqlalchemy.orm import Session

from billing.cards.gateway import Succeeded
from billing.cards.models import Attempt, Charge
from billing.claims import credit
from billing.claims.standing import recompute_locked
from config.clock import business_date


def keep(session: Session, charge: Charge, attempt: Attempt, result: Succeeded, *, now: dt.datetime) -> None:
    """Make credit of a payment that its charge has no more use for, and use it: on the charge's own invoice first.

    What is left is used on what is past due, then on the next invoice. It counts as paid on the day the card was
    asked (Oslo), since it may have been taken then; where it was declined then, on the day we were told. The caller
    holds the balance's lock, and the attempt's and the charge's.
    """
    today = business_date(now)
    paid_on = today if attempt.state == "declined" else min(business_date(attempt.started_at), today)
    attempt.state, attempt.provider_ref, attempt.ended_at, attempt.credited = "succeeded", result.ref, now, True
    attempt.code = attempt.message = None
    session.flush()
    owner = charge.agreement_id
    credit.add(session, [credit.Gain(owner, attempt.id, attempt.amount_ore, paid_on)], "card_extra", today, now)
    if charge.claim_id is not None:
        credit.use(session, [charge.claim_id], today, now)
    credit.use(session, credit.past_due(session, [owner], today), today, now)
    recompute_locked(session, [owner], today, now, "card gateway")
