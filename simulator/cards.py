"""People and their cards: typing one on the gateway's own page, and telling the gateway what shall go wrong."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlparse

import httpx

from simulator import tls

Json = dict[str, Any]


class CardPage:
    """The gateway seen from outside: its hosted page, its books, and its control."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http = httpx.Client(base_url=address, timeout=30.0, trust_env=False, verify=tls.context())

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def give_card(self, page_url: str, card: str) -> str | None:
        """Type a card on the page at `page_url`; return the `setup` one comes back with, None when it was declined."""
        answer = self._http.post(page_url, data={"card": card})
        if answer.status_code == 402:
            return None
        if answer.status_code != 303:
            raise RuntimeError(f"the card page answered {answer.status_code}: {answer.text[:300]}")
        return parse_qs(urlparse(answer.headers["Location"]).query)["setup"][0]

    def customer_of(self, page_url: str) -> str:
        """Return the gateway's customer that a card page is for."""
        session = page_url.rstrip("/").rsplit("/", 1)[1]
        return str(self._read(f"/v1/checkout/sessions/{session}")["customer"])

    def fault(self, **told: Any) -> None:
        """Let something go wrong; the table is in simulator/gateway/faults.py."""
        self._control("POST", "faults", told)

    def books(self) -> Json:
        """Return every payment that succeeded, every refund, and their sums (øre)."""
        return self._control("GET", "books")

    def paid_by(self, customer: str) -> list[Json]:
        """Return the payments that succeeded for one of the gateway's customers."""
        return [payment for payment in self.books()["payments"] if payment["customer"] == customer]

    def webhooks_waiting(self) -> int:
        """Return how many webhooks are not delivered yet."""
        return int(self._control("GET", "webhooks")["waiting"])

    def _control(self, method: str, name: str, told: Json | None = None) -> Json:
        answer = self._http.request(method, f"/_control/{name}", json=told)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def _read(self, path: str) -> Json:
        answer = self._http.get(path, headers={"Authorization": "Bearer sk_test_reader"})
        answer.raise_for_status()
        found: Json = answer.json()
        return found
