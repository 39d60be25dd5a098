"""Tags: issuing them, moving them between vehicles, and what becomes of them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from psycopg.errors import ExclusionViolation
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from accounts.chargers.publish import Notice, publish
from accounts.vehicles import rules
from accounts.vehicles.holder import holder
from accounts.vehicles.models import Mount, Registration, Tag
from config.checks import Checks
from config.problems import Conflict, Invalid, NotFound


@dataclass(frozen=True)
class Issued:
    """A tag, and whether it had been issued to this agreement before."""

    tag: Tag
    already: bool


@dataclass(frozen=True)
class Mounted:
    """Where a tag is from an instant on: a mount, or None when it is in no vehicle; ``already``: it was so."""

    mount: Mount | None
    already: bool


def issue(
    session: Session, agreement_id: int, printed: str, pan: str, obu_id: str | None, *, now: dt.datetime
) -> Issued:
    """Issue a tag to a tag agreement. The same again is a result; Conflict when one of its numbers belongs to
    another tag or agreement. Raises Invalid."""
    checks = Checks()
    values = {
        "printed_number": checks.take("printed_number", rules.printed_number, printed, ""),
        "pan": checks.take("pan", rules.normalise_pan, pan, ""),
        "obu_id": checks.take("obu_id", rules.obu_id, obu_id, "") if obu_id else None,
    }
    checks.done()
    held = holder(session, agreement_id, lock=True)
    held.refuse_closing()
    if held.kind != "tag":
        raise Conflict("A tag is issued to a tag agreement, not to a ferry agreement.", slug="not-a-tag-agreement")
    made = session.scalar(
        insert(Tag).values(**values, agreement_id=agreement_id, issued_at=now).on_conflict_do_nothing().returning(Tag)
    )
    if made is not None:
        _publish(session, made, "issued", now)
        return Issued(made, already=False)
    found = session.scalar(select(Tag).filter_by(agreement_id=agreement_id, **values))
    if found is None:
        raise Conflict("One of these numbers belongs to another tag that was issued.", slug="tag-issued")
    return Issued(found, already=True)


def mount(session: Session, tag_id: int, registration_id: int | None, *, at: dt.datetime, now: dt.datetime) -> Mounted:
    """Put a tag into a registered vehicle of its agreement from an instant on, or (None) take it out of any.

    Where it was before ends at that instant; history stays. Raises NotFound; Conflict when the tag is not in
    use, or was moved, or is to be moved, after that instant.
    """
    tag = _locked(session, tag_id)
    vehicle = None
    if registration_id is not None:
        if tag.state != "active":
            raise Conflict(f"The tag is {tag.state}; it cannot be put into a vehicle.", slug="tag-not-active")
        vehicle = _vehicle(session, tag.agreement_id, registration_id, at)
    current = session.scalar(
        select(Mount).where(Mount.tag_id == tag_id, Mount.lasts_after(at))
        .order_by(Mount.valid_from).limit(1)
    )  # fmt: skip
    if current is not None and current.valid_from > at:
        raise Conflict("The tag was moved, or is to be moved, after that instant.", slug="tag-moved-later")
    if current is not None and current.valid_to is None and (current.country, current.plate) == vehicle:
        return Mounted(current, already=True)
    if current is None and vehicle is None:
        return Mounted(None, already=True)
    if current is not None:
        current.valid_to = at
        session.flush()
    _publish(session, tag, "moved", now, at)
    if vehicle is None:
        return Mounted(None, already=False)
    return Mounted(_insert(session, tag, vehicle, at), already=False)


def _vehicle(session: Session, agreement_id: int, registration_id: int, at: dt.datetime) -> tuple[str, str]:
    found = session.scalar(
        select(Registration).where(
            Registration.id == registration_id,
            Registration.agreement_id == agreement_id,
            Registration.scope == "",
            Registration.valid_from <= at,
            Registration.lasts_after(at),
        )
    )
    if found is None or found.country is None or found.plate is None:
        wrong = {"field": "vehicle", "code": "unknown", "message": "is not on the agreement at that time"}
        raise Invalid("A tag goes into a vehicle that is on its agreement at that time.", errors=[wrong])
    return found.country, found.plate


def _insert(session: Session, tag: Tag, vehicle: tuple[str, str], at: dt.datetime) -> Mount:
    row = Mount(tag_id=tag.id, pan=tag.pan, country=vehicle[0], plate=vehicle[1], valid_from=at)
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError as error:
        if not isinstance(error.orig, ExclusionViolation):
            raise
        raise Conflict("The tag was moved, or is to be moved, after that instant.", slug="tag-moved-later") from None
    return row


def set_state(session: Session, tag_id: int, state: str, *, now: dt.datetime) -> Tag:
    """Say that a tag is lost, stolen, returned or (found again) active. But for active it leaves its vehicle now:
    a tag in a thief's hands is nobody's vehicle. A repeat is a result. Raises Invalid, NotFound, Conflict."""
    if state not in rules.TAG_STATES:
        wrong = {"field": "state", "code": "state", "message": f"must be one of {', '.join(rules.TAG_STATES)}"}
        raise Invalid("There is no such state of a tag.", errors=[wrong])
    tag = _locked(session, tag_id)
    if tag.state == state:
        return tag
    if state not in rules.TAG_STATES[tag.state]:
        raise Conflict(f"The tag is {tag.state}; it cannot become {state}.", slug="tag-state")
    tag.state = state
    session.flush()
    if state != "active":
        session.execute(
            # A move that lies ahead is off too: its period becomes empty.
            text(
                "UPDATE tag_mounts SET valid_to = greatest(valid_from, CAST(:now AS timestamptz)) "
                "WHERE tag_id = :tag AND (valid_to IS NULL OR valid_to > :now)"
            ),
            {"tag": tag_id, "now": now},
        )
    _publish(session, tag, state, now)
    if state != "active":
        session.expire_all()
    return tag


def _publish(session: Session, tag: Tag, reason: str, now: dt.datetime, at: dt.datetime | None = None) -> None:
    """Have chargers' lists say what became of a tag."""
    publish(session, [Notice(tag.agreement_id, "tag", reason, effective_at=at, tag_id=tag.id)], now)


def _locked(session: Session, tag_id: int) -> Tag:
    """Return the tag, locked: its moves happen one after the other. Raises NotFound."""
    tag = session.scalar(
        select(Tag).where(Tag.id == tag_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    )
    if tag is None:
        raise NotFound("There is no such tag.")
    return tag
