"""The customer a request is about: found by their number, the caller's to see, the look-up logged."""

from __future__ import annotations

from accounts.access import trail
from accounts.access.principal import principal
from accounts.customers import queries
from accounts.customers.models import Customer
from config.http import current_session, request_now
from config.problems import NotFound


def seen(number: int, *, lock: bool = False) -> Customer:
    """Return the customer of a number as the caller may see them, locked when they are to be changed.

    Somebody else's is answered as if there were none (NotFound); a look-up by staff goes into the trail.
    """
    session, caller = current_session(), principal()
    customer = queries.by_number(session, number, lock=lock)
    if not caller.may_see_customer(customer.id):
        raise NotFound("There is no such customer.")
    trail.looked_up(session, caller, f"customer:{number}", request_now())
    return customer
