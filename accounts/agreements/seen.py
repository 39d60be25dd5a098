"""The agreement a request is about: found by its number, the caller's to see, the look-up logged."""

from __future__ import annotations

from accounts.access import trail
from accounts.access.principal import principal
from accounts.agreements.models import Agreement
from accounts.agreements.queries import by_number
from config.http import current_session, request_now
from config.problems import NotFound


def seen(number: int, *, what: str = "look_up") -> Agreement:
    """Return the agreement of a number as the caller may see it.

    Somebody else's is answered as if there were none (NotFound); a look-up by staff goes into the trail.
    """
    session, caller = current_session(), principal()
    agreement = by_number(session, number)
    if not caller.may_see_customer(agreement.customer_id):
        raise NotFound("There is no such agreement.")
    trail.looked_up(session, caller, f"agreement:{agreement.number}", request_now(), what)
    return agreement
