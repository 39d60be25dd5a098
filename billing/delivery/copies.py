"""In which form a delivery's document is sent: with its payment slip where it presents, its details where wanted."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers.models import Customer
from billing.delivery.models import Delivery
from billing.invoices.forms import PLAIN, Form


def copy_form(*, presents: bool, details: bool) -> Form:
    """Return the form of a copy by e-mail or on paper. What presents its document is paid by a transfer, also one that
    was issued for AvtaleGiro; anything else is as it was issued. ``details``: whether the customer wants them on it."""
    return Form("transfer" if presents else None, details=details)


def form_of_copy(session: Session, delivery_id: int) -> Form:
    """Return the form in which a delivery's document is sent, as of now."""
    row = session.execute(
        select(Delivery.presents, Customer.details_in_copy)
        .join(Agreement, Agreement.id == Delivery.agreement_id)
        .join(Customer, Customer.id == Agreement.customer_id)
        .where(Delivery.id == delivery_id)
    ).one_or_none()
    return PLAIN if row is None else copy_form(presents=row.presents, details=row.details_in_copy)
