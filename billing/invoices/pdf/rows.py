"""The rows of the passage table, and which of them stay together on a page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from billing.invoices import words
from billing.invoices.pdf.printing import amount, breakable, rate
from billing.invoices.presentation import DocumentView, Language, PassageRow

OSLO = ZoneInfo("Europe/Oslo")
KEEP = 3
"""So many of the first rows, and of the last ones with the sum, stay together: no page holds one alone."""


def in_order(view: DocumentView) -> list[PassageRow]:
    """Return the rows in the order they happened: a counter-row after what it takes back, a crossing's toll right after
    its fare."""
    begun: dict[int, datetime] = {}
    for row in view.passages:
        if row.journey:
            begun[row.journey] = min(begun.get(row.journey, row.at_local), row.at_local)
    return sorted(
        view.passages,
        key=lambda row: (begun.get(row.journey, row.at_local), row.kind == "reversal", row.journey, row.service),
    )


def joined(rows: Sequence[PassageRow]) -> list[bool]:
    """Say of each row whether the next one is of the same crossing: no line is drawn between them."""
    return [row.journey > 0 and row.journey == after.journey for row, after in pairwise(rows)] + [False] * bool(rows)


def groups(together: Sequence[bool]) -> list[int]:
    """Return how many rows stay together, group after group, from ``joined``; the sum goes with the last group."""
    count = len(together)
    first, last = KEEP, count - KEEP
    while first < count and together[first - 1]:
        first += 1
    while last > 0 and together[last - 1]:
        last -= 1
    if first > last:
        return [count] if count else []
    sizes, size = [first], 0
    for row in range(first, last):
        size += 1
        if not together[row]:
            sizes.append(size)
            size = 0
    return [*sizes, count - last]


def passage_rows(view: DocumentView, rows: Sequence[PassageRow]) -> list[list[str]]:
    """Return the cells of each row."""
    label = words.LABELS[view.language]
    sums: dict[int, int] = defaultdict(int)
    for row in rows:
        sums[row.journey] += row.amount_ore
    return [
        [
            *_when(row.at_local, label),
            breakable(row.station),
            breakable(row.charger),
            breakable(row.plate),
            label[row.service],
            breakable(row.vehicle_class),
            _remarks(row, sums[row.journey], view.language),
            amount(row.gross_ore),
            amount(row.discount_ore) if row.discount_ore else "–",
            amount(row.amount_ore),
        ]
        for row in rows
    ]


def _when(at: datetime, label: Mapping[str, str]) -> tuple[str, str]:
    """Date and time; in the autumn hour that comes twice, also which of the two it was."""
    time = f"{at.hour:02d}:{at.minute:02d}"
    if at.month == 10 and at.hour == 2:
        wall = at.replace(tzinfo=OSLO, fold=0)
        if wall.utcoffset() != wall.replace(fold=1).utcoffset():
            time += " " + label["summer_time" if at.utcoffset() == wall.utcoffset() else "winter_time"]
    return f"{at.day:02d}.{at.month:02d}.{at.year}", time


def _remarks(row: PassageRow, journey_ore: int, language: Language) -> str:
    label = words.LABELS[language]
    said = [words.flag(language, key) for key in row.flags]
    if row.kind == "reversal" and not {"reversal", "correction", "credit"} & set(row.flags):
        said.insert(0, words.flag(language, "reversal"))
    if row.earlier:
        said.insert(0, label["earlier"])
    if row.journey and row.vat_bp:
        said.append(label["journey_fare"].format(rate=rate(row.vat_bp)))
    elif row.journey:
        said.append(label["journey_toll"].format(sum=amount(journey_ore)))
    if row.note:
        said.append(row.note)
    return breakable(" · ".join(said))
