"""What the operations on vehicles and tags share: the blueprint, whose agreement it is, from when."""

from __future__ import annotations

import datetime as dt
from typing import Any

from accounts.access import trail
from accounts.access.guard import principal
from accounts.vehicles.holder import Holder, holder_by_number
from accounts.vehicles.when import instant_of
from config import http
from config.problems import NotFound

blp = http.Blueprint(
    "vehicles", __name__, url_prefix="/v1", description="Which vehicles and tags an agreement covers, and when."
)
WHO = ("customer", "agent", "lead")


def held(number: int) -> Holder:
    """Return the agreement of a number as the caller may see it; a look-up by staff goes into the trail."""
    session, caller = http.current_session(), principal()
    found = holder_by_number(session, number)
    if not caller.may_see_customer(found.customer_id):
        raise NotFound("There is no such agreement.")
    trail.looked_up(session, caller, f"agreement:{number}", http.request_now())
    return found


def note(action: str, number: int, reason: str | None, **detail: Any) -> None:
    """Write what was done to an agreement's vehicles into the trail."""
    trail.record(http.current_session(), principal(), action, f"agreement:{number}", http.request_now(), reason, detail)


def when(given: dict[str, Any]) -> dt.datetime:
    """Take ``day``, ``at`` and ``reason`` out of a body and return the instant; an earlier one is for staff."""
    reason = given["reason"]
    return instant_of(given.pop("day"), given.pop("at"), http.request_now(), past=principal().is_staff, reason=reason)
