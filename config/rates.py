"""Dated figures: read once from ``rates.toml``, looked up by business date.

Each figure has a name and entries of (from, value, source). Rules take the figures as arguments; verbs look
them up here with their ``now``.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("rates.toml")


@dataclass(frozen=True)
class Figure:
    """One dated value: in force from ``since`` (Oslo date) until the next entry of its name."""

    since: dt.date
    value: Any
    source: str


class UnknownFigure(LookupError):
    """No figure of that name is in force on that date."""


@cache
def figures(path: Path = PATH) -> dict[str, tuple[Figure, ...]]:
    """Return all figures by name, oldest first. Raises ValueError where an entry lacks date, value or source."""
    table = tomllib.loads(path.read_text("utf-8"))
    result = {}
    for name, entries in table.items():
        rows = []
        for entry in entries:
            if set(entry) != {"from", "value", "source"}:
                raise ValueError(f"rates.toml: {name}: each entry has from, value and source, and nothing else")
            rows.append(Figure(entry["from"], entry["value"], entry["source"]))
        rows.sort(key=lambda row: row.since)
        if len({row.since for row in rows}) != len(rows):
            raise ValueError(f"rates.toml: {name}: two entries from the same date")
        result[name] = tuple(rows)
    return result


def figure(name: str, on: dt.date) -> Any:
    """Return the value of a figure in force on a business date. Raises UnknownFigure."""
    value: Any = None
    found = False
    for row in figures().get(name, ()):
        if row.since <= on:
            value, found = row.value, True
    if not found:
        raise UnknownFigure(f"no figure {name} in force on {on}")
    return value


def whole(name: str, on: dt.date) -> int:
    """Return a figure that is a whole number (øre, basis points or days)."""
    value = figure(name, on)
    if not isinstance(value, int):
        raise TypeError(f"rates.toml: {name} is not a whole number")
    return value


def wholes(name: str, on: dt.date) -> tuple[int, ...]:
    """Return a figure that is a list of whole numbers."""
    return tuple(int(value) for value in figure(name, on))
