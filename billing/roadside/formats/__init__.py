"""Formats of records and of the answers to them (docs/formats.md), behind one interface: ``form.Format``.

A parser costs nothing but its own record when a record is broken; it raises ``BrokenFile`` when what follows
could not be told apart. To add one: write a module with a ``FORMAT`` and name it in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from billing.roadside.formats import csv_rows, iso12855, json_array, json_lines
from billing.roadside.formats.broken import BrokenFile
from billing.roadside.formats.form import Answered, Format, Head

__all__ = ["FORMATS", "MEDIA", "Answered", "BrokenFile", "Format", "Head", "by_name"]

FORMATS: Mapping[str, Format] = {
    one.name: one for one in (json_lines.FORMAT, json_array.FORMAT, csv_rows.FORMAT, iso12855.FORMAT)
}

MEDIA: Mapping[str, str] = {media: one.name for one in FORMATS.values() for media in one.media}
"""Formats' names by the media type of a request."""

_SUFFIXES = {suffix: one.name for one in FORMATS.values() for suffix in one.suffixes}


def by_name(path: Path) -> str | None:
    """Return the format a file's name says, or None."""
    return _SUFFIXES.get(path.suffix.lower())
