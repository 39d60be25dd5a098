"""What every message of the profile has: the namespace, the limits, who is who, and the header."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cache

from config import settings

NAMESPACE = "urn:brikke:iso12855:1"
"""Ours: the shapes are those of ISO 12855, the names and limits are this profile's (docs/formats/iso12855.md)."""

PIECE = 64 * 1024
"""Bytes read and parsed at a time. All limits below are held after each piece, so memory is bounded by their sum."""

LONGEST_RECORD = 16 * 1024
"""Bytes of a struct that is looked into; a sound passage has under 2 KiB. A longer one is refused by itself."""

LARGEST_STRUCT = 256 * 1024
"""Bytes of a struct whose end we look for at all. Beyond it nobody can say what is whose: the file is refused. It
bounds depth too: elements in each other inside a struct cannot be more than a third of it."""

LONGEST_TAG = 64 * 1024
"""Bytes of one tag or other mark of XML: a parser must hold it as a whole, and look at it again for each piece."""

LONGEST_HEADER = 64 * 1024
"""Bytes before the end of the header, comments before the root included."""

DEEPEST_HEADER = 8
"""Elements in each other down to the header's: it has four."""

HOME = "NO"
_PROVIDER = re.compile(r"(?:([A-Z]{2}):)?([^\s:<&]{1,40})")


@dataclass(frozen=True)
class Provider:
    """A charger or issuer. As text it is its identifier; one that is not Norwegian has its country before a colon."""

    country: str
    identifier: str

    def __str__(self) -> str:
        return self.identifier if self.country == HOME else f"{self.country}:{self.identifier}"

    @staticmethod
    def read(text: str) -> Provider:
        """Return the provider that a text such as ``FJELL`` or ``DK:SUND`` names. Raises ValueError."""
        found = _PROVIDER.fullmatch(text)
        if found is None:
            raise ValueError("must be an identifier, or a country and an identifier such as DK:SUND")
        return Provider(found[1] or HOME, found[2])


@cache
def ourselves() -> Provider:
    """Return who we are in these messages: the setting ISSUER_ID."""
    return Provider.read(settings.load().issuer_id)


@dataclass(frozen=True)
class Header:
    """The header of a message (APCI). ``number`` counts the messages of ``sender`` by type; ``sender`` may send for
    another, whose message it is (``originator``). ``made_at`` is an instant, whole seconds of UTC."""

    originator: Provider
    sender: Provider
    recipient: Provider
    number: int
    kind: str
    structs: int
    made_at: dt.datetime
    related: int | None = None
