"""Taking text from outside: one shape for refusing it, field by field, and the few shapes every room meets.

A reader takes what was sent and returns what we keep, or raises Wrong. ``Checks`` gathers the refusals of all
fields, so that a caller hears of every mistake at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TypeVar

from config.problems import Invalid

T = TypeVar("T")

# Categories no name, address or plate holds: control, surrogate, private use, unassigned, line and paragraph ends.
_UNWANTED = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# Marks that turn the writing direction: they make a screen show something else than what is stored.
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_LABEL = re.compile(r"(?!-)[^\W_](?:[\w-]*[^\W_])?", re.UNICODE)
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


class Wrong(ValueError):
    """A value that cannot be taken. ``code`` is stable, for a screen to translate; the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Checks:
    """Reads fields one by one and remembers what was wrong with each."""

    def __init__(self) -> None:
        self.errors: list[dict[str, str]] = []

    def take(self, field: str, read: Callable[[str], T], value: str, missing: T) -> T:
        """Return what ``read`` makes of the value; where it is wrong, note that and return ``missing``."""
        try:
            return read(value)
        except Wrong as wrong:
            self.note(field, wrong.code, str(wrong))
            return missing

    def note(self, field: str, code: str, message: str) -> None:
        """Note that a field is wrong."""
        self.errors.append({"field": field, "code": code, "message": message})

    def done(self) -> None:
        """Raise Invalid when anything was wrong."""
        if self.errors:
            raise Invalid("Some fields cannot be used; see errors.", errors=self.errors)


def refuse_unprintable(value: str) -> None:
    """Raise Wrong when the text holds control characters (NUL too), direction marks or no character at all."""
    if any(unicodedata.category(char) in _UNWANTED or char in _DIRECTION for char in value):
        raise Wrong("control_characters", "holds characters that cannot be printed")


def one_line(longest: int) -> Callable[[str], str]:
    """Return a reader of one line of text with 1 to ``longest`` characters: NFC, single spaces, nothing hidden."""

    def read(value: str) -> str:
        refuse_unprintable(value)
        kept = unicodedata.normalize("NFC", " ".join(value.split()))
        if not kept:
            raise Wrong("empty", "must not be empty")
        if len(kept) > longest:
            raise Wrong("too_long", f"must not have more than {longest} characters")
        return kept

    return read


def email(value: str) -> str:
    """Return an e-mail address that a plain SMTP server takes: ASCII before the @, a domain with a dot after it.

    The domain is put in lower case; one with Norwegian letters is kept as written.
    """
    kept = value.strip()
    name, at, domain = kept.rpartition("@")
    labels = domain.split(".")
    if not at or len(kept) > 254 or len(name) > 64 or not _LOCAL.fullmatch(name):
        raise Wrong("email", "is not an e-mail address")
    if len(labels) < 2 or labels[-1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):
        raise Wrong("email", "is not an e-mail address: the part after @ is no domain")
    try:
        domain.encode("idna")
    except UnicodeError:
        raise Wrong("email", "is not an e-mail address: the part after @ is no domain") from None
    return f"{name}@{domain.lower()}"


def organisation_number(value: str) -> str:
    """Return a Norwegian organisation number: nine digits with a right check digit (Brønnøysundregistrene)."""
    from stdnum.exceptions import ValidationError
    from stdnum.no import orgnr

    if not value.isascii():
        raise Wrong("organisation_number", "must have nine digits")
    try:
        return orgnr.validate(value)
    except ValidationError:
        raise Wrong(
            "organisation_number", "is not an organisation number: nine digits, the last a check digit"
        ) from None


def bank_account(value: str) -> str:
    """Return a Norwegian account number (BBAN) as its 11 digits; spaces and dots between them are left out."""
    from config.values import bank_account as digits

    try:
        return digits(value)
    except ValueError as error:
        raise Wrong("bank_account", str(error)) from None


def phone(value: str) -> str:
    """Return a telephone number as +CC… (E.164), Norwegian when no country is given; five-digit 0xxxx stays.

    Source: Nkom's numbering plan (eight digits; five-digit numbers begin with 0), ITU-T E.164 (at most 15).
    """
    digits = re.sub(r"[ \u00a0().-]", "", value)
    if re.fullmatch(r"0[0-9]{4}", digits):
        return digits
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    elif re.fullmatch(r"[2-9][0-9]{7}", digits):
        digits = "+47" + digits
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", digits):
        raise Wrong("phone", "is not a telephone number; write it with + and the country code")
    return digits
