"""Reads of chargers, stations and publications."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, Publication, Station
from config.problems import NotFound


def chargers() -> Select[Charger]:
    """Return a query of all chargers, for keyset pages by Charger.code."""
    return select(Charger)


def charger(session: Session, code: str) -> Charger:
    """Return a charger by its code. Raises NotFound."""
    found = session.scalar(select(Charger).where(Charger.code == code))
    if found is None:
        raise NotFound(f"There is no charger {code}.")
    return found


def ferries(session: Session) -> Sequence[Charger]:
    """Return the ferry operators, by name; there are a few."""
    return session.scalars(select(Charger).where(Charger.kind == "ferry").order_by(Charger.name)).all()


def stations(session: Session, code: str) -> Select[Station]:
    """Return a query of a charger's stations, for keyset pages by Station.code. Raises NotFound."""
    return select(Station).where(Station.charger_id == charger(session, code).id)


def publications(agreement_id: int) -> Select[Publication]:
    """Return a query of what was published of an agreement and its registrations, for keyset pages by
    Publication.id."""
    return select(Publication).where(Publication.agreement_id == agreement_id)


def codes(session: Session) -> dict[int, str]:
    """Return every charger's code by its id; there are some tens of them."""
    return {row.id: row.code for row in session.execute(select(Charger.id, Charger.code))}
