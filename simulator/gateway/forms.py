"""Stripe's request encoding: forms whose keys have brackets (`metadata[charge]=1`, `expand[0]=latest_charge`)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")
MAX_FIELDS = 500


class BadForm(ValueError):
    """A form that cannot be read as Stripe would."""


def decode(text: str) -> dict[str, Any]:
    """Return the form as nested dicts and lists; values stay text.

    >>> decode("a=1&m[x]=2&e[0]=p&e[]=q")
    {'a': '1', 'm': {'x': '2'}, 'e': ['p', 'q']}
    """
    root: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise BadForm(str(error)) from error
    for key, value in pairs:
        found = _KEY.match(key)
        if found is None:
            raise BadForm(f"cannot read the parameter {key!r}")
        _put(root, [found[1], *_PART.findall(found[2])], value, key)
    tidy: dict[str, Any] = {name: _tidy(value) for name, value in root.items()}
    return tidy


def _put(root: dict[str, Any], path: list[str], value: str, key: str) -> None:
    here = root
    for name in path[:-1]:
        here = here.setdefault(name or str(len(here)), {})
        if not isinstance(here, dict):
            raise BadForm(f"{key!r} is given as a value and as a group")
    last = path[-1] or str(len(here))
    if isinstance(here.get(last), dict):
        raise BadForm(f"{key!r} is given as a value and as a group")
    here[last] = value


def _tidy(value: Any) -> Any:
    """Groups with only numbers for names are lists."""
    if not isinstance(value, dict):
        return value
    if value and all(name.isdigit() for name in value):
        return [_tidy(value[name]) for name in sorted(value, key=int)]
    return {name: _tidy(inner) for name, inner in value.items()}
