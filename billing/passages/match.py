"""Find the agreement each record of a chunk belongs to, set-based and without locks.

The rules are design.md's "Matching"; the statements are in match.sql. What is rare is a statement of its own,
asked only when a record of the chunk can need it, so that a plain toll record pays two probes and one look at
what was published.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, LiteralString, cast

from psycopg import Cursor

from accounts.chargers.models import Charger
from accounts.chargers.told import BY_TAG, latency, list_type_of, tag_refused, taken, told
from config.clock import start_of_day
from config.rates import figures


def statements(name: str) -> Mapping[str, LiteralString]:
    """Return the statements of a .sql file of this room by the names above them."""
    text = Path(__file__).with_name(name).read_text("utf-8")
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    # They are ours, from this folder: as literal as what is written in Python.
    return cast(Mapping[str, LiteralString], dict(zip(parts[::2], parts[1::2], strict=True)))


_LATENCY = latency("m.passed_at", "%(since)s", "%(minutes)s")
# A tag that is in no vehicle is judged by the list of tags, whatever plate was read with it (see ``last_mount``).
_LIST_TYPE = list_type_of("t.list_types", "m.flags & 1 <> 0 AND NOT (m.by_tag AND m.flags & 4 <> 0)")
_FILLED: Mapping[LiteralString, LiteralString] = {
    "{tag_refused}": tag_refused("i.pan", "m.passed_at", _LATENCY),
    "{taken}": taken("m.passed_at"),
    "{told_by_tag}": told(BY_TAG),
    "{told}": told(_LIST_TYPE),
    "{list_type}": _LIST_TYPE,
    "{latency}": _LATENCY,
}


def latencies() -> dict[str, Any]:
    """Return the parameters of ``told.latency``: since when (instants) each figure counts, and its minutes."""
    figure = figures()["status_list_latency_minutes"]
    return {"since": [start_of_day(one.since) for one in figure], "minutes": [one.value for one in figure]}


def _filled(sql: LiteralString) -> LiteralString:
    for name, text in _FILLED.items():
        sql = sql.replace(name, text)
    return sql


_SQL = {name: _filled(sql) for name, sql in statements("match.sql").items()}


def make_tables(cursor: Cursor[Any]) -> None:
    """Make this connection's temporary tables ``incoming`` and ``matched``, or empty those it has."""
    for table in ("incoming", "matched"):
        cursor.execute(_SQL[f"make_{table}"], prepare=False)
    cursor.execute("DELETE FROM incoming")
    cursor.execute("DELETE FROM matched")


def obu_to_pan(cursor: Cursor[Any]) -> None:
    """Give records that name their tag by OBU id alone the tag's PAN."""
    cursor.execute(_SQL["obu_to_pan"], prepare=False)


def match(cursor: Cursor[Any], charger: Charger, oldest: dt.datetime, *, judged: bool = True) -> None:
    """Fill ``matched`` from ``incoming``: a row per record with its answer, agreement and registration.

    Passages from before ``oldest`` are ``too_old``. Without ``judged`` what the charger had been told of the agreement
    refuses none: somebody of ours takes it all the same. Nothing is prepared: a plan made for a chunk of one record
    must not be kept for one of ten thousand.
    """
    params = {"charger": charger.id, "code": charger.code, "oldest": oldest, **latencies()}
    cursor.execute(_SQL["prefer_btree"])
    cursor.execute(_SQL["match"], params, prepare=False)
    ferry = charger.kind == "ferry"  # accounts.vehicles.additional takes no other operators
    if ferry:
        cursor.execute(_SQL["additional"], params, prepare=False)
    cursor.execute("SELECT EXISTS (SELECT FROM matched WHERE code = 'unknown_vehicle')", prepare=False)
    if cursor.fetchone() == (True,):
        # The operator's own agreement is asked for first by the read plate too, as it was by the tag and its vehicle.
        first = ("additional_instead_of_tag",) if ferry else ()
        for name in (*first, "plate_instead_of_tag", "last_mount"):
            cursor.execute(_SQL[name], params, prepare=False)
        if ferry and cursor.rowcount:  # of the vehicles that these tags were in, which have not been looked at
            cursor.execute(_SQL["additional"], params, prepare=False)
        for name in ("after_removal", "not_started"):
            cursor.execute(_SQL[name], params, prepare=False)
    if judged:
        cursor.execute(_SQL["published"], params, prepare=False)
    if ferry:
        cursor.execute(_SQL["additional_unavailable"], params, prepare=False)
        if judged and cursor.rowcount:  # the tag agreements, which have not been looked at
            cursor.execute(_SQL["published"], params, prepare=False)
        cursor.execute(_SQL["additional_not_covering"], params, prepare=False)
    cursor.execute(_SQL["prefer_any"])


def is_stale(cursor: Cursor[Any], charger: Charger) -> bool:
    """Say whether a match no longer holds; asked under the balance locks. Registrations are ended and begin, also
    from an earlier instant, while we match."""
    cursor.execute(_SQL["prefer_btree"])
    stale = _says(cursor, "stale", {})
    if not stale and charger.kind == "ferry":
        stale = _says(cursor, "stale_additional", {"charger": charger.id, "code": charger.code, **latencies()})
    cursor.execute(_SQL["prefer_any"])
    return stale


def _says(cursor: Cursor[Any], name: str, params: Mapping[str, Any]) -> bool:
    cursor.execute(_SQL[name], params, prepare=False)
    return cursor.fetchone() == (True,)
