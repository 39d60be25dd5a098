"""What stands on an envelope: checked lines, or why there are none. Pure.

Norwegian addresses as Posten has them: four digits and the town in capitals on the last line, no country. Others as the
Universal Postal Union recommends: town in capitals, and the country's name in English, in capitals, on a line of its
own at the end. Nothing is ever cut: what does not fit is a bad address, which support mends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from babel import Locale

from billing.delivery.avtalegiro.latin import UNKNOWN, written

LONGEST = 40
"""Characters of a line: what the window of an envelope shows."""
MOST_LINES = 6
DOMESTIC = ("NO", "SJ")
"""Posten delivers on Svalbard and Jan Mayen as on the mainland."""
_CODE_LAST = ("AU", "CA", "IN", "JP", "NZ", "SG", "TH", "US")
_CODE_BELOW = ("GB", "IE", "GG", "JE", "IM")
_NAMES = {"HK": "HONG KONG", "MO": "MACAO", "US": "UNITED STATES OF AMERICA", "MM": "MYANMAR"}


class BadAddress(ValueError):
    """No letter can be sent there; the message is a code: no_name, no_street, no_city, postal_code, country,
    characters, line_too_long."""


@dataclass(frozen=True)
class Place:
    """An address as a customer has it; ``country`` is ISO 3166 alpha-2."""

    name: str
    street: str
    postal_code: str
    city: str
    country: str


def lines(place: Place) -> tuple[str, ...]:
    """Return the lines of an envelope, the name first, in ISO-8859-1. Raises BadAddress."""
    name, street, city = (_plain(text) for text in (place.name, place.street, place.city))
    for text, why in ((name, "no_name"), (street, "no_street"), (city, "no_city")):
        if not re.search(r"\w", text):
            raise BadAddress(why)
    code, town = _plain(place.postal_code), _plain(city.upper())  # capitals can be letters that the printer lacks: ÿ
    found = [*_name_lines(name), street]
    if place.country in DOMESTIC:
        if not re.fullmatch(r"[0-9]{4}", code) or code == "0000":
            raise BadAddress("postal_code")
        found.append(f"{code} {town}")
    else:
        found += _abroad(place.country, code, town)
    if len(found) > MOST_LINES or any(len(line) > LONGEST for line in found):
        raise BadAddress("line_too_long")
    return tuple(found)


def _abroad(country: str, code: str, city: str) -> list[str]:
    named = country_name(country)
    if country in _CODE_BELOW and code:
        return [city, code, named]
    if country in _CODE_LAST:
        return [f"{city} {code}".strip(), named]
    return [f"{code} {city}".strip(), named]


@cache
def country_name(country: str) -> str:
    """Return a country's name in English, in capitals. Raises BadAddress."""
    name = _NAMES.get(country) or Locale("en").territories.get(country)
    if not re.fullmatch(r"[A-Z]{2}", country) or name is None:
        raise BadAddress("country")
    return _plain(name.upper())


def _name_lines(name: str) -> list[str]:
    """Return a name on one line, or on two where it is long and has a space to break at."""
    if len(name) <= LONGEST:
        return [name]
    at = name.rfind(" ", 0, LONGEST + 1)
    rest = name[at + 1 :]
    if at <= 0 or len(rest) > LONGEST:
        raise BadAddress("line_too_long")
    return [name[:at], rest]


def _plain(text: str) -> str:
    """Return text as the printer has it, on one line: letters it lacks are written another way."""
    made = written(text)
    if any(UNKNOWN in to for _, to in made.changed):
        raise BadAddress("characters")
    return " ".join(made.text.split())
