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

FAMILIES = (
    "SELECT f.parent_id AS agreement_id FROM matched AS m JOIN agreements AS f ON f.id = m.agreement_id "
    "WHERE m.code = 'accepted' AND f.parent_id IS NOT NULL"
)
"""Whose balances are locked too where reads have lanes: of one ferry passing the tag may lead to an additional
agreement and the plate to its tag agreement, and who books one must see the other."""

Accepted = Mapping[Oddity, bool]


def agreed(cursor: Cursor[Any], charger_id: int) -> dict[Oddity, bool]:
    """Return which oddities are accepted from a charger."""
    cursor.execute("SELECT oddity, accepted FROM charger_oddities WHERE charger_id = %s", (charger_id,))
    return accepted_by(cursor.fetchall())


def make_lanes(cursor: Cursor[Any]) -> None:
    """Make this connection's temporary table ``lanes``, or empty the one it has."""
    cursor.execute(_SQL["make_lanes"], prepare=False)
    cursor.execute("DELETE FROM lanes")


def take_in_lanes(cursor: Cursor[Any], block: bytes) -> None:
    """COPY the lanes of a chunk's records, where any has one (lines of position and lane)."""
    make_lanes(cursor)
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


def lanes_as_sent(cursor: Cursor[Any], charger_id: int) -> bool:
    """Fill ``lanes`` with those of records that are decided anew; return whether any has one."""
    make_lanes(cursor)
    cursor.execute(_SQL["lanes_as_sent"], {"charger": charger_id}, prepare=False)
    return cursor.rowcount > 0


def lanes_of_corrections(cursor: Cursor[Any], charger_id: int) -> bool:
    """Give adjustments that name no lane that of what they adjust; return whether any has got one. After ``judge``."""
    cursor.execute(_SQL["lanes_of_corrections"], prepare=False)
    cursor.execute(_SQL["lanes_adjusted"], {"charger": charger_id}, prepare=False)
    return cursor.rowcount > 0


def _within(now: dt.datetime) -> dt.timedelta:
    return dt.timedelta(seconds=whole("double_read_seconds", business_date(now)))


def without_doubles(
    cursor: Cursor[Any],
    charger_id: int,
    accepted: Accepted,
    now: dt.datetime,
    *,
    corrects: bool,
    again: bool = False,
) -> None:
    """Flag or refuse second reads of one passing (see doubles).

    Under the balances' locks: of two transactions with a read each the second sees the first's.
    """
    found = doubles.in_chunk(cursor, charger_id, _within(now), corrects=corrects, again=again)
    if found:
        params = {"accepted": accepted["double_read"], "positions": list(found), "firsts": list(found.values())}
        cursor.execute(_SQL["doubles"], params, prepare=False)
        cursor.execute(_SQL["firsts"], params, prepare=False)


def keep_lanes(cursor: Cursor[Any], charger_id: int, *, said: bool = False) -> bool:
    """Keep the lanes of the reads that are booked, and whose doubles those are that are refused; when what is here
    already has left the chunk. ``said``: that doubles which are booked are passings all the same, by a person. Return
    whether there are doubles whose read stands no more already."""
    cursor.execute(_SQL["keep_lanes"], {"charger": charger_id, "said": said}, prepare=False)
    cursor.execute(_SQL["refused_doubles"], prepare=False)
    refused = cursor.fetchall()
    if not refused:
        return False
    names, firsts = [row[0] for row in refused], [row[1] for row in refused]
    cursor.execute(_SQL["stand"], {"charger": charger_id, "names": sorted(set(firsts))}, prepare=False)
    standing = [row[0] for row in cursor.fetchall()]
    params = {"charger": charger_id, "doubles": names, "firsts": firsts, "standing": standing}
    cursor.execute(_SQL["keep_doubles"], params, prepare=False)
    return not set(firsts) <= set(standing)


def keep_apart(cursor: Cursor[Any], charger_id: int, now: dt.datetime) -> None:
    """Note that the doubles which are booked are passings of their own, as a person says; before ``keep_lanes``."""
    cursor.execute(_SQL["keep_apart"], {"charger": charger_id, "within": _within(now)}, prepare=False)


def keep_lanes_of_refused(cursor: Cursor[Any], charger_id: int, batch_id: int | None) -> None:
    """Keep the lanes of records that are not booked, with what else was sent. Their records are written: in this batch,
    or, without one, before."""
    cursor.execute(_SQL["refused"], prepare=False)
    refused = cursor.fetchall()
    if refused:  # by their ids, whatever is believed of how many there are
        names, positions, lanes = (list(column) for column in zip(*refused, strict=True))
        params = {"charger": charger_id, "batch": batch_id, "names": names, "positions": positions, "lanes": lanes}
        cursor.execute(_SQL["lanes_of_refused"], params, prepare=False)


def keep_mismatches(cursor: Cursor[Any], charger_id: int) -> None:
    """Note the records that are refused because their tag is in another vehicle; where they are."""
    cursor.execute(_SQL["keep_mismatches"], {"charger": charger_id}, prepare=False)
