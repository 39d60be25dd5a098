"""Keep the projects that stations pay to: their names, as customers read them, and from when to when they collect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.chargers.models import Project
from accounts.chargers.queries import charger
from config.checks import Checks, one_line
from config.problems import Invalid

MOST_PROJECTS = 1_000


@dataclass(frozen=True)
class ProjectGiven:
    """A project as somebody gave it: its code at the charger, the name customers read, and the Oslo dates it collects
    from and to (both inclusive), where they are known."""

    code: str
    name: str
    from_on: dt.date | None = None
    to_on: dt.date | None = None


def keep_projects(session: Session, code: str, given: Sequence[ProjectGiven]) -> int:
    """Add or change projects of a charger, and return how many were given. None is ever taken away: stations and
    passages name them. Raises NotFound; Invalid naming each wrong one by its position."""
    charger_id = charger(session, code).id
    if len(given) > MOST_PROJECTS:
        raise Invalid(f"At most {MOST_PROJECTS} projects at a time.", slug="too-many")
    checks = Checks()
    rows: dict[str, dict[str, object]] = {}
    for position, project in enumerate(given):
        row: dict[str, object] = {
            "charger_id": charger_id,
            "code": checks.take(f"{position}.code", one_line(60), project.code, ""),
            "name": checks.take(f"{position}.name", one_line(100), project.name, ""),
            "from_on": project.from_on,
            "to_on": project.to_on,
        }
        if project.from_on is not None and project.to_on is not None and project.to_on < project.from_on:
            checks.note(f"{position}.to_on", "order", "is before from_on")
        if str(row["code"]) in rows:
            checks.note(f"{position}.code", "twice", "is given twice")
        rows[str(row["code"])] = row
    checks.done()
    if rows:
        statement = insert(Project)
        changed = {name: statement.excluded[name] for name in ("name", "from_on", "to_on")}
        upsert = statement.on_conflict_do_update(index_elements=["charger_id", "code"], set_=changed)
        session.execute(upsert, list(rows.values()))
        session.expire_all()
    return len(rows)
