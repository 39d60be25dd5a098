"""Invoice numbers: gapless, in blocks, taken last.

Taking a block locks the series until the transaction ends, and a rolled back transaction gives it back: that is what
makes the series gapless, and why it is the last thing a transaction does.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

Series = Literal["invoice"]

FIRST = 100_000_001
LAST = 999_999_999
"""Nine digits: what the KID has room for."""


class SeriesFull(RuntimeError):
    """A series has no numbers left."""


def take(session: Session, series: Series, count: int) -> int:
    """Take ``count`` (> 0) consecutive numbers of a series and return the first of them. Raises SeriesFull."""
    if count < 1:
        raise ValueError("a block holds at least one number")
    after: int = session.execute(
        text(
            "INSERT INTO number_series (series, next_number) VALUES (:series, :first + :count) ON CONFLICT (series) "
            "DO UPDATE SET next_number = number_series.next_number + :count RETURNING next_number"
        ),
        {"series": series, "first": FIRST, "count": count},
    ).scalar_one()
    if after - 1 > LAST:
        raise SeriesFull(f"the series {series} ends at {LAST}")
    return after - count
