"""The forms of lists: each a small module that writes a heading and rows as bytes, streaming.

A form is a ``Form``; ``FORMS`` says in which module each is, loaded when a charger's list needs it. Beside our own JSON
Lines (``jsonl``) stands ISO 12855, among the formats of records.
"""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from billing.roadside.lists.rows import Row


@dataclass(frozen=True)
class Heading:
    """What a list says of itself. ``version`` is 0 on one that is only looked at, and has no number. ``follows`` is the
    version an incremental one builds on."""

    charger: str
    list_type: str
    version: int
    kind: str
    made_at: dt.datetime

    @property
    def follows(self) -> int | None:
        """Return the version that this one changes; None for a full one."""
        return self.version - 1 if self.kind == "incremental" else None


@dataclass(frozen=True)
class Form:
    """A form: the end of its files' names, its media type, and what writes it."""

    suffix: str
    media_type: str
    render: Callable[[Heading, Iterable[Row]], Iterator[bytes]]


FORMS = {
    "jsonl": "billing.roadside.lists.jsonl:FORM",
    "iso12855": "billing.roadside.lists.iso12855:FORM",
}
"""Name (``chargers.list_format``) → module and name of its Form."""


def form(name: str) -> Form:
    """Return the form of a name."""
    module, _, attribute = FORMS[name].partition(":")
    found: Form = getattr(importlib.import_module(module), attribute)
    return found
