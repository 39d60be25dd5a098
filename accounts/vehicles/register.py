"""Put a vehicle, or on an additional agreement a tag, on an agreement."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from psycopg.errors import ExclusionViolation
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from accounts.chargers.publish import Notice, publish
from accounts.vehicles import rules
from accounts.vehicles.again import look_again
from accounts.vehicles.holder import holder
from accounts.vehicles.models import Registration
from accounts.vehicles.when import refuse_unexplained
from config.checks import Checks
from config.problems import Conflict


@dataclass(frozen=True)
class Registered:
    """The registration, and whether it was there already (a repeat is a result)."""

    registration: Registration
    already: bool


def register(
    session: Session,
    agreement_id: int,
    country: str,
    plate: str,
    *,
    valid_from: dt.datetime,
    now: dt.datetime,
    actor: str,
    reason: str | None = None,
) -> Registered:
    """Put a vehicle on a tag agreement from an instant: now, later, or (support, with a reason) earlier.

    Raises Invalid; Conflict when the agreement is closing, or when the vehicle is on another agreement at some
    time from then on (which one is not told).
    """
    refuse_unexplained(valid_from, now, reason)
    vehicle = check_vehicle(country, plate)
    if holder(session, agreement_id).kind != "tag":
        raise Conflict("Vehicles are added to a ferry agreement as additional agreements.", slug="not-a-tag-agreement")
    values = {"agreement_id": agreement_id, "country": vehicle[0], "plate": vehicle[1], "valid_from": valid_from}
    return enter(session, values, now, actor=actor, reason=reason)


def check_vehicle(country: str, plate: str) -> tuple[str, str]:
    """Return the key of a vehicle, (country, plate) normalised. Raises Invalid."""
    checks = Checks()
    kept = checks.take("country", rules.normalise_country, country, "")
    mark = checks.take("plate", lambda value: rules.normalise_plate(kept, value), plate, "")
    checks.done()
    return kept, mark


def enter(
    session: Session, values: dict[str, object], now: dt.datetime, *, actor: str, reason: str | None
) -> Registered:
    """Insert a registration of whatever scope; the exclusion constraints judge. Raises Conflict.

    Used by this room's verbs, which have checked and normalised ``values``.
    """
    key = [str(values.get(name) or "") for name in ("scope", "country", "plate", "pan")]
    # Two that insert the same vehicle at once would otherwise each wait for the other's row until one is shot.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": "/".join(key)})
    held = holder(session, int(str(values["agreement_id"])), lock=True)
    held.refuse_closing()
    try:
        with session.begin_nested():
            row = session.scalars(insert(Registration).returning(Registration), [{**values, "created_at": now}]).one()
    except IntegrityError as error:
        if not isinstance(error.orig, ExclusionViolation):
            raise
        return Registered(_own(session, values), already=True)
    notice = Notice(row.agreement_id, "registered", registration_id=row.id, effective_at=row.valid_from)
    publish(session, [notice], now)
    look_again(session, row, now, actor=actor, reason=reason)
    return Registered(row, already=False)


def _own(session: Session, values: dict[str, object]) -> Registration:
    """Return what the agreement itself has that covers the same from the same instant on; else raise Conflict."""
    valid_from = values["valid_from"]
    assert isinstance(valid_from, dt.datetime)
    what = [getattr(Registration, name).is_not_distinct_from(values.get(name)) for name in ("country", "plate", "pan")]
    found = session.scalar(
        select(Registration).where(
            *what,
            Registration.scope == values.get("scope", ""),
            Registration.agreement_id == values["agreement_id"],
            Registration.settlement == values.get("settlement", "own"),
            Registration.valid_from <= values["valid_from"],
            Registration.valid_to.is_(None),
        )
    )
    if found is not None:
        return found
    mine = session.scalar(
        select(Registration.id)
        .where(
            *what,
            Registration.scope == values.get("scope", ""),
            Registration.agreement_id == values["agreement_id"],
            Registration.lasts_after(valid_from),
        )
        .limit(1)
    )
    if mine is not None:
        raise Conflict(
            "It is on this agreement already for a part of that time; see its registrations.",
            slug="registered-meanwhile",
        )
    raise Conflict(
        "It is on another agreement at that time. Whoever holds that one must remove it first; support can help.",
        slug="on-another-agreement",
    )
