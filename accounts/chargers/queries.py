"""Reads of chargers, stations and publications."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, DateTime, Integer, Select, Text, select, text
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, Project, Station
from accounts.chargers.told import FIRST_TYPE, first_type, taken, told
from config.http_pages import Page, paged
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


def projects(session: Session, code: str) -> Select[Project]:
    """Return a query of a charger's projects, for keyset pages by Project.code. Raises NotFound."""
    return select(Project).where(Project.charger_id == charger(session, code).id)


@dataclass(frozen=True)
class Told:
    """A change as one charger was told of it: at once, or by a version of its list."""

    status: str
    reason: str | None
    vehicle: int | None
    made_at: dt.datetime
    charger: str
    version: int | None
    sent_at: dt.datetime | None
    acknowledged_at: dt.datetime | None


# A charger that came later was not told of what was valid already. Where nobody has acknowledged a change yet, the
# version that holds it says when it was sent. It goes by the list that the charger took when it changed; where that one
# never told it, because it was given up before, by the one that it takes today.
_TOLD_SQL = f"""
    SELECT p.id AS change, c.id AS charger_id, p.status, p.reason, p.registration_id AS vehicle,
        greatest(p.effective_at, c.told_from) AS made_at, c.code AS charger, s.version,
        CASE WHEN k.version IS NULL AND k.at IS NOT NULL THEN k.at ELSE s.sent_at END AS sent_at,
        k.at AS acknowledged_at
    FROM publications AS p CROSS JOIN chargers AS c
    CROSS JOIN LATERAL {taken("p.effective_at")} AS w
    LEFT JOIN LATERAL (
        SELECT y.list_type, z.version, z.at
        FROM (VALUES (1, {first_type("w.list_types")}), (2, {FIRST_TYPE})) AS y (rank, list_type)
        CROSS JOIN LATERAL {told("y.list_type")} AS z
        ORDER BY y.rank LIMIT 1
    ) AS k ON true
    LEFT JOIN LATERAL (
        SELECT v.version, v.sent_at FROM list_versions AS v
        WHERE v.charger_id = c.id AND v.list_type = coalesce(k.list_type, {FIRST_TYPE})
            AND (v.version = k.version OR (k.at IS NULL AND v.through_change >= p.position))
        ORDER BY v.through_change, v.version LIMIT 1
    ) AS s ON true
    WHERE p.agreement_id = :agreement AND p.status IN ('valid', 'blocked', 'ended', 'removed')
        AND NOT (p.status = 'valid' AND coalesce(c.told_from > p.effective_at, false))
"""  # noqa: S608 - no input in it
_TOLD = text(_TOLD_SQL).columns(
    change=BigInteger, charger_id=Integer, status=Text, reason=Text, vehicle=BigInteger,
    made_at=DateTime(timezone=True), charger=Text, version=Integer, sent_at=DateTime(timezone=True),
    acknowledged_at=DateTime(timezone=True),
)  # fmt: skip


def publications(session: Session, agreement_id: int, *, after: str | None, limit: int) -> Page:
    """Return what each charger was told of an agreement and its registrations, as ``Told``: a keyset page, the newest
    change first."""
    rows = _TOLD.bindparams(agreement=agreement_id).subquery("told")
    page = paged(session, select(rows), [rows.c.change, rows.c.charger_id], after=after, limit=limit, descending=True)
    items = [
        Told(row.status, row.reason, row.vehicle, row.made_at, row.charger, row.version, row.sent_at,
             row.acknowledged_at)
        for row in page.items
    ]  # fmt: skip
    return Page(items, page.next)


def codes(session: Session) -> dict[int, str]:
    """Return every charger's code by its id; there are some tens of them."""
    return {row.id: row.code for row in session.execute(select(Charger.id, Charger.code))}
