"""The numbered invoice of a card charge: made when the charge has succeeded, marked paid, with the fee's line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from billing.invoices.issue import lock_claims
from billing.invoices.write import Presented, existing, write
from config.clock import business_date


def issue_receipt(
    session: Session, claim_id: int, *, paid_by: Mapping[str, Any], seller: Mapping[str, Any], now: dt.datetime
) -> int:
    """Issue the receipt of a claim that a card has paid and return the document's id; the customer is told.

    ``paid_by``: brand, last4, on (ISO date). No KID and no due date: nothing is to be paid. A claim that has its
    document already keeps it. Raises DocumentDiffers, LookupError.
    """
    return issue_receipts(session, {claim_id: paid_by}, seller=seller, now=now)[claim_id]


def issue_receipts(
    session: Session, paid_by: Mapping[int, Mapping[str, Any]], *, seller: Mapping[str, Any], now: dt.datetime
) -> dict[int, int]:
    """Do the same for several: claim id → what paid it becomes claim id → document id."""
    claims = sorted(paid_by)
    lock_claims(session, claims)
    done = existing(session, claims)
    fresh = [claim_id for claim_id in claims if claim_id not in done]
    return done | write(session, fresh, Presented(seller, business_date(now), None, None, None, now, cards=paid_by))
