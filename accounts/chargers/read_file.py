"""Chargers, projects and stations from a file, all or nothing (docs/formats.md): JSON, or CSV with a row each.

What a file says nothing of stays as it is, so that a file of names takes no telephone number away.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.chargers.keep import ChargerGiven, StationGiven, keep_charger, keep_stations
from accounts.chargers.models import Charger, Project
from accounts.chargers.projects import ProjectGiven, keep_projects
from config.problems import Conflict, Invalid, NotFound

CHARGER = ("code", "name", "kind", "org_no", "email", "phone", "bank_account")
PROJECT = ("charger", "code", "name", "from_on", "to_on")
STATION = ("charger", "code", "name", "project", "latitude", "longitude")
SORTS: Mapping[str, tuple[str, ...]] = {"charger": CHARGER, "project": PROJECT, "station": STATION}
NEEDED: Mapping[str, tuple[str, ...]] = {
    "charger": ("code", "name", "kind"),
    "project": ("charger", "code", "name"),
    "station": ("charger", "code", "name", "project"),
}
_TEXTS = {"code", "name", "kind", "org_no", "email", "phone", "bank_account", "charger", "project"}
COLUMNS = ("row", *dict.fromkeys(name for names in SORTS.values() for name in names))
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Row:
    """A row of a file: where it stands, what it is about, and what it says."""

    where: str
    sort: str
    says: Mapping[str, Any]


@dataclass
class _Wrong:
    """What is wrong with which row."""

    errors: list[dict[str, str]] = field(default_factory=list)

    def note(self, row: Row, name: str, message: str) -> None:
        self.errors.append({"row": row.where, "field": name, "message": message})

    def done(self) -> None:
        if self.errors:
            raise Invalid("Some rows cannot be used; nothing was changed.", slug="wrong-rows", errors=self.errors)


def read(content: bytes, form: str) -> list[Row]:
    """Return the rows of a file, ``form`` being csv or json. Raises Invalid for one that cannot be read, or that has
    columns, kinds of rows or fields that are none."""
    try:
        said = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"The file is not UTF-8, at byte {error.start}.", slug="broken-file") from None
    if "\0" in said:
        raise Invalid("The file holds a NUL character.", slug="broken-file")
    rows = _csv(said) if form == "csv" else _json(said)
    if len(rows) > MOST_ROWS:
        raise Invalid(f"At most {MOST_ROWS} rows in a file.", slug="too-many")
    return rows


def _csv(said: str) -> list[Row]:
    reader = csv.reader(io.StringIO(said, newline=""), strict=True)
    try:
        header = next(reader, [])
        unknown = [name for name in header if name not in COLUMNS]
        if "row" not in header or unknown or len(set(header)) != len(header):
            raise Invalid(f"The columns are some of: {', '.join(COLUMNS)}; row is needed.", slug="broken-file")
        rows = []
        for cells in reader:
            if not any(cells):
                continue
            where = f"line {reader.line_num}"
            if len(cells) != len(header):
                raise Invalid(f"{where} has {len(cells)} cells, not {len(header)}.", slug="broken-file")
            says: dict[str, Any] = {
                name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()
            }
            rows.append(Row(where, str(says.pop("row", "")), says))
    except csv.Error as error:
        raise Invalid(f"Line {reader.line_num} cannot be read: {error}.", slug="broken-file") from None
    return rows


def _json(said: str) -> list[Row]:
    try:
        whole = json.loads(said)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"The file is not JSON: {error}.", slug="broken-file") from None
    lists = {f"{sort}s": sort for sort in SORTS}
    if (
        not isinstance(whole, dict)
        or set(whole) - set(lists)
        or not all(isinstance(one, list) for one in whole.values())
    ):
        raise Invalid(f"The file is an object with lists: {', '.join(lists)}.", slug="broken-file")
    return [
        Row(f"{name}[{place}]", lists[name] if isinstance(one, dict) else "", one if isinstance(one, dict) else {})
        for name, rows in whole.items()
        for place, one in enumerate(rows)
    ]


def keep_file(session: Session, content: bytes, form: str, now: dt.datetime) -> dict[str, int]:
    """Keep what a file says of chargers, projects and stations, in this order; return how many of each. The caller
    commits. Raises Invalid: ``errors`` names each wrong row, and the caller rolls back."""
    rows, wrong = read(content, form), _Wrong()
    usable = [row for row in rows if _is_sound(row, wrong)]
    for row in usable:
        if row.sort == "charger":
            _keep_charger(session, row, wrong, now)
    for sort, keep in (("project", _keep_projects), ("station", _keep_stations)):
        of: dict[str, list[Row]] = {}
        for row in usable:
            if row.sort == sort:
                of.setdefault(row.says["charger"], []).append(row)
        for code, some in of.items():
            _keep_some(some, wrong, partial(keep, session, code, some))
    wrong.done()
    return {f"{sort}s": sum(row.sort == sort for row in rows) for sort in SORTS}


def _is_sound(row: Row, wrong: _Wrong) -> bool:
    """Say whether a row has the fields of its kind, of the right types; note what is wrong with it."""
    before = len(wrong.errors)
    known = SORTS.get(row.sort)
    if known is None:
        wrong.note(row, "row", f"must be one of {', '.join(SORTS)}")
        return False
    for name, value in row.says.items():
        if name not in known:
            wrong.note(row, name, f"is no field of a {row.sort}")
        elif name in _TEXTS and not isinstance(value, str) and (value is not None or name in NEEDED[row.sort]):
            wrong.note(row, name, "must be text")
    for name in NEEDED[row.sort]:
        if name not in row.says:
            wrong.note(row, name, "is needed")
    for name in ("from_on", "to_on", "latitude", "longitude"):
        if row.says.get(name) is not None:
            _typed(row, name, wrong)
    return len(wrong.errors) == before


def _typed(row: Row, name: str, wrong: _Wrong | None = None) -> Any:
    """Return a date or a number of degrees; None, noted, for what is none."""
    value = row.says[name]
    if value is None:
        return None
    try:
        if name in ("from_on", "to_on"):
            return dt.date.fromisoformat(value)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError
        return float(value)
    except (ValueError, TypeError, OverflowError):
        if wrong is not None:
            wrong.note(row, name, "must be a date such as 2026-03-02" if name[-3:] == "_on" else "must be a number")
        return None


def _keep_charger(session: Session, row: Row, wrong: _Wrong, now: dt.datetime) -> None:
    try:
        keep_charger(session, _charger(session, row), now)
    except Invalid as problem:
        for error in problem.errors or [{"field": "", "message": problem.detail}]:
            wrong.note(row, str(error["field"]), str(error["message"]))
    except Conflict as problem:
        wrong.note(row, "kind", problem.detail)


def _keep_some(rows: list[Row], wrong: _Wrong, act: Callable[[], object]) -> None:
    try:
        act()
    except NotFound as problem:
        for row in rows:
            wrong.note(row, "charger", problem.detail)
    except Invalid as problem:
        for error in problem.errors or [{"field": "0.", "message": problem.detail}]:
            place, _, name = str(error["field"]).partition(".")
            wrong.note(rows[int(place)], name, str(error["message"]))


def _charger(session: Session, row: Row) -> ChargerGiven:
    known = session.scalar(select(Charger).where(Charger.code == row.says["code"]))
    kept: Iterable[str] = CHARGER if known is not None else ()
    return ChargerGiven(**{**{name: getattr(known, name) for name in kept}, **row.says})


def _keep_projects(session: Session, code: str, rows: list[Row]) -> None:
    query = select(Project).join(Charger).where(Charger.code == code)
    known = {one.code: one for one in session.scalars(query)}
    given = []
    for row in rows:
        of = known.get(row.says["code"])
        dates = {
            name: _typed(row, name) if name in row.says else (getattr(of, name) if of is not None else None)
            for name in ("from_on", "to_on")
        }
        given.append(ProjectGiven(row.says["code"], row.says["name"], **dates))
    keep_projects(session, code, given)


def _keep_stations(session: Session, code: str, rows: list[Row]) -> None:
    given = []
    for row in rows:
        place = {name: _typed(row, name) for name in ("latitude", "longitude") if name in row.says}
        given.append(StationGiven(row.says["code"], row.says["name"], row.says["project"], **place))
    keep_stations(session, code, given)
