"""Keep the list of chargers and their stations: add what is new, change what is known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.chargers import rules
from accounts.chargers.models import Charger, ListPeriod, ListVersion, Project, Station
from accounts.chargers.queries import charger
from accounts.chargers.rules import Unsaid
from config.checks import Checks, bank_account, email, one_line, organisation_number, phone
from config.jobs import ring
from config.problems import Conflict, Invalid

MOST_STATIONS = 5_000
FULL_LISTS = "status_lists_full"
"""The job that makes full lists, a charger's first one among them."""
_LISTS = (("lists", rules.LISTS), ("list_types", rules.TAKEN_TYPES), ("list_format", rules.LIST_FORMATS))
BEGINNING = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class ChargerGiven:
    """A charger as somebody gave it. ``kind`` is toll or ferry; for lists see ``models.Charger``: what is not said of
    them stays as it is, so that who changes a telephone number does not switch them off."""

    code: str
    name: str
    kind: str
    org_no: str | None = None
    email: str | None = None
    phone: str | None = None
    bank_account: str | None = None
    lists: str | None = None
    list_types: str | None = None
    list_format: str | None = None
    latency_minutes: int | Unsaid | None = Unsaid.UNSAID


@dataclass(frozen=True)
class StationGiven:
    """A station as somebody gave it: its code at the charger, the name customers read, the project it pays to, and
    where it is in degrees (both or neither): not said, it stays as it is."""

    code: str
    name: str
    project: str
    latitude: float | Decimal | Unsaid | None = Unsaid.UNSAID
    longitude: float | Decimal | Unsaid | None = Unsaid.UNSAID


def keep_charger(
    session: Session, given: ChargerGiven, now: dt.datetime, check: Callable[[Charger], None] | None = None
) -> tuple[Charger, bool]:
    """Add a charger or change the one of that code; return it and whether it is new. ``check`` is called with a known
    one, locked, before it is changed, and may raise.

    A new one is told at once of every agreement that is blocked or ended, or by its first list when it takes lists:
    what it had never been told of, it could not refuse. Raises Invalid; Conflict when the kind of a known charger
    would change.
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
        _take(session, known, now)
        return known, False
    fresh = insert(Charger).values(**values, told_from=now)
    made = session.scalar(fresh.on_conflict_do_nothing().returning(Charger))
    if made is None:  # another request added it while we waited
        return keep_charger(session, given, now, check)
    if made.lists != "none":  # from the beginning: even of what was before, only its first list tells it
        period = {"charger_id": made.id, "since": BEGINNING, "list_types": made.list_types,
                  "latency_minutes": made.latency_minutes}  # fmt: skip
        session.execute(plain_insert(ListPeriod), [period])
        ring(session, FULL_LISTS)
    return made, True


def _take(session: Session, charger: Charger, now: dt.datetime) -> None:
    """Let the periods in which a charger takes lists follow what it says now: begin one, end it, or go on with another
    where it takes other lists or has another latency. A list that is newly taken begins with a full one."""
    open_one = select(ListPeriod).where(ListPeriod.charger_id == charger.id, ListPeriod.until.is_(None))
    period = session.scalar(open_one.execution_options(populate_existing=True))
    taken = charger.lists != "none"
    says = {"list_types": charger.list_types, "latency_minutes": charger.latency_minutes}
    if not taken and period is None:
        return
    before = set(rules.types_of(period.list_types)) if period is not None else set()
    if period is None:
        last = session.scalar(select(func.max(ListPeriod.until)).where(ListPeriod.charger_id == charger.id))
        # Later than the last one ended, so that it does not go on from it: what was said meanwhile was said at once.
        since = now if last is None else max(now, last + dt.timedelta(microseconds=1))
        session.execute(plain_insert(ListPeriod), [{"charger_id": charger.id, "since": since, **says}])
    elif not taken:
        period.until = max(now, period.since)
    elif (period.list_types, period.latency_minutes) == (charger.list_types, charger.latency_minutes):
        return
    elif now <= period.since:
        period.list_types, period.latency_minutes = charger.list_types, charger.latency_minutes
    else:
        period.until = now
        session.flush()
        session.execute(plain_insert(ListPeriod), [{"charger_id": charger.id, "since": now, **says}])
    session.flush()
    after = set(rules.types_of(charger.list_types)) if taken else set()
    # Without lists it is told at once, and by the period's end it knows all (told.py): lists not taken are of no use.
    _drop(session, charger, sorted(set(rules.LIST_TYPES) - after))
    if after - before:
        ring(session, FULL_LISTS)


def _drop(session: Session, charger: Charger, list_types: Sequence[str]) -> None:
    """Wait no longer for versions of lists that a charger does not take any more."""
    session.execute(
        update(ListVersion)
        .where(
            ListVersion.charger_id == charger.id,
            ListVersion.list_type.in_(list_types),
            ListVersion.state.in_(("made", "sent", "rejected")),
        )
        .values(state="superseded", next_at=None, error="no longer taken")
    )


def _checked(given: ChargerGiven) -> dict[str, str | int | None]:
    checks = Checks()
    values: dict[str, str | int | None] = {
        "code": checks.take("code", rules.charger_code, given.code, ""),
        "name": checks.take("name", one_line(100), given.name, ""),
        "kind": checks.take("kind", rules.kind, given.kind, ""),
        "org_no": checks.take("org_no", organisation_number, given.org_no, "") if given.org_no else None,
        "email": checks.take("email", email, given.email, "") if given.email else None,
        "phone": checks.take("phone", phone, given.phone, "") if given.phone else None,
        "bank_account": checks.take("bank_account", bank_account, given.bank_account, "")
        if given.bank_account
        else None,
    }
    for name, known in _LISTS:
        said = getattr(given, name)
        if said is not None:
            values[name] = checks.take(name, rules.one_of(*known), said, "")
    minutes = given.latency_minutes
    if not isinstance(minutes, Unsaid):
        values["latency_minutes"] = minutes
        if minutes is not None and not 0 <= minutes <= rules.LONGEST_LATENCY:
            checks.note("latency_minutes", "range", f"must be from 0 to {rules.LONGEST_LATENCY} minutes")
    checks.done()
    return values


def keep_stations(session: Session, code: str, given: Sequence[StationGiven]) -> int:
    """Add or change stations of a charger, set-based, and return how many were given. None is ever taken away:
    passages name them. A project that is not known becomes one, named by its code until its name is given. Raises
    NotFound; Invalid naming each wrong one by its position."""
    charger_id = charger(session, code).id
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
            **rules.place(checks, f"{position}.", station.latitude, station.longitude),
        }
        if str(row["code"]) in rows:
            checks.note(f"{position}.code", "twice", "is given twice")
        rows[str(row["code"])] = row
    checks.done()
    _write_stations(session, list(rows.values()))
    return len(rows)


def _write_stations(session: Session, rows: Sequence[dict[str, object]]) -> None:
    if not rows:
        return
    named = [{"charger_id": row["charger_id"], "code": row["project"], "name": row["project"]} for row in rows]
    session.execute(insert(Project).on_conflict_do_nothing(index_elements=["charger_id", "code"]), named)
    for said in (False, True):  # where a station is stays as it is when nobody says it
        some = [row for row in rows if ("latitude" in row) == said]
        if some:
            statement = insert(Station)
            names = ("name", "project", *(("latitude", "longitude") if said else ()))
            changed = {name: statement.excluded[name] for name in names}
            upsert = statement.on_conflict_do_update(index_elements=["charger_id", "code"], set_=changed)
            session.execute(upsert, some)
    session.expire_all()
