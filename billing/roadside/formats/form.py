"""What a format is: how a file is looked over, read, and answered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from billing.passages.incoming import Answer, Item


@dataclass(frozen=True)
class Head:
    """What a file says of itself; None where it does not say.

    ``number`` counts the files of ``sender``, who may send for another (``originator``: whose records they are).
    ``records`` is how many there must be.
    """

    number: int | None = None
    sender: str | None = None
    originator: str | None = None
    records: int | None = None


@dataclass(frozen=True)
class Answered:
    """A batch whose answers are written: what an answer file must say beside the answers."""

    batch_id: int
    charger: str
    name: str
    head: Head
    received_at: dt.datetime
    """Business instant; the same whenever the file is written again."""
    counts: Mapping[str, int] = field(default_factory=dict)
    sums: Mapping[str, int] = field(default_factory=dict)
    """Records and their øre by answer code."""
    amends: int | None = None
    """The batch whose answers these take the place of, where they were decided anew."""


@dataclass(frozen=True)
class Format:
    """A format of files of records.

    ``check`` looks a whole file over before anything of it is booked and returns its head; it raises BrokenFile for
    one that was cut off, or cannot be read to its end. ``parse`` yields its records in order, broken ones as faults;
    it gets the stream from its beginning. ``answers`` yields the pieces of the answer file, the same for the same
    answers. ``answer_suffix`` and ``answer_type`` are of that file.
    """

    name: str
    suffixes: tuple[str, ...]
    media: tuple[str, ...]
    check: Callable[[BinaryIO], Head]
    parse: Callable[[BinaryIO], Iterator[Item]]
    answers: Callable[[Answered, Iterable[list[Answer]]], Iterator[bytes]]
    answer_suffix: str = ".answers.jsonl"
    answer_type: str = "application/x-ndjson"
