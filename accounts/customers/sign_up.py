"""Become a customer: the customer and a first tag agreement in one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import insert
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.agreements.open import open_agreement
from accounts.customers import rules
from accounts.customers.models import Customer
from accounts.customers.tell import NewMessage, tell


@dataclass(frozen=True)
class SignedUp:
    """The new customer and their agreement."""

    customer: Customer
    agreement: Agreement


def sign_up(session: Session, kind: str, given: Mapping[str, str | None], *, now: dt.datetime, actor: str) -> SignedUp:
    """Make a customer (private or business, ``given`` by the names in rules.FIELDS) with a tag agreement.

    E-mail is how documents go out from the start, and what the welcome goes by. Raises Invalid.
    """
    values = rules.checked(kind, given)
    customer = session.scalars(
        insert(Customer).returning(Customer), [{**values, "kind": kind, "created_at": now}]
    ).one()
    return SignedUp(customer, add_agreement(session, customer.id, now=now, actor=actor))


def add_agreement(session: Session, customer_id: int, *, now: dt.datetime, actor: str) -> Agreement:
    """Open a (further) tag agreement for a customer, and welcome them to it."""
    agreement = open_agreement(session, customer_id, now=now, actor=actor)
    tell(session, [NewMessage(agreement.id, "welcome", f"agreement:{agreement.id}")], now=now)
    return agreement
