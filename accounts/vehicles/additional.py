"""Additional ferry agreements on a plate or a tag: the part that concerns the vehicle.

accounts.agreements.additional decides on which agreement it is put; here it is entered.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.chargers.queries import charger
from accounts.vehicles.holder import family, holder
from accounts.vehicles.models import Tag
from accounts.vehicles.register import Registered, check_vehicle, enter
from accounts.vehicles.rules import normalise_pan
from config.checks import Checks, one_line
from config.problems import Invalid


@dataclass(frozen=True)
class On:
    """What an additional agreement is on: a vehicle (country and plate) or a tag (pan)."""

    country: str | None = None
    plate: str | None = None
    pan: str | None = None


def operator(session: Session, code: str) -> str:
    """Return the code of a ferry operator. Raises NotFound when there is none; Invalid for a toll charger."""
    found = charger(session, code)
    if found.kind != "ferry":
        wrong = {"field": "operator", "code": "not_a_ferry", "message": "is not a ferry operator"}
        raise Invalid("Additional agreements are for ferry operators.", errors=[wrong])
    return found.code


def attach(
    session: Session,
    agreement_id: int,
    code: str,
    on: On,
    *,
    settlement: str,
    external_ref: str | None,
    valid_from: dt.datetime,
    now: dt.datetime,
    actor: str,
    reason: str | None = None,
) -> Registered:
    """Let an operator's journeys with a vehicle or a tag settle on an agreement, from an instant on.

    ``own``: ``agreement_id`` is that operator's ferry agreement. ``external``: it is the tag agreement where the
    journeys are shown, and ``external_ref`` the other company's reference. From an earlier instant, journeys booked
    since are moved by billing, which is rung. Raises Invalid; Conflict when the
    vehicle or tag has an additional agreement with that operator already.
    """
    scope = operator(session, code)
    checks = Checks()
    if settlement not in ("own", "external"):
        checks.note("settlement", "settlement", "must be own or external")
    reference = checks.take("external_ref", one_line(60), external_ref, "") if external_ref else None
    if settlement == "external" and not reference:
        checks.note("external_ref", "missing", "is needed: the other company's agreement number")
    if settlement == "own" and reference:
        checks.note("external_ref", "not_wanted", "is only for what settles elsewhere")
    if (on.plate is None) == (on.pan is None):
        checks.note("plate", "plate_or_tag", "give either a plate or a tag")
    checks.done()
    values: dict[str, object] = {
        "agreement_id": agreement_id,
        "scope": scope,
        "settlement": settlement,
        "external_ref": reference,
        "valid_from": valid_from,
        **_key(session, agreement_id, on),
    }
    return enter(session, values, now, actor=actor, reason=reason)


def _key(session: Session, agreement_id: int, on: On) -> dict[str, object]:
    """Return country and plate, or the pan of a tag issued to the same customer's family. Raises Invalid."""
    if on.plate is not None:
        country, plate = check_vehicle(on.country or "NO", on.plate)
        return {"country": country, "plate": plate}
    checks = Checks()
    pan = checks.take("pan", normalise_pan, on.pan or "", "")
    checks.done()
    held = [one.id for one in family(session, holder(session, agreement_id).id)]
    if session.scalar(select(Tag.id).where(Tag.pan == pan, Tag.agreement_id.in_(held))) is None:
        checks.note("pan", "unknown", "is not a tag of this agreement")
    checks.done()
    return {"pan": pan}
