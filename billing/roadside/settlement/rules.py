"""What a settlement comes to, and which days it is for. Nothing here knows a database or a clock."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from config.money import share

DAY = dt.timedelta(days=1)
PERIODS = ("week", "month")
STATES = ("draft", "agreed", "carried", "ordered", "paid")
ORDER_STATES = ("waiting", "released", "written", "paid", "rejected", "withdrawn")
DIFFERENCES = (
    "missing_here", "not_accepted", "amount_differs", "missing_there", "reversed_here", "other_period", "claimed_twice",
)  # fmt: skip


@dataclass(frozen=True)
class Period:
    """Whole Oslo days of arrival, the first and the last in it."""

    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"a period from {self.first} cannot end on {self.last}")


def periods(begins: dt.date, through: dt.date, kind: str) -> Iterator[Period]:
    """Yield the whole periods of ``kind`` (week, month) from ``begins`` that end by ``through``.

    The first one may begin within a week or month, and ends with it. Raises ValueError for another kind.
    """
    if kind not in PERIODS:
        raise ValueError(f"a settlement is for a {' or a '.join(PERIODS)}, not for a {kind}")
    while True:
        if kind == "week":
            last = begins + (6 - begins.weekday()) * DAY
        else:
            last = begins.replace(day=calendar.monthrange(begins.year, begins.month)[1])
        if last > through:
            return
        yield Period(begins, last)
        begins = last + DAY


@dataclass(frozen=True)
class Sums:
    """What arrived for a project or a charger: accepted, and taken back (positive)."""

    accepted_count: int = 0
    accepted_ore: int = 0
    reversed_count: int = 0
    reversed_ore: int = 0

    @property
    def net_ore(self) -> int:
        """Return what is owed for it."""
        return self.accepted_ore - self.reversed_ore

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.accepted_count + other.accepted_count,
            self.accepted_ore + other.accepted_ore,
            self.reversed_count + other.reversed_count,
            self.reversed_ore + other.reversed_ore,
        )


@dataclass(frozen=True)
class Due:
    """What is kept of a claim and what is paid out. All of them are negative where the claim is."""

    remuneration_ore: int
    remuneration_vat_ore: int
    payout_ore: int


def due(claim_ore: int, *, remuneration_bp: int, vat_bp: int, brought_ore: int) -> Due:
    """Return what a claim comes to: the remuneration is rounded once, on the whole of it, half away from zero.

    ``brought_ore`` (≤ 0) is what the settlement before lacked. A claim of −x mirrors one of x.
    """
    remuneration = share(claim_ore, remuneration_bp)
    vat = share(remuneration, vat_bp)
    return Due(remuneration, vat, claim_ore - remuneration - vat + brought_ore)
