"""What a document says in figures: lines, VAT, due date. Pure; the only place where a document's VAT is split."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from config.bankdays import on_or_after
from config.money import net_of_gross, spread

TEMPLATE = 1
"""Version of the page that documents are issued with now (`pdf/invoice.typ`)."""


@dataclass(frozen=True, slots=True)
class Gross:
    """What a line sums up: one service of one vehicle at one VAT rate. Øre, VAT included; may be negative."""

    kind: str
    country: str | None
    plate: str | None
    vat_bp: int
    count: int
    gross_ore: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a document: its gross as summed, and the net and VAT in it (net + VAT = gross)."""

    kind: str
    country: str | None
    plate: str | None
    vat_bp: int
    count: int
    gross_ore: int
    net_ore: int
    vat_ore: int


def due_date(issued_on: dt.date, term_days: int) -> dt.date:
    """Return the due date: so many days after issue, moved to the next bank day where banks are closed."""
    return on_or_after(issued_on + dt.timedelta(days=term_days))


def split(parts: Sequence[Gross]) -> list[Line]:
    """Split the VAT out of a document's lines, in their order.

    Per rate the gross sum G is fixed and its net is round(G·100 ÷ (100 + r)); the lines' nets add up to that by
    running remainder (config.money). The same for −x as for x, so that a credit note mirrors its invoice.
    """
    nets: dict[int, Iterator[int]] = {}
    for rate in {part.vat_bp for part in parts}:
        sums = [part.gross_ore for part in parts if part.vat_bp == rate]
        nets[rate] = iter(spread(net_of_gross(sum(sums), rate), sums))
    lines = []
    for part in parts:
        net = next(nets[part.vat_bp])
        lines.append(
            Line(
                part.kind,
                part.country,
                part.plate,
                part.vat_bp,
                part.count,
                part.gross_ore,
                net,
                part.gross_ore - net,
            )
        )
    return lines
