"""Keep the list of chargers and their stations: add what is new, change what is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.chargers import rules
from accounts.chargers.models import Charger, Station
from config.checks import Checks, email, one_line, organisation_number, phone
from config.problems import Conflict, Invalid, NotFound

MOST_STATIONS = 5_000


@dataclass(frozen=True)
class ChargerGiven:
    """A charger as somebody gave it. ``kind`` is toll or ferry."""

    code: str
    name: str
    kind: str
    org_no: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True)
class StationGiven:
    """A station as somebody gave it: its code at the charger, the name customers read, the project it pays to."""

    code: str
    name: str
    project: str


def keep_charger(
    session: Session, given: ChargerGiven, now: dt.datetime, check: Callable[[Charger], None] | None = None
) -> tuple[Charger, bool]:
    """Add a charger or change the one of that code; return it and whether it is new. ``check`` is called with a known
    one, locked, before it is changed, and may raise.

    A new one is told at once of every agreement that is blocked or ended: what it had never been told of, it
    could not refuse. Raises Invalid; Conflict when the kind of a known charger would change.
    """
    values = _checked(given)
    query = select(Charger).where(Charger.code == given.code).with_for_update(key_share=True)
    known = session.scalar(query.execution_options(populate_existing=True))
    if known is not None:
        if check is not None:
            check(known)
        if known.kind != values["kind"]:
            raise Conflict(f"{given.code} is a {known.kind} charger; its kind cannot change.", slug="charger-kind")
        for name, value in values.items():
            setattr(known, name, value)
        session.flush()
        return known, False
    # Publishing waits for us and we for it, so that no change of standing falls between the two lists.
    session.execute(text("LOCK TABLE publications IN SHARE ROW EXCLUSIVE MODE"))
    made = session.scalar(insert(Charger).values(values).on_conflict_do_nothing().returning(Charger))
    if made is None:  # another request added it while we waited
        return keep_charger(session, given, now, check)
    _tell_newcomer(session, made.id, now)
    return made, True


def _checked(given: ChargerGiven) -> dict[str, str | None]:
    checks = Checks()
    values: dict[str, str | None] = {
        "code": checks.take("code", rules.charger_code, given.code, ""),
        "name": checks.take("name", one_line(100), given.name, ""),
        "kind": checks.take("kind", rules.kind, given.kind, ""),
        "org_no": checks.take("org_no", organisation_number, given.org_no, "") if given.org_no else None,
        "email": checks.take("email", email, given.email, "") if given.email else None,
        "phone": checks.take("phone", phone, given.phone, "") if given.phone else None,
    }
    checks.done()
    return values


def _tell_newcomer(session: Session, charger_id: int, now: dt.datetime) -> None:
    """Publish to a new charger what another one knows, but for what is valid, and what lies ahead."""
    session.execute(
        text(
            "WITH model AS (SELECT min(id) AS id FROM chargers WHERE id <> :charger), "
            "known AS (SELECT DISTINCT ON (p.agreement_id, p.registration_id) p.* FROM publications p, model "
            "WHERE p.charger_id = model.id AND p.acknowledged_at <= :now "
            "ORDER BY p.agreement_id, p.registration_id, p.acknowledged_at DESC, p.id DESC), "
            "told AS (SELECT * FROM known WHERE status <> 'valid' UNION ALL SELECT p.* FROM publications p, model "
            "WHERE p.charger_id = model.id AND p.acknowledged_at > :now) "
            "INSERT INTO publications (charger_id, agreement_id, registration_id, status, reason, "
            "made_at, sent_at, acknowledged_at) "
            "SELECT :charger, agreement_id, registration_id, status, reason, at, at, at "
            "FROM (SELECT told.*, greatest(acknowledged_at, :now) AS at FROM told) AS dated ORDER BY id"
        ),
        {"charger": charger_id, "now": now},
    )


def keep_stations(session: Session, code: str, given: Sequence[StationGiven]) -> int:
    """Add or change stations of a charger, set-based, and return how many were given. None is ever taken away:
    passages name them. Raises NotFound; Invalid naming each wrong one by its position."""
    charger_id = session.scalar(select(Charger.id).where(Charger.code == code))
    if charger_id is None:
        raise NotFound(f"There is no charger {code}.")
    if len(given) > MOST_STATIONS:
        raise Invalid(f"At most {MOST_STATIONS} stations at a time.", slug="too-many")
    checks = Checks()
    rows: dict[str, dict[str, object]] = {}
    for position, station in enumerate(given):
        row: dict[str, object] = {
            "charger_id": charger_id,
            "code": checks.take(f"{position}.code", one_line(40), station.code, ""),
            "name": checks.take(f"{position}.name", one_line(100), station.name, ""),
            "project": checks.take(f"{position}.project", one_line(60), station.project, ""),
        }
        if str(row["code"]) in rows:
            checks.note(f"{position}.code", "twice", "is given twice")
        rows[str(row["code"])] = row
    checks.done()
    if rows:
        statement = insert(Station)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["charger_id", "code"],
                set_={"name": statement.excluded.name, "project": statement.excluded.project},
            ),
            list(rows.values()),
        )
        session.expire_all()
    return len(rows)
