"""What this room must know of the agreement a vehicle is put on.

Agreements is the room above, so its table is named here as in the foreign keys: a few columns, read only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from config.problems import Conflict, NotFound

_COLUMNS = "id, number, customer_id, kind, operator, parent_id, standing, closed_at"


@dataclass(frozen=True)
class Holder:
    """An agreement, as far as vehicles and tags are concerned. Locked against being closed when ``lock`` was asked."""

    id: int
    number: int
    customer_id: int
    kind: str
    operator: str | None
    parent_id: int | None
    standing: str
    closed_at: dt.datetime | None

    def refuse_closing(self) -> None:
        """Raise Conflict when the agreement is closed or has a day on which it will be."""
        if self.closed_at is not None:
            raise Conflict(f"Agreement {self.number} is closed, or will be on a given day.", slug="agreement-closing")


def holder(session: Session, agreement_id: int, *, lock: bool = False) -> Holder:
    """Return the agreement of an id. With ``lock``, closing it waits for the caller. Raises NotFound."""
    return _one(session, "id", agreement_id, lock=lock)


def holder_by_number(session: Session, number: int) -> Holder:
    """Return the agreement of a number. Raises NotFound."""
    return _one(session, "number", number, lock=False)


def _one(session: Session, column: str, value: int, *, lock: bool) -> Holder:
    row = session.execute(
        text(f"SELECT {_COLUMNS} FROM agreements WHERE {column} = :value" + (" FOR SHARE" if lock else "")),  # noqa: S608 - no input in it
        {"value": value},
    ).one_or_none()
    if row is None:
        raise NotFound("There is no such agreement.")
    return Holder(*row)


def family(session: Session, agreement_id: int) -> Sequence[Holder]:
    """Return the agreement, the tag agreement it is additional to, and that one's ferry agreements."""
    rows = session.execute(
        text(
            f"SELECT {', '.join('a.' + name for name in _COLUMNS.split(', '))} FROM agreements a, "  # noqa: S608 - no input in it
            "(SELECT coalesce(parent_id, id) AS root FROM agreements WHERE id = :id) AS r "
            "WHERE a.id = r.root OR a.parent_id = r.root ORDER BY a.id"
        ),
        {"id": agreement_id},
    )
    return [Holder(*row) for row in rows]
