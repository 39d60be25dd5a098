"""Passages as a person reads them: where by name, what it cost, what became of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from accounts.chargers.models import Charger, Station
from accounts.vehicles.models import Registration
from billing.passages.models import Balance, Passage, Reversal
from config.http import Page, paged
from config.problems import NotFound


@dataclass(frozen=True)
class Period:
    """Passages of an agreement, or of one plate on it, from an instant to another (exclusive), by occurrence."""

    agreement_id: int
    since: dt.datetime
    until: dt.datetime
    plate: str | None = None


@dataclass(frozen=True)
class Sums:
    """What passages of a period come to: billed and not billed yet (øre), how many, and how many settle elsewhere."""

    count: int
    billed_ore: int
    unbilled_ore: int
    external: int


def _rows() -> Select[*tuple[Any, ...]]:
    taken_back, counter = aliased(Reversal), aliased(Reversal)
    return (
        select(
            Passage.id,
            Passage.passed_at,
            Passage.booked_at,
            func.coalesce(Station.name, Passage.station).label("station"),
            Charger.name.label("charger"),
            Charger.code.label("charger_code"),
            Passage.source_id,
            Passage.vehicle_class,
            Passage.vat_bp,
            Passage.service,
            Passage.country,
            Passage.plate,
            Passage.list_ore,
            Passage.amount_ore,
            Passage.flags,
            Passage.external,
            Registration.external_ref,
            Passage.claim_id,
            Passage.reverses_id,
            taken_back.cause.label("taken_back"),
            counter.cause.label("counter_cause"),
            counter.reason.label("counter_reason"),
        )
        .join(Charger, Charger.id == Passage.charger_id)
        .outerjoin(Station, and_(Station.charger_id == Passage.charger_id, Station.code == Passage.station))
        .outerjoin(Registration, and_(Registration.id == Passage.registration_id, Passage.external))
        .outerjoin(taken_back, taken_back.passage_id == Passage.id)
        .outerjoin(counter, counter.passage_id == Passage.reverses_id)
    )


def shown(session: Session, period: Period, *, after: str | None, limit: int) -> Page:
    """Return passages and counter-rows of a period, newest first, a keyset page.

    Rows have: id, passed_at, booked_at, station and charger (names), service,
    charger_code, source_id, vehicle_class, vat_bp, country, plate, list_ore, amount_ore,
    flags (bits), external, external_ref, claim_id, reverses_id, taken_back (why this one was reversed: moved,
    credited; or None), counter_cause and counter_reason (why this counter-row was made). Raises Invalid for a
    cursor that is not this list's.
    """
    statement = _rows().where(*_within(period))
    return paged(session, statement, [Passage.passed_at, Passage.id], after=after, limit=limit, descending=True)


def one(session: Session, agreement_id: int, passage_id: int) -> Any:
    """Return one passage of an agreement, a row as in ``shown``. Raises NotFound."""
    row = session.execute(_rows().where(Passage.agreement_id == agreement_id, Passage.id == passage_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such passage on this agreement.")
    return row


def _within(period: Period) -> list[Any]:
    return [
        Passage.agreement_id == period.agreement_id,
        Passage.passed_at >= period.since,
        Passage.passed_at < period.until,
        *([Passage.plate == period.plate] if period.plate is not None else []),
    ]


def sums(session: Session, period: Period) -> Sums:
    """Add the passages of a period up."""
    ours = ~Passage.external
    row = session.execute(
        select(
            func.count().filter(Passage.reverses_id.is_(None)),
            func.coalesce(func.sum(Passage.amount_ore).filter(ours, Passage.claim_id.is_not(None)), 0),
            func.coalesce(func.sum(Passage.amount_ore).filter(ours, Passage.claim_id.is_(None)), 0),
            func.count().filter(Passage.external),
        ).where(*_within(period))
    ).one()
    return Sums(row[0], int(row[1]), int(row[2]), row[3])


def balance_of(session: Session, agreement_id: int) -> Balance | None:
    """Return what of an agreement is not billed; None before its first passage."""
    return session.scalars(
        select(Balance).where(Balance.agreement_id == agreement_id).execution_options(populate_existing=True)
    ).one_or_none()
