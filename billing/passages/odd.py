"""Oddities: what may be wrong with a record that could be booked all the same.

Too old, at a station nobody told us of, a tag read in another vehicle, another class than the vehicle's, one vehicle
read twice (by tag and camera) in a lane within seconds (doubles.py has the rule). By agreement with the charger each is
accepted, with a flag, or refused, with its name as the answer. What is rare costs an ordinary chunk nothing: each is
asked for only where a chunk can have it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from psycopg import Cursor

from accounts.chargers.oddities import Oddity, accepted_by
from billing.passages import doubles
from billing.passages.match import statements
from config.clock import business_date
from config.rates import whole

_SQL = statements("odd.sql")
EVER = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)

Accepted = Mapping[Oddity, bool]


def agreed(cursor: Cursor[Any], charger_id: int) -> dict[Oddity, bool]:
    """Return which oddities are accepted from a charger."""
    cursor.execute("SELECT oddity, accepted FROM charger_oddities WHERE charger_id = %s", (charger_id,))
    return accepted_by(cursor.fetchall())


def take_in_lanes(cursor: Cursor[Any], block: bytes) -> None:
    """COPY the lanes of a chunk's records, where any has one (lines of position and lane)."""
    cursor.execute(_SQL["make_lanes"], prepare=False)
    cursor.execute("DELETE FROM lanes")
    with cursor.copy("COPY lanes (position, lane) FROM STDIN") as copy:
        copy.write(block)


def before_matching(cursor: Cursor[Any], charger_id: int, accepted: Accepted) -> None:
    """Take in stations that are not known, where they are accepted. The chunk is in ``incoming``."""
    if accepted["unknown_station"]:
        cursor.execute(_SQL["take_in_stations"], {"charger": charger_id}, prepare=False)


def after_matching(cursor: Cursor[Any], charger_id: int, accepted: Accepted) -> None:
    """Flag or refuse what matching shows; before the balances are locked."""
    if accepted["unknown_station"]:
        cursor.execute(_SQL["unknown_station"], {"charger": charger_id}, prepare=False)
    if not accepted["tag_plate_mismatch"]:
        cursor.execute(_SQL["mismatch"], prepare=False)
    cursor.execute("SELECT EXISTS (SELECT FROM vehicle_classes)")
    if cursor.fetchone() == (True,):
        cursor.execute(_SQL["wrong_class"], {"accepted": accepted["wrong_class"]}, prepare=False)


def without_doubles(
    cursor: Cursor[Any], charger_id: int, accepted: Accepted, now: dt.datetime, *, corrects: bool
) -> None:
    """Flag or refuse second reads of one passing (see doubles).

    Under the balances' locks: of two transactions with a read each the second sees the first's.
    """
    within = dt.timedelta(seconds=whole("double_read_seconds", business_date(now)))
    found = doubles.in_chunk(cursor, charger_id, within, corrects=corrects)
    if found:
        params = {"accepted": accepted["double_read"], "positions": list(found), "firsts": list(found.values())}
        cursor.execute(_SQL["doubles"], params, prepare=False)


def keep_lanes(cursor: Cursor[Any], charger_id: int) -> None:
    """Keep the lanes of the reads that are booked; when what is here already has left the chunk."""
    cursor.execute(_SQL["keep_lanes"], {"charger": charger_id}, prepare=False)
