"""Change what we know of a customer."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from accounts.customers import rules
from accounts.customers.models import Customer
from config.problems import Invalid, NotFound, PreconditionFailed


def change(session: Session, customer_id: int, changes: Mapping[str, str | None], *, version: int) -> Customer:
    """Change fields (those of rules.FIELDS) of the customer that is still ``version``; return it.

    The whole customer is checked anew, because fields depend on each other. Nothing changed is a result and
    keeps the version. Raises NotFound, Invalid, PreconditionFailed.
    """
    unknown = sorted(set(changes) - set(rules.FIELDS))
    if unknown:
        wrong = [{"field": name, "code": "unknown", "message": "cannot be changed"} for name in unknown]
        raise Invalid("Some fields cannot be changed.", errors=wrong)
    row = session.scalar(select(Customer).where(Customer.id == customer_id).execution_options(populate_existing=True))
    if row is None:
        raise NotFound("There is no such customer.")
    if row.version != version:
        raise PreconditionFailed("The customer has changed since you read it; read it again.")
    before = {name: getattr(row, name) for name in rules.FIELDS}
    after = rules.checked(row.kind, {**before, **changes})
    if after == before:
        return row
    won = session.scalars(
        update(Customer)
        .where(Customer.id == customer_id, Customer.version == version)
        .values(**after, version=version + 1)
        .returning(Customer)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).one_or_none()
    if won is None:
        raise PreconditionFailed("The customer was changed at the same time; read it again.")
    return won
