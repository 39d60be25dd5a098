"""Reads of passages for the API and for documents: by period or by claim, in order of occurrence."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, Station
from billing.passages.models import Passage, Reversal
from billing.passages.rules import flag_names
from config.clock import start_of_day
from config.http import Page, paged


@dataclass(frozen=True)
class Listed:
    """A passage or counter-row as a list shows it. ``passed_at`` carries the sender's offset; øre with VAT.

    ``claim_id`` is null as long as it is not billed; ``external`` journeys are settled elsewhere and never are.
    """

    id: int
    passed_at: dt.datetime
    booked_at: dt.datetime
    charger: str
    charger_name: str
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
    reverses_id: int | None
    reversed: bool
    claim_id: int | None


def page(
    session: Session,
    agreement_id: int,
    *,
    since: dt.date | None = None,
    until: dt.date | None = None,
    claim_id: int | None = None,
    after: str | None = None,
    limit: int = 200,
) -> Page:
    """Return a keyset page of ``Listed`` by (passed_at, id): all, between Oslo dates (both inclusive), or a claim's.

    One index serves it: (agreement_id, passed_at, id). Raises Invalid for a cursor that is not this list's.
    """
    statement = _listed().where(Passage.agreement_id == agreement_id)
    if since is not None:
        statement = statement.where(Passage.passed_at >= start_of_day(since))
    if until is not None:
        statement = statement.where(Passage.passed_at < start_of_day(until + dt.timedelta(days=1)))
    if claim_id is not None:
        statement = statement.where(Passage.claim_id == claim_id)
    found = paged(session, statement, [Passage.passed_at, Passage.id], after=after, limit=limit)
    return Page([_as_listed(row) for row in found.items], found.next)


def _listed() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Passage.id,
            Passage.passed_at,
            Passage.passed_offset,
            Passage.booked_at,
            Charger.code.label("charger"),
            Charger.name.label("charger_name"),
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
            Passage.reverses_id,
            Reversal.passage_id.is_not(None).label("reversed"),
            Passage.claim_id,
        )
        .join(Charger, Charger.id == Passage.charger_id)
        .outerjoin(Station, and_(Station.charger_id == Passage.charger_id, Station.code == Passage.station))
        .outerjoin(Reversal, Reversal.passage_id == Passage.id)
    )


def _as_listed(row: Any) -> Listed:
    fields = row._asdict()
    offset = dt.timezone(dt.timedelta(minutes=fields.pop("passed_offset")))
    fields["passed_at"] = row.passed_at.astimezone(offset)
    fields["flags"] = flag_names(row.flags)
    return Listed(**fields)
