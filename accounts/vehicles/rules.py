"""What identifies a vehicle and a tag, and from when a change may count.

Shared with billing.roadside: a record's plate and PAN are read by the same functions as a customer's, or they
would never meet. Source: facts of the field (PAN of EN ISO 14906; Norwegian plates; foreign ones of any form).
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from config.checks import Wrong, refuse_unprintable
from config.clock import business_date, start_of_day

LONGEST_PLATE = 15
_HYPHENS = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d\u00ad")
_PRINTED = re.compile(r"[0-9A-Z]{4,30}")
_OBU = re.compile(r"[0-9A-F]{1,32}")
ISSUERS = Path(__file__).with_name("issuers.toml")
TAG_STATES: Mapping[str, frozenset[str]] = {
    "active": frozenset({"lost", "stolen", "returned"}),
    "lost": frozenset({"active", "stolen", "returned"}),
    "stolen": frozenset({"active", "lost", "returned"}),
    "returned": frozenset(),
}


def normalise_country(value: str) -> str:
    """Return the vehicle's country: two capital letters (ISO 3166 alpha-2). Raises Wrong."""
    kept = value.strip().upper()
    if not re.fullmatch(r"[A-Z]{2}", kept):
        raise Wrong("country", "must be two letters, such as NO")
    return kept


def normalise_plate(country: str, plate: str) -> str:
    """Return the plate as we key it: upper case, NFC, without spaces and hyphens; Æ Ø Å and foreign letters stay.

    No format is refused, whatever the country: personal, diplomatic and foreign plates look like anything.
    Raises Wrong for control or invisible characters, and when nothing or more than 15 characters are left.
    """
    if plate.isascii() and plate.isalnum() and len(plate) <= LONGEST_PLATE:
        return plate.upper()  # nearly all of them, and millions a day
    bare = plate.strip()
    refuse_unprintable(bare)
    kept = "".join(char for char in bare if not char.isspace() and char not in _HYPHENS)
    if any(unicodedata.category(char) == "Cf" for char in kept):
        raise Wrong("control_characters", "holds characters that cannot be seen")
    previous = None
    while kept != previous:  # "ŉ".upper() is two characters, which compose anew with what follows
        previous, kept = kept, unicodedata.normalize("NFC", unicodedata.normalize("NFC", kept).upper())
    if not any(unicodedata.category(char)[0] in "LN" for char in kept):
        raise Wrong("plate", "must have at least one letter or digit")
    if len(kept) > LONGEST_PLATE:
        raise Wrong("plate", f"must not have more than {LONGEST_PLATE} characters")
    return kept


def normalise_pan(value: str) -> str:
    """Return the PAN's 19 digits, without spaces and the pad F of its ten octets. Raises Wrong."""
    kept = value.replace(" ", "").upper()
    if len(kept) == 20:
        kept = kept.removesuffix("F")
    if len(kept) != 19 or not (kept.isascii() and kept.isdigit()):
        raise Wrong("pan", "must have 19 digits, with or without the pad F")
    return kept


def printed_number(value: str) -> str:
    """Return the number printed on a tag: capitals and digits, as a driver may type it. Raises Wrong."""
    kept = "".join(char for char in value.upper() if not char.isspace() and char not in _HYPHENS)
    if not _PRINTED.fullmatch(kept):
        raise Wrong("printed_number", "must have 4 to 30 digits or letters")
    return kept


def obu_id(value: str) -> str:
    """Return a tag's OBU id: up to 32 hexadecimal digits. Raises Wrong."""
    kept = value.replace(" ", "").upper()
    if not _OBU.fullmatch(kept):
        raise Wrong("obu_id", "must have 1 to 32 hexadecimal digits")
    return kept


@cache
def issuers(path: Path = ISSUERS) -> Mapping[str, str]:
    """Return the configured table of PAN prefix → who issues such tags."""
    table: Mapping[str, str] = tomllib.loads(path.read_text("utf-8"))["prefixes"]
    return table


def issuer_of(pan: str, table: Mapping[str, str]) -> str | None:
    """Return who issues tags of such a PAN by the longest known prefix, or None. A hint, never a check."""
    for length in range(len(pan), 0, -1):
        if pan[:length] in table:
            return table[pan[:length]]
    return None


def effective_at(day: dt.date | None, at: dt.datetime | None, now: dt.datetime, *, past: bool) -> dt.datetime:
    """Return the instant from which a change counts: ``at``, or the start of an Oslo ``day``, or now.

    Today counts from now, not from its beginning. An earlier instant or day only where ``past`` says so.
    Raises Wrong.
    """
    if day is not None and at is not None:
        raise Wrong("both", "give either a day or an instant")
    if at is None:
        if day is None or day == business_date(now):
            return now
        at = start_of_day(day)
    if at.tzinfo is None:
        raise Wrong("zone", "needs a time zone")
    if at < now and not past:
        raise Wrong("past", "must not lie in the past")
    return at.astimezone(dt.UTC)
