"""Reads of mass corrections."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.passages.mass.models import MassCorrection, MassPassage
from config.http import Page, paged
from config.problems import NotFound


@dataclass(frozen=True)
class Shown:
    """A mass correction with its charger's code and name, and the undoing of it, if there is one."""

    row: MassCorrection
    charger: str
    charger_name: str
    undone_by: int | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as the API shows it."""
        columns = {column.key: getattr(self.row, column.key) for column in MassCorrection.__table__.columns}
        return columns | {"charger": self.charger, "charger_name": self.charger_name, "undone_by": self.undone_by}


def page(session: Session, *, after: str | None, limit: int) -> Page:
    """Return mass corrections as ``Shown``, the last first, a keyset page."""
    found = paged(session, select(MassCorrection), [MassCorrection.id], after=after, limit=limit, descending=True)
    return Page(shown(session, found.items), found.next)


def one(session: Session, mass_id: int) -> Shown:
    """Return one mass correction. Raises NotFound."""
    row = session.get(MassCorrection, mass_id)
    if row is None:
        raise NotFound("There is no such mass correction.")
    return shown(session, [row])[0]


def shown(session: Session, rows: Sequence[MassCorrection]) -> list[Shown]:
    """Return rows with the names that people know."""
    chargers = select(Charger.id, Charger.code, Charger.name).where(Charger.id.in_({row.charger_id for row in rows}))
    names = {row.id: row for row in session.execute(chargers)}
    undoings = select(MassCorrection.undoes_id, MassCorrection.id).where(
        MassCorrection.undoes_id.in_([row.id for row in rows])
    )
    undone = {row.undoes_id: row.id for row in session.execute(undoings)}
    return [Shown(row, names[row.charger_id].code, names[row.charger_id].name, undone.get(row.id)) for row in rows]


@dataclass(frozen=True)
class Touched:
    """What a mass correction did on an agreement: how many passages of what sum (øre), when, why, by whom; and whether
    it was an undoing."""

    mass_id: int
    undoing: bool
    at: dt.datetime
    count: int
    sum_ore: int
    reason: str
    actor: str


def of_agreement(session: Session, agreement_id: int, limit: int) -> list[Touched]:
    """Return what mass corrections did on an agreement, the last first."""
    at = func.coalesce(MassCorrection.finished_at, MassCorrection.confirmed_at)
    rows = session.execute(
        select(
            MassCorrection.id,
            MassCorrection.undoes_id.is_not(None),
            at,
            func.count(),
            func.sum(MassPassage.amount_ore),
            MassCorrection.reason,
            MassCorrection.actor,
        )
        .join(MassPassage, MassPassage.mass_id == MassCorrection.id)
        .where(MassPassage.agreement_id == agreement_id, MassPassage.outcome == "done")
        .group_by(MassCorrection.id)
        .order_by(at.desc(), MassCorrection.id.desc())
        .limit(limit)
    )
    return [Touched(*row[:4], int(row[4]), *row[5:]) for row in rows]
