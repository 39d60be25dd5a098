"""How a customer gets invoices, and how long they have to pay them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from accounts.agreements.models import Agreement
from accounts.customers import ways
from accounts.customers.models import Customer, Mandate
from config.problems import Conflict, Invalid, PreconditionFailed

_SENTENCES = {
    "avtalegiro-at-your-bank": (
        "AvtaleGiro is set up by the payer in their own online bank, with the KID of any invoice; nobody can do it for "
        "them. It shows here when the bank has told us, within a bank day or two."
    ),
    "mandate-stands": (
        "AvtaleGiro pays the invoices. The payer ends it in their own online bank first; then another way is chosen "
        "here."
    ),
}


def mandates_of(session: Session, customer_id: int) -> Sequence[tuple[Mandate, int]]:
    """Return the AvtaleGiro mandates that stand on a customer's agreements, each with the agreement's number."""
    query = (
        select(Mandate, Agreement.number)
        .join(Agreement, Agreement.id == Mandate.agreement_id)
        .where(Agreement.customer_id == customer_id, Mandate.ended_at.is_(None))
        .order_by(Agreement.number, Mandate.id)
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def check(session: Session, customer: Customer, channel: str, *, efaktura_beside: bool | None = None) -> None:
    """Raise what `choose` would raise for this choice, whatever the version: before anybody is asked about it."""
    mandate = channel != customer.channel and bool(mandates_of(session, customer.id))
    why = ways.in_the_way(customer.kind, customer.channel, channel, mandate=mandate)
    if why in _SENTENCES:
        raise Conflict(_SENTENCES[why], slug=why)
    if why is not None:
        said = f"is not for a {customer.kind} customer" if why == "not_for_kind" else "is none of the ways there are"
        raise Invalid(f"The channel {said}.", errors=[{"field": "channel", "code": why, "message": said}])
    if efaktura_beside and customer.kind not in ways.kinds("efaktura"):
        wrong = {"field": "efaktura_beside", "code": "not_for_kind", "message": "is only for a private person"}
        raise Invalid("eFaktura is for private persons.", errors=[wrong])


def choose(
    session: Session,
    customer: Customer,
    channel: str,
    *,
    efaktura_beside: bool | None = None,
    details_in_copy: bool | None = None,
    version: int,
    now: dt.datetime,
) -> Customer:
    """Let a customer that is still ``version`` get invoices by a channel (or `ways.BEST`); return the customer.

    ``efaktura_beside``: whether what AvtaleGiro pays is shown as an eFaktura too; ``details_in_copy``: whether the copy
    that is sent lists the passages; None leaves them. What is sent already stays as it is. Nothing changed is a result
    and keeps the version.

    Raises Invalid for what is not for this kind of customer; Conflict ``avtalegiro-at-your-bank`` and
    ``mandate-stands``; PreconditionFailed.
    """
    del now
    check(session, customer, channel, efaktura_beside=efaktura_beside)
    wanted = {"channel": channel, "efaktura_beside": efaktura_beside, "details_in_copy": details_in_copy}
    return _changed(session, customer, {name: value for name, value in wanted.items() if value is not None}, version)


def set_terms(
    session: Session, customer: Customer, payment_term_days: int | None, *, version: int, now: dt.datetime
) -> Customer:
    """Agree with a customer that is still ``version`` on days to pay (from the day of the invoice), None for the
    ordinary figure; return the customer. Public bodies have 30. Invoices that are issued already keep their due dates.

    Nothing changed is a result and keeps the version. Raises Invalid outside 14 to 60 days, PreconditionFailed.
    """
    del now
    if payment_term_days is not None and not ways.SHORTEST_TERM <= payment_term_days <= ways.LONGEST_TERM:
        said = f"must be {ways.SHORTEST_TERM} to {ways.LONGEST_TERM} days"
        wrong = {"field": "payment_term_days", "code": "term", "message": said}
        raise Invalid(f"The payment term {said}.", errors=[wrong])
    return _changed(session, customer, {"payment_term_days": payment_term_days}, version)


def _changed(session: Session, customer: Customer, wanted: dict[str, Any], version: int) -> Customer:
    if customer.version != version:
        raise PreconditionFailed("The customer has changed since you read it; read it again.")
    if all(getattr(customer, name) == value for name, value in wanted.items()):
        return customer
    won = session.scalars(
        update(Customer)
        .where(Customer.id == customer.id, Customer.version == version)
        .values(**wanted, version=version + 1)
        .returning(Customer)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one_or_none()
    if won is None:
        raise PreconditionFailed("The customer was changed at the same time; read it again.")
    return won
