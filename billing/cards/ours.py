"""Whether a payment that the provider tells of is of an attempt of ours, by what we gave it and whose it is.

Our numbers alone prove nothing: another product on the provider's account, a second installation, or this one before
its database was made anew has the same. An attempt's key is nobody else's; what was paid before the key was among the
metadata is ours if the provider's customer is. (That may be another by now: one that it lost was made anew.)
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.cards.models import Attempt, CardCustomer, Charge

log = structlog.get_logger()


def attempt_of(session: Session, metadata: Mapping[str, str], customer: object) -> int | None:
    """Return the attempt that a payment with this metadata, of this customer at the provider, is of; None: not ours."""
    attempt, charge = metadata.get("attempt", ""), metadata.get("charge", "")
    if not (attempt.isdecimal() and charge.isdecimal()) or max(len(attempt), len(charge)) > 18:
        return None
    row = session.execute(
        select(Attempt.id, Attempt.idempotency_key, CardCustomer.provider_customer)
        .join(Charge, Charge.id == Attempt.charge_id)
        .join(CardCustomer, CardCustomer.agreement_id == Charge.agreement_id)
        .where(Attempt.id == int(attempt), Charge.id == int(charge))
    ).one_or_none()
    if row is None:
        return None
    key = metadata.get("key")
    if (customer != row.provider_customer) if key is None else (key != row.idempotency_key):
        log.warning("card_payment_of_others", attempt=row.id, charge=int(charge))
        return None
    return int(row.id)
