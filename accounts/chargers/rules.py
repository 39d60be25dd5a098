"""What a charger, a station and a project may be called."""

from __future__ import annotations

import re

from config.checks import Wrong

_CODE = re.compile(r"[A-Z0-9ÆØÅ][A-Z0-9ÆØÅ_-]{0,19}")
KINDS = ("toll", "ferry")


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
