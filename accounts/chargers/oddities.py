"""What is agreed with a charger on records that are odd: accepted with a flag, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger, ChargerOddity

Oddity = Literal["too_old", "unknown_station", "tag_plate_mismatch", "wrong_class", "double_read"]
ODDITIES: tuple[Oddity, ...] = get_args(Oddity)

BY_DEFAULT: Mapping[Oddity, bool] = {
    "too_old": False,
    "unknown_station": False,
    "tag_plate_mismatch": True,
    "wrong_class": True,
    "double_read": False,
}


def accepted_by(rows: Iterable[tuple[str, bool]]) -> dict[Oddity, bool]:
    """Return which oddities are accepted, from what is agreed (oddity, accepted) and the default."""
    agreed = dict(rows)
    return {oddity: agreed.get(oddity, usual) for oddity, usual in BY_DEFAULT.items()}


def oddities(session: Session, charger: Charger) -> dict[Oddity, bool]:
    """Return which oddities are accepted from a charger."""
    query = select(ChargerOddity.oddity, ChargerOddity.accepted).where(ChargerOddity.charger_id == charger.id)
    return accepted_by((row.oddity, row.accepted) for row in session.execute(query))


def keep_oddities(session: Session, charger: Charger, given: Mapping[str, bool]) -> dict[Oddity, bool]:
    """Write what is agreed of the oddities given; the others stay as they are. Counts for what arrives from now on."""
    rows = [
        {"charger_id": charger.id, "oddity": oddity, "accepted": given[oddity]}
        for oddity in ODDITIES
        if oddity in given
    ]
    if rows:
        statement = insert(ChargerOddity)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["charger_id", "oddity"], set_={"accepted": statement.excluded.accepted}
            ),
            rows,
        )
    return oddities(session, charger)
