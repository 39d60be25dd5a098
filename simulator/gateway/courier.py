"""Delivering webhooks: signed, in the background, tried again, and disturbed when told to.

As at Stripe there is no promise of order and none of once. Undelivered ones are in the store and go on after a restart.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from typing import Any

import httpx

from simulator import clock, tls
from simulator.gateway.faults import Faults
from simulator.gateway.store import Store

MAX_ATTEMPTS = 12
_LONGEST_WAIT = 60.0

# What an endpoint of ours subscribes to; the rest is recorded as events and not sent.
SENT = {
    "checkout.session.completed",
    "checkout.session.expired",
    "setup_intent.succeeded",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.updated",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
}


def sign(body: str, secret: str, seconds: int) -> str:
    """Return the `v1` signature Stripe would make at `seconds`."""
    return hmac.new(secret.encode(), f"{seconds}.{body}".encode(), hashlib.sha256).hexdigest()


class Courier:
    """Delivers to one address. `secrets`: each signs, as while a secret is being rolled over."""

    def __init__(
        self, store: Store, faults: Faults, *, url: str | None, secrets: list[str], first_wait: float = 1.0
    ) -> None:
        self.url = url
        self.secrets = secrets
        self._store = store
        self._faults = faults
        self._first_wait = first_wait
        self._bell = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin delivering."""
        self._thread = threading.Thread(target=self._run, name="gateway-courier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the delivery under way; the rest waits in the store."""
        self._stopping = True
        self._bell.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def take(self, event: dict[str, Any], *, whatever_type: bool = False) -> None:
        """Put an event in line, as often and as late as the faults say. Within the caller's transaction."""
        if self.url is None or not (whatever_type or event["type"] in SENT):
            return
        due, held, copies = clock.wall().timestamp(), 0, 1
        fault = self._faults.take("webhook", customer=_customer(event), type_=event["type"])
        if fault is not None:
            if fault.action == "drop":
                return
            copies += fault.copies if fault.action == "duplicate" else 0
            due += fault.seconds if fault.action in {"delay", "reorder"} else 0
            held = int(fault.action == "reorder")
        with self._store.transaction():
            for _ in range(copies):
                self._store.db.execute(
                    "INSERT INTO deliveries (event, body, due, held) VALUES (?, ?, ?, ?)",
                    (event["id"], json.dumps(event), due, held),
                )
            if not held:
                # One that was held back for reordering goes right after the next.
                self._store.db.execute(
                    "UPDATE deliveries SET held = 0, due = ? WHERE held = 1 AND state = 'waiting'", (due + 0.001,)
                )
        self._bell.set()

    def counts(self) -> dict[str, int]:
        """Return how many deliveries are waiting, delivered and given up."""
        with self._store.lock:
            rows = self._store.db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall()
        return {"waiting": 0, "delivered": 0, "given_up": 0} | dict(rows)

    def _run(self) -> None:
        with httpx.Client(timeout=10, trust_env=False, verify=tls.context()) as client:
            while not self._stopping:
                self._bell.clear()
                pause = self._deliver_next(client)
                if pause > 0 and not self._stopping:
                    self._bell.wait(pause)

    def _deliver_next(self, client: httpx.Client) -> float:
        """Deliver what is due first; return how long there is nothing to do."""
        now = clock.wall().timestamp()
        with self._store.lock:
            row = self._store.db.execute(
                "SELECT id, body, due, attempts FROM deliveries WHERE state = 'waiting' ORDER BY due, id LIMIT 1"
            ).fetchone()
        if row is None:
            return 1.0
        number, body, due, attempts = row
        if due > now:
            return float(min(due - now, 1.0))
        ok, answer = self._send(client, body)
        attempts += 1
        state = "delivered" if ok else "waiting" if attempts < MAX_ATTEMPTS else "given_up"
        wait = min(self._first_wait * 2 ** (attempts - 1), _LONGEST_WAIT)
        with self._store.transaction():
            self._store.db.execute(
                "UPDATE deliveries SET state = ?, attempts = ?, answer = ?, due = ? WHERE id = ?",
                (state, attempts, answer, clock.wall().timestamp() + wait, number),
            )
        return 0.0

    def _send(self, client: httpx.Client, body: str) -> tuple[bool, str]:
        # Signed at the moment of sending, with real time, as Stripe does for each try.
        seconds = int(clock.wall().timestamp())
        header = ",".join([f"t={seconds}", *(f"v1={sign(body, secret, seconds)}" for secret in self.secrets)])
        try:
            answer = client.post(
                self.url or "",
                content=body.encode(),
                headers={"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header},
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return False, type(error).__name__
        return answer.is_success, str(answer.status_code)


def _customer(event: dict[str, Any]) -> str | None:
    customer = event["data"]["object"].get("customer")
    return customer if isinstance(customer, str) else None
