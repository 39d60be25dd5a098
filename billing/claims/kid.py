"""The KID: the number on an invoice by which its payment finds the way back.

Ours is 18 digits: agreement number (8), invoice number (9), one check digit by mod10 (Luhn). The first eight
are the fixed customer part that mandates match on. A reminder reuses the invoice's KID. It is text: leading
zeros count.

A KID that fails its check is never a reason to reject a payment; what is said here only sorts the suspense
list.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from stdnum import luhn

AGREEMENT_DIGITS = 8
INVOICE_DIGITS = 9
KID_LENGTH = AGREEMENT_DIGITS + INVOICE_DIGITS + 1

Check = Literal["ok", "bad_check", "foreign"]

# 2-25 positions; only the check position of a mod11 KID can be `-`. [0-9], as \d takes other scripts' digits.
_SHAPE = re.compile(r"[0-9]{1,24}[0-9-]")


_DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}


class Kid(NamedTuple):
    """What one of our own KIDs names."""

    agreement_number: int
    invoice_number: int


def make_kid(agreement_number: int, invoice_number: int) -> str:
    """The 18-digit KID of an invoice. Both numbers start at 1; ValueError when one does not fit."""
    if not 1 <= agreement_number < 10**AGREEMENT_DIGITS:
        raise ValueError(f"agreement number {agreement_number} does not fit {AGREEMENT_DIGITS} digits")
    if not 1 <= invoice_number < 10**INVOICE_DIGITS:
        raise ValueError(f"invoice number {invoice_number} does not fit {INVOICE_DIGITS} digits")
    body = f"{agreement_number:0{AGREEMENT_DIGITS}}{invoice_number:0{INVOICE_DIGITS}}"
    # As luhn.calc_check_digit, which takes ten times as long: a run makes tens of thousands.
    total = sum(map(int, body[-2::-2])) + sum(map(_DOUBLED.__getitem__, body[-1::-2]))
    return f"{body}{-total % 10}"


def parse_kid(text: str) -> Kid | None:
    """The numbers in one of our own KIDs, blanks around it ignored; None for what we cannot have issued."""
    kid = text.strip()
    if len(kid) != KID_LENGTH or not (kid.isascii() and kid.isdecimal()) or not luhn.is_valid(kid):
        return None
    found = Kid(int(kid[:AGREEMENT_DIGITS]), int(kid[AGREEMENT_DIGITS:-1]))
    # Zeros pass the check digit, but no agreement or invoice has number 0.
    return found if found.agreement_number and found.invoice_number else None


def check(text: str) -> Check:
    """How a KID that came in looks, blanks around it ignored.

    - "ok": one that we may have issued (`parse_kid` reads it).
    - "bad_check": has a KID's shape, but neither mod10 nor mod11 (final `-` included) holds: most likely
      mistyped.
    - "foreign": a valid KID of another structure, or no KID at all (blank, zeros, letters).
    """
    kid = text.strip()
    if parse_kid(kid) is not None:
        return "ok"
    if _SHAPE.fullmatch(kid) is None or not kid.strip("0"):
        return "foreign"
    if (kid[-1] != "-" and luhn.is_valid(kid)) or mod11_digit(kid[:-1]) == kid[-1]:
        return "foreign"
    return "bad_check"


def mod11_digit(body: str) -> str:
    """The mod11 check: weights 2-7 from the right, 11 minus the remainder; 10 is written `-`, 11 is 0."""
    total = sum(int(digit) * (2 + i % 6) for i, digit in enumerate(reversed(body)))
    return "0-987654321"[total % 11]
