"""Preview: what a run would invoice now, whom, how much, and what looks odd. It writes nothing.

It is a reading of the balances as they stand: what arrives after the run's cut-off, a part of a backlog and disputed
passages are in it though the run leaves them out, so it is at most a little too high.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing.invoices import rules
from billing.invoices.candidates import CANDIDATES, LAST, Kind, figures
from billing.invoices.models import Run
from config.rates import whole

SHOWN = 20
RUNS = 3
"""What is usual is the mean of so many runs."""


@dataclass(frozen=True)
class Large:
    """One of the largest invoices to be: the agreement's number, its holder's name, øre."""

    agreement: int
    name: str
    ore: int


@dataclass(frozen=True)
class Preview:
    """What would be issued. ``below_zero``: credit notes; ``carried``: sums under the smallest invoice; ``large``: how
    many large invoices; ``usual_ore``: the mean of the last runs, None without any; ``odd``: see `rules.odd`."""

    for_date: dt.date
    invoices: int
    sum_ore: int
    carried: int
    below_zero: int
    large: int
    usual_ore: int | None
    odd: tuple[str, ...]
    largest: tuple[Large, ...] = ()


_SUMS = f"""
    WITH c AS (SELECT b.unbilled_ore AS ore, {LAST} AS last {CANDIDATES}),
    d AS (SELECT ore, ore >= CASE WHEN last THEN 1 ELSE :minimum END AS due FROM c)
    SELECT count(*) FILTER (WHERE due) AS invoices, coalesce(sum(ore) FILTER (WHERE due), 0)::bigint AS ore,
           count(*) FILTER (WHERE NOT due AND ore > 0) AS carried, count(*) FILTER (WHERE ore <= 0) AS below_zero,
           count(*) FILTER (WHERE due AND ore >= :large) AS large
    FROM d
"""  # noqa: S608 - SQL of ours
_LARGEST = f"""
    SELECT number, name, ore FROM (
        SELECT a.number, k.name, b.unbilled_ore AS ore
        {CANDIDATES.replace("JOIN balances", "JOIN customers AS k ON k.id = a.customer_id JOIN balances")}
    ) AS c WHERE ore > 0 ORDER BY ore DESC, number LIMIT :shown
"""  # noqa: S608 - SQL of ours


def preview(session: Session, kind: Kind, for_date: dt.date, cutoff: dt.datetime, *, largest: bool = True) -> Preview:
    """Return what a run of a kind for an Oslo date would do now; ``largest``: with the largest invoices."""
    values = {"minimum": whole("invoice_minimum_ore", for_date), "large": whole("invoice_large_ore", for_date)}
    params = {**values, **figures(kind, for_date, cutoff), "shown": SHOWN}
    row = session.execute(text(_SUMS), params).one()
    usual = _usual(session, kind, for_date)
    found = rules.odd(
        sum_ore=row.ore,
        invoices=row.invoices,
        large=row.large,
        usual_ore=usual,
        least_ore=whole("invoice_odd_least_ore", for_date),
        factor_bp=whole("invoice_odd_factor_bp", for_date),
        share_bp=whole("invoice_odd_share_bp", for_date),
    )
    rows: Sequence[Large] = (
        [Large(one.number, one.name, one.ore) for one in session.execute(text(_LARGEST), params)] if largest else []
    )
    return Preview(
        for_date, row.invoices, row.ore, row.carried, row.below_zero, row.large, usual, tuple(found), tuple(rows)
    )


def _usual(session: Session, kind: Kind, for_date: dt.date) -> int | None:
    sums = session.scalars(
        select(Run.sum_ore)
        .where(Run.kind == kind, Run.state == "done", Run.for_date < for_date)
        .order_by(Run.for_date.desc())
        .limit(RUNS)
    ).all()
    return sum(sums) // len(sums) if sums else None
