"""KID structures: of what a KID is made up, several alive at once, so that old mandates keep working.

The table is `config/kid_structures.toml`. New invoices have the structure of `billing.claims.kid`; a mandate that was
set up on an older one is claimed by a KID of that one, made here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from stdnum import luhn

from billing.claims.kid import INVOICE_DIGITS, mod11_digit

PATH = Path(__file__).parents[2] / "config" / "kid_structures.toml"
OURS = "brikke"
"""The structure that new invoices have."""
_LONGEST = 25
_MOST = 3


@dataclass(frozen=True, slots=True)
class KidStructure:
    """A row of the table: lengths in positions; ``names``: what the customer part is the number of."""

    name: str
    length: int
    customer: int
    names: Literal["agreement", "customer"]
    check: Literal["mod10", "mod11"]

    def customer_part(self, kid: str) -> str:
        """Return the fixed part of a KID of this structure."""
        return kid[: self.customer]

    def make(self, customer_part: str, invoice_number: int) -> str:
        """Return the KID of an invoice on a mandate's customer part. Raises ValueError when there is none (a number
        that does not fit; a mod11 check of 10)."""
        width = self.length - self.customer - 1
        body = f"{customer_part}{invoice_number:0{width}}"
        if len(customer_part) != self.customer or len(body) != self.length - 1 or invoice_number < 1:
            raise ValueError(f"invoice {invoice_number} of {customer_part} does not fit the KID structure {self.name}")
        digit = luhn.calc_check_digit(body) if self.check == "mod10" else mod11_digit(body)
        if digit == "-":
            raise ValueError(f"invoice {invoice_number} of {customer_part} has no check digit by mod11")
        return body + digit


def structure_of(kid: str, structures: Sequence[KidStructure] | None = None) -> tuple[KidStructure, str] | None:
    """Return the structure that a KID has, by its length and its check, and the KID in that length; None for what is
    of none of them. Some banks fill the field of 25 positions with zeros: those are taken off."""
    if not (kid.isascii() and kid.replace("-", "0").isdecimal()) or "-" in kid[:-1]:
        return None
    for structure in structures if structures is not None else known():
        own, filled = kid[-structure.length :], kid[: -structure.length]
        wide = len(kid) == _LONGEST and not filled.strip("0") and own.strip("0")
        if (len(kid) == structure.length or wide) and _checked(structure, own):
            return structure, own
    return None


def named(name: str, structures: Sequence[KidStructure] | None = None) -> KidStructure | None:
    """Return the structure of a name, or None."""
    return next((s for s in (structures if structures is not None else known()) if s.name == name), None)


@cache
def known(path: Path = PATH) -> tuple[KidStructure, ...]:
    """Return the table. Raises ValueError, naming the structure, for one that cannot be."""
    rows = tuple(KidStructure(**row) for row in tomllib.loads(path.read_text("utf-8"))["structure"])
    if len({row.length for row in rows}) != len(rows) or len({row.name for row in rows}) != len(rows):
        raise ValueError(f"{path.name}: two structures of one name or length")
    if len(rows) > _MOST:
        raise ValueError(f"{path.name}: the bank takes {_MOST} structures, not {len(rows)}")
    for row in rows:
        if not (row.customer >= 1 and row.customer + INVOICE_DIGITS + 1 <= row.length <= _LONGEST):
            raise ValueError(f"{path.name}: {row.name} has no room for the customer part and nine digits of invoice")
        if row.names not in ("agreement", "customer") or row.check not in ("mod10", "mod11"):
            raise ValueError(f"{path.name}: {row.name} names {row.names!r} by {row.check!r}, which is not known")
    return rows


def _checked(structure: KidStructure, kid: str) -> bool:
    if structure.check == "mod10":
        return "-" not in kid and luhn.is_valid(kid)
    return mod11_digit(kid[:-1]) == kid[-1]
