"""How text, sums and dates are printed: only what the font draws, and Norwegian in both languages (1 234,50 and
dd.mm.yyyy), since they are typed into Norwegian banks and both languages of a document must read the same."""

from __future__ import annotations

import unicodedata
from datetime import date
from functools import lru_cache

from babel.dates import format_date
from babel.numbers import format_decimal, get_decimal_symbol, get_group_symbol, get_minus_sign_symbol

from billing.invoices.presentation import Language

LOCALE = "nb_NO"
LONGEST_TEXT = 400  # characters of one text; more than any name or note needs, less than what fills a page
LONGEST_WORD = 24  # a longer one is allowed to break, else it would run out of its column

# What the template's font draws. PDF/A forbids a glyph that is missing, so the rest is replaced before it
# gets there. A test prints every character of every range.
PRINTABLE = (
    (0x0020, 0x007E),
    (0x00A0, 0x00AC),
    (0x00AE, 0x024F),  # Latin, with all of Norwegian, Sámi and the neighbours
    (0x0300, 0x036F),
    (0x0388, 0x038A),
    (0x038E, 0x03A1),
    (0x03A3, 0x0482),  # Greek, Cyrillic
    (0x048A, 0x04FF),
    (0x1E00, 0x1EFF),
    (0x2010, 0x2015),
    (0x2018, 0x2026),
    (0x202F, 0x203A),
    (0x20A0, 0x20C0),
    (0x2190, 0x2199),
    (0x2212, 0x2212),
    (0x25A0, 0x25A1),
)
MISSING = "□"
BREAK = "\u200b"

_DECIMAL = get_decimal_symbol(LOCALE)
_GROUP = get_group_symbol(LOCALE)
_MINUS = get_minus_sign_symbol(LOCALE)


def printable(text: str) -> str:
    """Return `text` with only what the font can draw: composed, on one line, of bounded length.

    Control, direction and joining characters go (a name must not be able to turn the line around); a letter
    without a glyph becomes its plain form where it has one, else □.
    """
    text = unicodedata.normalize("NFC", text[:LONGEST_TEXT])
    return "".join(_drawn(char) for char in " ".join(text.split()))


@lru_cache(maxsize=4096)
def _drawn(char: str) -> str:
    if _has_glyph(char):
        return char
    if unicodedata.category(char) in ("Cc", "Cf", "Mn", "Me", "Sk"):
        return ""
    plain = unicodedata.normalize("NFKC", char)
    return plain if all(_has_glyph(part) for part in plain) else MISSING


def _has_glyph(char: str) -> bool:
    point = ord(char)
    return any(first <= point <= last for first, last in PRINTABLE)


def breakable(text: str) -> str:
    """Return printable `text` for a narrow column: a word longer than the column may break."""
    parts = printable(text).split(" ")
    return " ".join(BREAK.join(part[i : i + LONGEST_WORD] for i in range(0, len(part), LONGEST_WORD)) for part in parts)


def amount(ore: int) -> str:
    """Write øre as kroner: 1 234,50, with no-break spaces and a real minus.

    Babel's symbols without babel's pattern machine, which would be half the time of a long invoice.
    """
    kroner, rest = divmod(abs(ore), 100)
    sign = _MINUS if ore < 0 else ""
    return f"{sign}{kroner:,}".replace(",", _GROUP) + f"{_DECIMAL}{rest:02d}"


def day(value: date) -> str:
    """Write a date as dd.mm.yyyy."""
    return format_date(value, "dd.MM.yyyy", locale=LOCALE)


def account(digits: str) -> str:
    """Write an account number as 1234.56.78901; what has not 11 digits stays as it is."""
    if len(digits) == 11 and digits.isdigit():
        return f"{digits[:4]}.{digits[4:6]}.{digits[6:]}"
    return printable(digits)


def rate(basis_points: int) -> str:
    """Write a VAT rate: 1200 is 12 %, 1250 is 12,5 %."""
    return f"{format_decimal(basis_points / 100, '0.##', locale=LOCALE)}\u00a0%"


def month(value: date, language: Language) -> str:
    """Write the month of a date: januar 2026."""
    return format_date(value, "LLLL yyyy", locale={"nb": LOCALE, "en": "en"}[language])
