"""Reads of chargers, stations and publications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, Publication, Station
from config.problems import NotFound


def chargers(session: Session, after: str = "", limit: int = 200) -> Sequence[Charger]:
    """Return chargers by code, after a code, at most ``limit``."""
    return session.scalars(select(Charger).where(Charger.code > after).order_by(Charger.code).limit(limit)).all()


def charger(session: Session, code: str) -> Charger:
    """Return a charger by its code. Raises NotFound."""
    found = session.scalar(select(Charger).where(Charger.code == code))
    if found is None:
        raise NotFound(f"There is no charger {code}.")
    return found


def stations(session: Session, code: str, after: str = "", limit: int = 200) -> Sequence[Station]:
    """Return a charger's stations by code, after a code, at most ``limit``. Raises NotFound."""
    owner = charger(session, code)
    query = select(Station).where(Station.charger_id == owner.id, Station.code > after)
    return session.scalars(query.order_by(Station.code).limit(limit)).all()


@dataclass(frozen=True)
class Published:
    """A publication with the charger it went to."""

    charger: str
    publication: Publication


def publications(session: Session, agreement_id: int, before: int | None = None, limit: int = 200) -> list[Published]:
    """Return what was published of an agreement and its registrations, newest first, below an id."""
    query = (
        select(Charger.code, Publication)
        .join(Charger, Charger.id == Publication.charger_id)
        .where(Publication.agreement_id == agreement_id)
    )
    if before is not None:
        query = query.where(Publication.id < before)
    rows = session.execute(query.order_by(Publication.id.desc()).limit(limit)).all()
    return [Published(code, publication) for code, publication in rows]
