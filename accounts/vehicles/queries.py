"""Reads of registrations, tags and where they are mounted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from accounts.vehicles.models import Mount, Registration, Tag
from config.problems import NotFound


def registrations_query(agreement_ids: Sequence[int], *, additional: bool = False) -> Select[Registration]:
    """Return a query of registrations of agreements, current and past: vehicles, or (``additional``) what ferry
    operators' journeys settle by. For keyset pages by Registration.id."""
    return select(Registration).where(
        Registration.agreement_id.in_(agreement_ids),
        Registration.scope != "" if additional else Registration.scope == "",
    )


def registrations(
    session: Session, agreement_ids: Sequence[int], *, additional: bool = False, limit: int = 1000
) -> Sequence[Registration]:
    """Return the newest registrations of agreements, oldest first."""
    query = registrations_query(agreement_ids, additional=additional).order_by(Registration.id.desc()).limit(limit)
    return session.scalars(query).all()[::-1]


def current(session: Session, agreement_id: int, now: dt.datetime) -> Sequence[Registration]:
    """Return the vehicles that are on a tag agreement now or will be, by plate; at most 1,000."""
    return session.scalars(
        select(Registration)
        .where(
            Registration.agreement_id == agreement_id,
            Registration.scope == "",
            Registration.lasts_after(now),
        )
        .order_by(Registration.plate, Registration.id)
        .limit(1000)
    ).all()


def registration(
    session: Session, agreement_ids: Sequence[int], registration_id: int, *, additional: bool = False
) -> Registration:
    """Return one vehicle, or (``additional``) one additional registration, of those agreements. Raises NotFound."""
    query = registrations_query(agreement_ids, additional=additional).where(Registration.id == registration_id)
    found = session.scalar(query)
    if found is None:
        raise NotFound(f"There is no such {'additional agreement' if additional else 'vehicle'} on this agreement.")
    return found


@dataclass(frozen=True)
class TagStory:
    """A tag and every vehicle it was or will be in, oldest first."""

    tag: Tag
    mounts: Sequence[Mount]


def tags_query(agreement_id: int) -> Select[Tag]:
    """Return a query of the tags issued to an agreement, for keyset pages by Tag.id."""
    return select(Tag).where(Tag.agreement_id == agreement_id)


def tags(session: Session, agreement_id: int, limit: int = 1000) -> list[TagStory]:
    """Return the newest tags issued to an agreement, oldest first, each with its mounts."""
    query = tags_query(agreement_id).order_by(Tag.id.desc()).limit(limit)
    return stories(session, session.scalars(query).all()[::-1])


def tag(session: Session, agreement_id: int, tag_id: int) -> TagStory:
    """Return one tag of an agreement with its mounts. Raises NotFound."""
    found = session.scalars(select(Tag).where(Tag.agreement_id == agreement_id, Tag.id == tag_id)).all()
    if not found:
        raise NotFound("There is no such tag on this agreement.")
    return stories(session, found)[0]


def stories(session: Session, found: Sequence[Tag]) -> list[TagStory]:
    """Return tags with their mounts, in one read."""
    mounts: dict[int, list[Mount]] = {row.id: [] for row in found}
    for row in session.scalars(
        select(Mount).where(Mount.tag_id.in_(list(mounts))).order_by(Mount.valid_from, Mount.id)
    ):
        mounts[row.tag_id].append(row)
    return [TagStory(row, mounts[row.id]) for row in found]
