"""Why a channel was chosen, passed over, or did not carry a document, said to people: `choice_words.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

TEXTS = Path(__file__).with_name("choice_words.toml")
LANGUAGES = ("nb", "en")


@cache
def _texts() -> Mapping[str, Mapping[str, list[str]]]:
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))


def known(why: str) -> bool:
    """Return whether there are words for a code."""
    return _pair(why) is not None


def say(why: str, language: str) -> str:
    """Return what a code means, in ``nb`` or ``en``; what a partner said in its own words is returned as it is."""
    found = _pair(why)
    if found is None:
        return why
    pair, code = found
    return pair[LANGUAGES.index(language)].format(code=code)


def _pair(why: str) -> tuple[list[str], str] | None:
    texts = _texts()
    if why in texts["codes"]:
        return texts["codes"][why], ""
    fits = [start for start in texts["families"] if why.startswith(start)]
    if not fits:
        return None
    longest = max(fits, key=len)
    return texts["families"][longest], why[len(longest) :]
