"""What every part of the gateway shares: the store, its clock, its faults, and how something becomes an event."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from simulator import clock
from simulator.gateway.courier import Courier
from simulator.gateway.faults import Faults
from simulator.gateway.store import Store, new_id

API_VERSION = "2026-10-28.endive"


class World:
    """The gateway's insides. `latency_ms` is how long each API call takes at least."""

    def __init__(self, store: Store, faults: Faults, courier: Courier) -> None:
        self.store = store
        self.faults = faults
        self.courier = courier
        self.latency_ms = 0
        # Where this server can be reached; known once it listens.
        self.address = ""

    def now(self) -> datetime:
        """Return the gateway's own instant: the wall clock unless it has been moved."""
        moved = self.store.setting("clock")
        if moved is None:
            return clock.wall()
        at = datetime.fromisoformat(moved["at"])
        if moved["running"]:
            at += clock.wall() - datetime.fromisoformat(moved["wall"])
        return at.astimezone(UTC)

    def seconds(self) -> int:
        """Return `now` as Stripe's whole seconds."""
        return int(self.now().timestamp())

    def move_clock(self, to: datetime | None, *, running: bool) -> None:
        """Move the clock; it stands still unless `running`. None = the wall clock again."""
        if to is None:
            self.store.set_setting("clock", None)
            return
        self.store.set_setting("clock", {"at": to.isoformat(), "wall": clock.wall().isoformat(), "running": running})

    def emit(
        self, kind: str, thing: dict[str, Any], request_id: str | None = None, *, whatever_type: bool = False
    ) -> dict[str, Any]:
        """Record an event about `thing` and have it delivered. Call within the transaction of the effect."""
        event = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.seconds(),
            "data": {"object": thing},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": request_id, "idempotency_key": None},
            "type": kind,
        }
        self.store.put("event", event)
        self.courier.take(event, whatever_type=whatever_type)
        return event
