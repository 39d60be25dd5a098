"""What Vipps remembers: payments, idempotency keys, tokens; and what a customer or a merchant does to a payment."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from simulator import clock

REFERENCE = re.compile(r"[a-zA-Z0-9-]{8,64}")
LIVES = timedelta(minutes=10)
"""How long a customer may take to approve."""


class Refused(Exception):
    """A refusal before any work: status, and what is said."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status, self.title = status, title


@dataclass
class Ids:
    """What a sales unit is known by."""

    client_id: str = "practice-client"
    client_secret: str = "practice-client-secret"  # noqa: S105 - nobody's
    subscription_key: str = "practice-subscription-key"
    msn: str = "123456"
    webhook_secret: str = "practice-webhook-secret"  # noqa: S105 - nobody's


@dataclass
class Payment:
    """A payment; sums in øre. ``page`` is the secret part of its page's address."""

    reference: str
    amount: int
    return_url: str
    description: str
    page: str
    psp: str
    made_at: str
    state: str = "CREATED"
    authorized: int = 0
    captured: int = 0
    cancelled: int = 0
    refunded: int = 0


@dataclass
class Books:
    """All that is kept."""

    payments: dict[str, Payment] = field(default_factory=dict)
    keys: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)


class World:
    """Vipps's insides. ``emit`` is called with each event, under the lock; ``address`` is where this server is."""

    def __init__(self, data: Path | None, ids: Ids, emit: Callable[[dict[str, Any]], None]) -> None:
        self.lock = threading.RLock()
        self.ids, self.address = ids, ""
        self.tokens: set[str] = set()
        self.calls: list[str] = []
        self._emit, self._data = emit, data
        self.books = Books()
        self.skew = timedelta()
        if data is not None and data.exists():
            kept = json.loads(data.read_text())
            self.books.payments = {name: Payment(**one) for name, one in kept["payments"].items()}
            self.books.keys = {name: (one[0], one[1], one[2]) for name, one in kept["keys"].items()}

    def save(self) -> None:
        """Write everything down, where there is a file."""
        if self._data is None:
            return
        kept = {"payments": {name: asdict(one) for name, one in self.books.payments.items()}, "keys": self.books.keys}
        fresh = self._data.with_suffix(".new")
        fresh.write_text(json.dumps(kept))
        fresh.replace(self._data)

    def now(self) -> datetime:
        """Return Vipps's own instant."""
        return clock.wall() + self.skew

    def find(self, reference: str) -> Payment:
        """Return a payment as it is now. Raises Refused (404)."""
        one = self.books.payments.get(reference)
        if one is None:
            raise Refused(404, "Payment not found")
        if one.state == "CREATED" and self.now() - datetime.fromisoformat(one.made_at) >= LIVES:
            self.expire(one)
        return one

    def of_page(self, page: str) -> Payment | None:
        """Return the payment whose page this is."""
        found = next((one for one in self.books.payments.values() if one.page == page), None)
        return None if found is None else self.find(found.reference)

    def make(self, reference: str, amount: int, return_url: str, description: str) -> Payment:
        """Make a payment. Raises Refused."""
        if REFERENCE.fullmatch(reference) is None or not 100 <= amount <= 100_000_000:
            raise Refused(400, "Invalid reference or amount")
        if reference in self.books.payments:
            raise Refused(409, "Reference is used already")
        one = Payment(
            reference, amount, return_url, description, secrets.token_urlsafe(16), secrets.token_hex(12),
            self.now().isoformat(),
        )  # fmt: skip
        self.books.payments[reference] = one
        self._tell(one, "CREATED", amount)
        return one

    def approve(self, one: Payment) -> None:
        """The customer approves: the sum is reserved."""
        self._must(one, one.state == "CREATED")
        one.state, one.authorized = "AUTHORIZED", one.amount
        self._tell(one, "AUTHORIZED", one.amount)

    def abort(self, one: Payment) -> None:
        """The customer says no."""
        self._must(one, one.state == "CREATED")
        one.state, one.cancelled = "ABORTED", one.amount
        self._tell(one, "ABORTED", one.amount)

    def expire(self, one: Payment) -> None:
        """The customer has let it lie."""
        self._must(one, one.state == "CREATED")
        one.state, one.cancelled = "EXPIRED", one.amount
        self._tell(one, "EXPIRED", one.amount)

    def capture(self, one: Payment, amount: int) -> None:
        """Take of what is reserved. Raises Refused."""
        left = one.authorized - one.captured - one.cancelled
        self._must(one, one.state == "AUTHORIZED" and 0 < amount <= left)
        one.captured += amount
        self._tell(one, "CAPTURED", amount)

    def cancel(self, one: Payment) -> None:
        """Release what is reserved and not captured, or end the page. Raises Refused."""
        if one.state == "CREATED":
            one.state, one.cancelled = "TERMINATED", one.amount
            self._tell(one, "TERMINATED", one.amount)
            return
        left = one.authorized - one.captured - one.cancelled
        self._must(one, one.state == "AUTHORIZED" and left > 0)
        one.cancelled += left
        self._tell(one, "CANCELLED", left)

    def refund(self, one: Payment, amount: int) -> None:
        """Give back of what was captured. Raises Refused."""
        self._must(one, 0 < amount <= one.captured - one.refunded)
        one.refunded += amount
        self._tell(one, "REFUNDED", amount)

    def _must(self, one: Payment, fine: bool) -> None:
        if not fine:
            raise Refused(400, f"Not possible as the payment is {one.state}")

    def _tell(self, one: Payment, name: str, amount: int) -> None:
        self._emit(
            {
                "msn": self.ids.msn,
                "reference": one.reference,
                "pspReference": secrets.token_hex(12),
                "name": name,
                "amount": {"currency": "NOK", "value": amount},
                "timestamp": self.now().astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "idempotencyKey": None,
                "success": True,
            }
        )

    def shown(self, one: Payment) -> dict[str, Any]:
        """Return a payment as the API shows it."""
        sums = ("authorized", "captured", "cancelled", "refunded")
        return {
            "aggregate": {f"{name}Amount": {"currency": "NOK", "value": getattr(one, name)} for name in sums},
            "amount": {"currency": "NOK", "value": one.amount},
            "state": one.state,
            "paymentMethod": {"type": "WALLET"},
            "profile": {},
            "pspReference": one.psp,
            "redirectUrl": f"{self.address}/pay/{one.page}",
            "reference": one.reference,
        }
