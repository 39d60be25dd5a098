"""Take a vehicle off an agreement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, insert, or_, select, update
from sqlalchemy.orm import Session

from accounts.chargers.publish import Notice, publish
from accounts.vehicles.holder import family
from accounts.vehicles.models import Mount, Registration, Removal
from accounts.vehicles.when import refuse_unexplained
from config.jobs import ring
from config.problems import Conflict, Invalid, NotFound


@dataclass(frozen=True)
class Removed:
    """What a removal came to. ``already``: it had ended by then before. ``removal_id`` is null in that case."""

    registration: Registration
    removal_id: int | None
    already: bool


@dataclass(frozen=True)
class Removals:
    """A removal, those done with it, and the additional agreements that still have the vehicle."""

    removed: Removed
    also: Sequence[Removed]
    still: Sequence[Registration]


def remove(
    session: Session,
    agreement_id: int,
    registration_id: int,
    *,
    ends_at: dt.datetime,
    reason: str | None,
    also: Sequence[int] = (),
    now: dt.datetime,
    actor: str,
) -> Removals:
    """End a registration of an agreement at an instant, and with it those named in ``also``, in one transaction.

    ``also`` holds ids of registrations on the holder's additional agreements with the same vehicle or its tag.
    An end only ever moves to an earlier instant; what has ended by then already is a result. Passages since an
    earlier instant are moved by billing, which is rung. Raises NotFound; Invalid for an earlier instant without
    a reason, or for an ``also`` that is not such a registration.
    """
    refuse_unexplained(ends_at, now, reason)
    registration = session.scalar(
        select(Registration).where(Registration.id == registration_id, Registration.agreement_id == agreement_id)
    )
    if registration is None:
        raise NotFound("There is no such vehicle on this agreement.")
    additional = _wanted(session, registration, also, ends_at)
    rows = [registration, *(additional[one] for one in dict.fromkeys(also) if one != registration_id)]
    # One order for everybody, so that two removals of the same things cannot hold each other up.
    done = {row.id: _end(session, row, ends_at, reason, now, actor) for row in sorted(rows, key=lambda row: row.id)}
    fresh = [one for one in done.values() if not one.already]
    publish(
        session,
        [
            Notice(one.registration.agreement_id, "removed", "removed", one.registration.id, one.registration.valid_to)
            for one in fresh
        ],
        now,
    )
    if fresh:
        ring(session, "move_passages")
    return Removals(
        removed=done[registration.id],
        also=[done[row.id] for row in rows[1:]],
        still=[row for row in additional.values() if row.id not in done],
    )


def _wanted(
    session: Session, registration: Registration, also: Sequence[int], ends_at: dt.datetime
) -> dict[int, Registration]:
    """Return by id what additionally has the vehicle, and those of ``also`` that had it. Raises Invalid."""
    additional = {row.id: row for row in additional_with(session, registration, ends_at)}
    unknown = sorted(set(also) - set(additional))
    if unknown:
        ended = _ended(session, registration, ends_at, unknown)
        if len(ended) != len(unknown):
            wrong = {"field": "also", "code": "unknown", "message": "is no additional agreement with this vehicle"}
            raise Invalid("One of the additional agreements does not have this vehicle.", errors=[wrong])
        additional |= {row.id: row for row in ended}
    return additional


def additional_with(session: Session, registration: Registration, at: dt.datetime) -> Sequence[Registration]:
    """Return the holder's additional registrations that still have the vehicle after an instant, by plate or by
    the tag mounted in it. Other people's are never named."""
    return session.scalars(
        _same_vehicle(session, registration, at).where(Registration.lasts_after(at)).order_by(Registration.id)
    ).all()


def _ended(session: Session, registration: Registration, at: dt.datetime, ids: Sequence[int]) -> Sequence[Registration]:
    return session.scalars(_same_vehicle(session, registration, at).where(Registration.id.in_(ids))).all()


def _same_vehicle(session: Session, registration: Registration, at: dt.datetime) -> Select[Registration]:
    """Return a query of the family's additional registrations of the same vehicle, or of a tag that is in it
    after an instant."""
    agreements = [held.id for held in family(session, registration.agreement_id)]
    same: ColumnElement[bool] = and_(
        Registration.country == registration.country, Registration.plate == registration.plate
    )
    if registration.pan is not None:
        same = Registration.pan == registration.pan
    tags = select(Mount.pan).where(
        Mount.country == registration.country,
        Mount.plate == registration.plate,
        Mount.lasts_after(at),
    )
    return select(Registration).where(
        Registration.agreement_id.in_(agreements),
        Registration.scope != "",
        Registration.id != registration.id,
        or_(same, Registration.pan.in_(tags)),
    )


def _end(
    session: Session, row: Registration, ends_at: dt.datetime, reason: str | None, now: dt.datetime, actor: str
) -> Removed:
    """Move the end of one registration to ``ends_at``, no earlier than its beginning; write the removal.

    The row is locked first, so that the second of two at once sees what the first one did.
    """
    session.refresh(row, with_for_update={"key_share": True})
    end = max(ends_at, row.valid_from)
    satisfied = end
    if ends_at == now:
        # "From now" said by two at once: the later one's now is not before the moment the first one ended it.
        satisfied = max(end, session.scalar(_last_request(row.id)) or end)
    if row.valid_to is not None and row.valid_to <= satisfied:
        return Removed(row, None, already=True)
    won = session.execute(
        update(Registration)
        .where(Registration.id == row.id, Registration.valid_to.is_not_distinct_from(row.valid_to))
        .values(valid_to=end)
        .execution_options(synchronize_session="fetch")
        .returning(Registration.id)
    ).one_or_none()
    if won is None:  # cannot be while the row is locked, and must not pass for a removal if it ever is
        raise Conflict("The vehicle was changed at the same time; look again.", slug="changed-meanwhile")
    removal = session.scalars(
        insert(Removal).returning(Removal),
        [
            {
                "registration_id": row.id,
                "agreement_id": row.agreement_id,
                "ends_at": end,
                "requested_at": now,
                "actor": actor,
                "reason": reason,
            }
        ],
    ).one()
    return Removed(row, removal.id, already=False)


def _last_request(registration_id: int) -> Select[dt.datetime]:
    return select(func.max(Removal.requested_at)).where(
        Removal.registration_id == registration_id, Removal.operator == ""
    )
