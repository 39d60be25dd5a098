"""Reads of passages for screens, lists and documents."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from billing.passages.rules import flag_names
from config.clock import start_of_day


@dataclass(frozen=True)
class Listed:
    """A passage or counter-row as a list shows it. ``passed_at`` carries the sender's offset; øre with VAT.

    ``billed`` is whether it is in a claim; ``external`` journeys are settled elsewhere and have no claim.
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


Cursor = tuple[dt.datetime, int]
"""Where a page ended: (passed_at, id) of its last row."""

_LIST = """
    SELECT p.id, p.passed_at, p.passed_offset, p.booked_at, c.code AS charger, c.name AS charger_name, p.station,
        coalesce(s.name, p.station) AS station_name, p.service, p.country, p.plate, p.vehicle_class, p.list_ore,
        p.amount_ore, p.vat_bp, p.flags, p.external, p.reverses_id, v.passage_id IS NOT NULL AS reversed, p.claim_id
    FROM passages AS p
    JOIN chargers AS c ON c.id = p.charger_id
    LEFT JOIN stations AS s ON s.charger_id = p.charger_id AND s.code = p.station
    LEFT JOIN reversals AS v ON v.passage_id = p.id
    WHERE p.agreement_id = :agreement {conditions}
    ORDER BY p.passed_at, p.id LIMIT :limit
"""


def passages(
    session: Session,
    agreement_id: int,
    *,
    since: dt.date | None = None,
    until: dt.date | None = None,
    claim_id: int | None = None,
    after: Cursor | None = None,
    limit: int = 200,
) -> list[Listed]:
    """Return passages of an agreement in order of occurrence, by Oslo dates (both inclusive) or by claim.

    At most ``limit`` rows after ``after``; the next page begins after the last row's (passed_at, id). One index
    serves it: (agreement_id, passed_at, id).
    """
    conditions: list[str] = []
    params: dict[str, Any] = {"agreement": agreement_id, "limit": limit}
    if since is not None:
        conditions.append("p.passed_at >= :since")
        params["since"] = start_of_day(since)
    if until is not None:
        conditions.append("p.passed_at < :until")
        params["until"] = start_of_day(until + dt.timedelta(days=1))
    if claim_id is not None:
        conditions.append("p.claim_id = :claim")
        params["claim"] = claim_id
    if after is not None:
        conditions.append("(p.passed_at, p.id) > (:after_at, :after_id)")
        params["after_at"], params["after_id"] = after
    query = _LIST.format(conditions="".join(f" AND {one}" for one in conditions))
    return [_listed(row) for row in session.execute(text(query), params)]


def _listed(row: Row[Any]) -> Listed:
    fields = row._asdict()
    offset = dt.timezone(dt.timedelta(minutes=fields.pop("passed_offset")))
    fields["passed_at"] = row.passed_at.astimezone(offset)
    fields["flags"] = flag_names(row.flags)
    return Listed(**fields)
