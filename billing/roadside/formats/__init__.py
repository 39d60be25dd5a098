"""Formats of records (docs/formats.md). Each is one function: a stream of bytes in, ``Item``s out, in order.

A parser costs nothing but its own record when a record is broken; it raises ``BrokenFile`` when what follows
could not be told apart. To add one: write ``parse(stream) -> Iterator[Item]`` and name it in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from billing.passages.incoming import Item
from billing.roadside.formats import csv_rows, json_array, json_lines
from billing.roadside.formats.broken import BrokenFile

__all__ = ["FORMATS", "BrokenFile", "by_name"]

Parser = Callable[[BinaryIO], Iterator[Item]]

FORMATS: Mapping[str, Parser] = {"jsonl": json_lines.parse, "json": json_array.parse, "csv": csv_rows.parse}

_SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv"}


def by_name(path: Path) -> str | None:
    """Return the format a file's name says, or None."""
    return _SUFFIXES.get(path.suffix.lower())
