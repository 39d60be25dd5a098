"""What a document says in figures: lines, VAT, due date. Pure; the only place where a document's VAT is split."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import NamedTuple

from config.bankdays import on_or_after
from config.money import net_of_gross

TEMPLATE = 2
"""Version of the page that documents are issued with now (`pdf/invoice.typ`)."""


class Gross(NamedTuple):
    """What a line sums up: one service of one vehicle at one VAT rate. Øre, VAT included; may be negative."""

    kind: str
    country: str | None
    plate: str | None
    vat_bp: int
    passages: int
    gross_ore: int


class Line(NamedTuple):
    """A line of a document: its gross as summed, and the net and VAT in it (net + VAT = gross)."""

    kind: str
    country: str | None
    plate: str | None
    vat_bp: int
    passages: int
    gross_ore: int
    net_ore: int
    vat_ore: int


FEWEST = 20
"""Invoices of a run from which on shares of them say something."""


def odd(
    *, sum_ore: int, invoices: int, large: int, usual_ore: int | None, least_ore: int, factor_bp: int, share_bp: int
) -> list[str]:
    """Return what looks odd of what a run would invoice: ``sum``, ``large``; empty when nothing does.

    ``sum``: it is above ``least_ore`` and more than ``factor_bp`` of what is usual (the mean of the last runs; None
    without any). ``large``: more than ``share_bp`` of its invoices are large ones.
    """
    found = []
    if usual_ore and sum_ore > least_ore and sum_ore * 10_000 > usual_ore * factor_bp:
        found.append("sum")
    if invoices >= FEWEST and large * 10_000 > invoices * share_bp:
        found.append("large")
    return found


def due_date(issued_on: dt.date, term_days: int) -> dt.date:
    """Return the due date: so many days after issue, moved to the next bank day where banks are closed."""
    return on_or_after(issued_on + dt.timedelta(days=term_days))


def split(parts: Iterable[Gross]) -> list[Line]:
    """Split the VAT out of a document's lines, in their order.

    Per rate the gross sum G is fixed and its net is round(G·100 ÷ (100 + r)). A line's net is what it adds to the net
    of the sum so far, so that the lines' nets add up to it. The same for −x as for x: a credit note mirrors its
    invoice. Every line is within an øre of its own net.
    """
    gross_so_far: dict[int, int] = {}
    net_so_far: dict[int, int] = {}
    lines = []
    for part in parts:
        rate = part.vat_bp
        gross = gross_so_far.get(rate, 0) + part.gross_ore
        net = net_of_gross(gross, rate) if rate else gross
        own = net - net_so_far.get(rate, 0)
        gross_so_far[rate], net_so_far[rate] = gross, net
        lines.append(Line(*part, own, part.gross_ore - own))
    return lines
