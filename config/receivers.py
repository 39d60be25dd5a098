"""Rulebooks of receivers: read once from ``receivers.toml``, looked up by organisation number."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from config.values import organisation

PATH = Path(__file__).with_name("receivers.toml")
_FIELDS = {"name", "organisations", "source", "partial_credit", "payout"}


@dataclass(frozen=True)
class Rulebook:
    """What a receiver demands.

    ``partial_credit``: whether a correction may be a credit line on the next invoice. ``payout``: whether what we owe
    is paid out when asked for, not only set off.
    """

    name: str = ""
    partial_credit: bool = True
    payout: bool = True
    source: str = ""


@cache
def rulebooks(path: Path = PATH) -> dict[str, Rulebook]:
    """Return all rulebooks by organisation number.

    Raises ValueError for a number that cannot be or has two rulebooks, a rule that there is none of, and an entry
    without name, organisations or source.
    """
    result: dict[str, Rulebook] = {}
    for key, entry in tomllib.loads(path.read_text("utf-8")).items():
        if not {"name", "source", "organisations"} <= set(entry) <= _FIELDS:
            raise ValueError(f"receivers.toml: {key} has name, organisations, source, and rules that there are")
        book = Rulebook(**{name: value for name, value in entry.items() if name != "organisations"})
        for number in entry["organisations"]:
            try:
                known = organisation(number)
            except ValueError as error:
                raise ValueError(f"receivers.toml: {key}: {number} {error}") from None
            if known in result:
                raise ValueError(f"receivers.toml: {number} has two rulebooks")
            result[known] = book
    return result


def rulebook(org_no: str | None) -> Rulebook:
    """Return the rulebook of an organisation; one without its own has the defaults."""
    return rulebooks().get(org_no or "", Rulebook())


def without_partial_credit() -> frozenset[str]:
    """Return the organisation numbers whose rulebook takes no credit line."""
    return frozenset(number for number, book in rulebooks().items() if not book.partial_credit)
