"""Reads of passages: one list for the API and the pages, a sum of a period, what is not billed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from accounts.chargers.models import Charger, Station
from accounts.vehicles.models import Registration
from billing.passages.models import Balance, Passage, Reversal
from billing.passages.rules import flag_names
from config.clock import start_of_day
from config.http import Page, paged
from config.problems import NotFound


@dataclass(frozen=True)
class Period:
    """Passages of an agreement, or of one plate on it, from an instant to another (exclusive), by occurrence."""

    agreement_id: int
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    plate: str | None = None


def days(agreement_id: int, first: dt.date | None, last: dt.date | None, plate: str | None = None) -> Period:
    """Return the period between Oslo dates, both inclusive; None is without end."""
    since = start_of_day(first) if first is not None else None
    until = start_of_day(last + dt.timedelta(days=1)) if last is not None else None
    return Period(agreement_id, since, until, plate)


@dataclass(frozen=True)
class Listed:
    """A passage or counter-row as a list shows it. ``passed_at`` carries the sender's offset; øre with VAT.

    ``charger`` and ``station`` are codes, each with its name; ``source_id`` is the charger's id of its record.
    ``claim_id`` is null as long as it is not billed;
    ``external`` journeys are settled elsewhere, under ``external_ref``, and never are. ``taken_back``: why this one
    was reversed (moved, credited; or None); ``counter_cause`` and ``counter_reason``: why this counter-row was made.
    """

    id: int
    passed_at: dt.datetime
    booked_at: dt.datetime
    charger: str
    charger_name: str
    source_id: str
    station: str
    station_name: str
    service: str
    country: str | None
    plate: str | None
    vehicle_class: str | None
    list_ore: int
    amount_ore: int
    vat_bp: int
    flags: tuple[str, ...]
    external: bool
    external_ref: str | None
    reverses_id: int | None
    claim_id: int | None
    taken_back: str | None
    counter_cause: str | None
    counter_reason: str | None

    @property
    def reversed(self) -> bool:
        """Say whether a counter-row takes this one back."""
        return self.taken_back is not None


@dataclass(frozen=True)
class Sums:
    """What passages of a period come to: billed and not billed yet (øre), how many, and how many settle elsewhere."""

    count: int
    billed_ore: int
    unbilled_ore: int
    external: int


def page(
    session: Session, period: Period, *, after: str | None = None, limit: int = 200, newest_first: bool = False
) -> Page:
    """Return passages and counter-rows of a period as ``Listed``, a keyset page by (passed_at, id).

    One index serves it: (agreement_id, passed_at, id). Raises Invalid for a cursor that is not this list's.
    """
    found = paged(
        session,
        _rows().where(*_within(period)),
        [Passage.passed_at, Passage.id],
        after=after,
        limit=limit,
        descending=newest_first,
    )
    return Page([_listed(row) for row in found.items], found.next)


def one(session: Session, agreement_id: int, passage_id: int) -> Listed:
    """Return one passage of an agreement. Raises NotFound."""
    row = session.execute(_rows().where(Passage.agreement_id == agreement_id, Passage.id == passage_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such passage on this agreement.")
    return _listed(row)


def _rows() -> Select[*tuple[Any, ...]]:
    taken_back, counter = aliased(Reversal), aliased(Reversal)
    return (
        select(
            Passage.id,
            Passage.passed_at,
            Passage.passed_offset,
            Passage.booked_at,
            Charger.code.label("charger"),
            Charger.name.label("charger_name"),
            Passage.source_id,
            Passage.station,
            func.coalesce(Station.name, Passage.station).label("station_name"),
            Passage.service,
            Passage.country,
            Passage.plate,
            Passage.vehicle_class,
            Passage.list_ore,
            Passage.amount_ore,
            Passage.vat_bp,
            Passage.flags,
            Passage.external,
            Registration.external_ref,
            Passage.reverses_id,
            Passage.claim_id,
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


def _listed(row: Any) -> Listed:
    fields = row._asdict()
    offset = dt.timezone(dt.timedelta(minutes=fields.pop("passed_offset")))
    fields["passed_at"] = row.passed_at.astimezone(offset)
    fields["flags"] = flag_names(row.flags)
    return Listed(**fields)


def _within(period: Period) -> list[ColumnElement[bool]]:
    conditions = [Passage.agreement_id == period.agreement_id]
    if period.since is not None:
        conditions.append(Passage.passed_at >= period.since)
    if period.until is not None:
        conditions.append(Passage.passed_at < period.until)
    if period.plate is not None:
        conditions.append(Passage.plate == period.plate)
    return conditions


def sums(session: Session, period: Period, most: int | None = None) -> Sums | None:
    """Add the passages of a period up; None where there are more than ``most`` rows, for then it takes its time."""
    rows = (
        select(Passage.amount_ore, Passage.claim_id, Passage.external, Passage.reverses_id)
        .where(*_within(period))
        .limit(most + 1 if most is not None else None)
        .subquery()
    )
    ours = ~rows.c.external
    row = session.execute(
        select(
            func.count().filter(rows.c.reverses_id.is_(None)),
            func.coalesce(func.sum(rows.c.amount_ore).filter(ours, rows.c.claim_id.is_not(None)), 0),
            func.coalesce(func.sum(rows.c.amount_ore).filter(ours, rows.c.claim_id.is_(None)), 0),
            func.count().filter(rows.c.external),
            func.count(),
        ).select_from(rows)
    ).one()
    if most is not None and row[4] > most:
        return None
    return Sums(row[0], int(row[1]), int(row[2]), row[3])


def balance_of(session: Session, agreement_id: int) -> Balance | None:
    """Return what of an agreement is not billed; None before its first passage."""
    return session.scalars(
        select(Balance).where(Balance.agreement_id == agreement_id).execution_options(populate_existing=True)
    ).one_or_none()
