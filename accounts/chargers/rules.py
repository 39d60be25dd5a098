"""What a charger, a station and a project may be called."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum

from config.checks import Checks, Wrong

_CODE = re.compile(r"[A-Z0-9ÆØÅ][A-Z0-9ÆØÅ_-]{0,19}")
KINDS = ("toll", "ferry")
LISTS = ("none", "pull", "push")
LIST_TYPES = ("tags", "plates")
TAKEN_TYPES = ("both", *LIST_TYPES)
LIST_FORMATS = ("jsonl", "iso12855")
LONGEST_LATENCY = 7 * 24 * 60
"""Minutes: no charger needs more than a week to bring a list to its roadside."""


class Unsaid(Enum):
    """What nobody said anything of stays as it is."""

    UNSAID = "unsaid"


def place(
    checks: Checks,
    field: str,
    latitude: float | Decimal | Unsaid | None,
    longitude: float | Decimal | Unsaid | None,
) -> dict[str, Decimal | None]:
    """Return latitude and longitude as they are kept (degrees, six decimals: some centimetres); nothing where neither
    was said. What is wrong is noted under ``field`` and the name."""
    if isinstance(latitude, Unsaid) and isinstance(longitude, Unsaid):
        return {}
    values: dict[str, Decimal | None] = {}
    for name, given, most in (("latitude", latitude, 90), ("longitude", longitude, 180)):
        values[name] = None
        if given is None or isinstance(given, Unsaid):
            continue
        if not -most <= given <= most:  # NaN is not, either
            checks.note(f"{field}{name}", "range", f"must be from -{most} to {most} degrees")
        else:
            values[name] = round(Decimal(str(given)), 6)
    if (values["latitude"] is None) != (values["longitude"] is None) and not checks.errors:
        missing = "longitude" if values["longitude"] is None else "latitude"
        checks.note(f"{field}{missing}", "missing", "is needed: a place has latitude and longitude")
    return values


def charger_code(value: str) -> str:
    """Return the code files and tokens name a charger by: capitals, digits, _ and -, at most 20. Raises Wrong."""
    if not _CODE.fullmatch(value):
        raise Wrong("code", "must be 1 to 20 capital letters, digits, _ or -")
    return value


def kind(value: str) -> str:
    """Return the kind of a charger: toll or ferry. Raises Wrong."""
    if value not in KINDS:
        raise Wrong("kind", "must be toll or ferry")
    return value


def one_of(*known: str) -> Callable[[str], str]:
    """Return a check that a value is one of some words. It raises Wrong."""

    def check(value: str) -> str:
        if value not in known:
            raise Wrong("unknown", f"must be one of {', '.join(known)}")
        return value

    return check


def types_of(taken: str) -> tuple[str, ...]:
    """Return the list types of a charger that takes ``both`` or one of them."""
    return LIST_TYPES if taken == "both" else (taken,)


def told_sentence(status: str, version: int | None, at: dt.datetime) -> str:
    """Return what an answer says of a refused passage: what the charger had been told, by which list, since when.

    The SQL of matching (billing/passages/match.sql) writes the same.
    """
    when = at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%MZ")
    return f"{status}, published {when}" if version is None else f"{status}, list {version} acknowledged {when}"
