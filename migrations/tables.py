"""Every table of the product in one metadata: importing the rooms' models declares them."""

from __future__ import annotations

import accounts.access.models
import accounts.agreements.models
import accounts.chargers.models
import accounts.customers.models
import accounts.vehicles.models
import billing.cards.models
import billing.claims.models
import billing.delivery.mail_models
import billing.delivery.models
import billing.invoices.models
import billing.ledger.models
import billing.passages.backlog.models
import billing.passages.held_models
import billing.passages.mass.models
import billing.passages.mismatch_models
import billing.passages.models
import billing.payments.models
import billing.payments.payout_models
import billing.payments.vipps.models
import billing.roadside.complaints.models
import billing.roadside.exchange.models
import billing.roadside.reconcile.models
import billing.roadside.settlement.models
import config.models
from config.database import Base

__all__ = ["ROOMS", "include_object", "metadata"]

ROOMS = (
    config.models,
    accounts.access.models,
    accounts.chargers.models,
    accounts.customers.models,
    accounts.agreements.models,
    accounts.vehicles.models,
    billing.ledger.models,
    billing.passages.models,
    billing.passages.mass.models,
    billing.passages.backlog.models,
    billing.passages.mismatch_models,
    billing.passages.held_models,
    billing.claims.models,
    billing.invoices.models,
    billing.cards.models,
    billing.delivery.models,
    billing.delivery.mail_models,
    billing.payments.models,
    billing.payments.payout_models,
    billing.payments.vipps.models,
    billing.roadside.settlement.models,
    billing.roadside.reconcile.models,
    billing.roadside.exchange.models,
    billing.roadside.complaints.models,
)
"""The rooms that own tables, in an order in which they can be made."""

metadata = Base.metadata


def include_object(item: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Leave out what is not declared as a model: the queue's tables and the monthly partitions."""
    del item, compare_to
    if kind == "table" and reflected and name is not None:
        return name in metadata.tables
    return True
