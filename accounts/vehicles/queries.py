"""Reads of registrations, tags and where they are mounted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from accounts.vehicles.models import Mount, Registration, Tag
from config.problems import NotFound


def registrations(
    session: Session, agreement_ids: Sequence[int], after: int = 0, limit: int = 200, *, additional: bool = False
) -> Sequence[Registration]:
    """Return registrations of agreements by id, current and past: vehicles, or (``additional``) ferry agreements."""
    query = select(Registration).where(
        Registration.agreement_id.in_(agreement_ids),
        Registration.id > after,
        Registration.scope != "" if additional else Registration.scope == "",
    )
    return session.scalars(query.order_by(Registration.id).limit(limit)).all()


def current(session: Session, agreement_id: int, now: dt.datetime) -> Sequence[Registration]:
    """Return the vehicles that are on a tag agreement now or will be, by plate; at most 1,000."""
    return session.scalars(
        select(Registration)
        .where(
            Registration.agreement_id == agreement_id,
            Registration.scope == "",
            or_(Registration.valid_to.is_(None), Registration.valid_to > now),
        )
        .order_by(Registration.plate, Registration.id)
        .limit(1000)
    ).all()


def registration(session: Session, agreement_ids: Sequence[int], registration_id: int) -> Registration:
    """Return one registration of those agreements. Raises NotFound."""
    found = session.scalar(
        select(Registration).where(Registration.id == registration_id, Registration.agreement_id.in_(agreement_ids))
    )
    if found is None:
        raise NotFound("There is no such vehicle on this agreement.")
    return found


@dataclass(frozen=True)
class TagStory:
    """A tag and every vehicle it was or will be in, oldest first."""

    tag: Tag
    mounts: Sequence[Mount]


def tags(session: Session, agreement_id: int, after: int = 0, limit: int = 200) -> list[TagStory]:
    """Return the tags issued to an agreement, by id, each with its mounts."""
    found = session.scalars(
        select(Tag).where(Tag.agreement_id == agreement_id, Tag.id > after).order_by(Tag.id).limit(limit)
    ).all()
    return _with_mounts(session, found)


def tag(session: Session, agreement_id: int, tag_id: int) -> TagStory:
    """Return one tag of an agreement with its mounts. Raises NotFound."""
    found = session.scalars(select(Tag).where(Tag.agreement_id == agreement_id, Tag.id == tag_id)).all()
    if not found:
        raise NotFound("There is no such tag on this agreement.")
    return _with_mounts(session, found)[0]


def _with_mounts(session: Session, found: Sequence[Tag]) -> list[TagStory]:
    mounts: dict[int, list[Mount]] = {row.id: [] for row in found}
    for row in session.scalars(
        select(Mount).where(Mount.tag_id.in_(list(mounts))).order_by(Mount.valid_from, Mount.id)
    ):
        mounts[row.tag_id].append(row)
    return [TagStory(row, mounts[row.id]) for row in found]
