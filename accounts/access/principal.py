"""Who is calling: a role, a subject, and for customers and chargers whose data the caller may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask import g

from config.problems import Forbidden, Unauthorized

ROLES = ("customer", "agent", "lead", "accountant", "charger", "operator")
STAFF = ("agent", "lead", "accountant", "operator")
"""Roles of people who work for us; each may see every customer where an endpoint lets the role in."""


@dataclass(frozen=True)
class Principal:
    """A caller. ``customer_id`` is set exactly for customers, ``charger`` (a code) exactly for chargers."""

    subject: str
    role: str
    customer_id: int | None = None
    charger: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"there is no role {self.role!r}; roles are {', '.join(ROLES)}")
        if not self.subject:
            raise ValueError("a principal needs a subject")
        if (self.role == "customer") != (self.customer_id is not None):
            raise ValueError("a customer, and nobody else, has a customer_id")
        if (self.role == "charger") != (self.charger is not None):
            raise ValueError("a charger, and nobody else, has a charger code")

    @property
    def key(self) -> str:
        """Return what tells principals apart, for idempotency keys and the trail: ``agent:kari``."""
        return f"{self.role}:{self.subject}"

    @property
    def is_staff(self) -> bool:
        """Say whether the caller works for us."""
        return self.role in STAFF

    def may_see_customer(self, customer_id: int) -> bool:
        """Say whether this customer's things are the caller's to see. When not, answer as if there were none."""
        return self.is_staff or (self.role == "customer" and self.customer_id == customer_id)

    def may_see_charger(self, code: str) -> bool:
        """Say whether this charger's records are the caller's to see."""
        return self.is_staff or (self.role == "charger" and self.charger == code)

    def claims(self) -> dict[str, Any]:
        """Return the principal as token claims or session values; nothing that is empty."""
        found = {
            "sub": self.subject,
            "role": self.role,
            "customer_id": self.customer_id,
            "charger": self.charger,
            "name": self.name,
        }
        return {name: value for name, value in found.items() if value is not None}


def from_claims(claims: dict[str, Any], *, issuer: str = "") -> Principal:
    """Return the principal that claims describe; ``issuer`` goes before the subject of another's token.

    Raises ValueError when they describe none.
    """
    subject, role = claims.get("sub"), claims.get("role")
    customer_id, charger, name = claims.get("customer_id"), claims.get("charger"), claims.get("name")
    if not isinstance(subject, str) or not isinstance(role, str) or not 0 < len(subject) <= 200:
        raise ValueError("sub and role must be texts")
    if customer_id is not None and (type(customer_id) is not int or not 0 < customer_id < 2**63):
        raise ValueError("customer_id must be a whole number")
    if charger is not None and not (isinstance(charger, str) and 0 < len(charger) <= 40):
        raise ValueError("charger must be a code")
    name = name[:200] if isinstance(name, str) else None
    return Principal(f"{issuer}|{subject}" if issuer else subject, role, customer_id, charger, name)


def must_be_another(first: str, second: str, detail: str) -> None:
    """Raise Forbidden (``second-person``) with ``detail`` when two principals' keys are of one person, whatever the
    roles: one person may have two."""
    if _person(first) == _person(second):
        raise Forbidden(detail, slug="second-person")


def _person(key: str) -> str:
    return key.partition(":")[2] or key


def principal() -> Principal:
    """Return who is calling, by token (/v1) or by session (pages). Raises Unauthorized outside a guarded view."""
    found = g.get("principal")
    if found is None:
        raise Unauthorized("Sign in first.")
    return cast(Principal, found)
