"""Idempotency keys, as Stripe keeps them: one key is one answer, for 24 hours of the gateway's clock."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.gateway.errors import ApiError
from simulator.gateway.world import World

LIFETIME_SECONDS = 24 * 3600
MAX_LENGTH = 255


@dataclass(frozen=True)
class Stored:
    """The answer a key remembers."""

    status: int
    body: dict[str, Any]
    request_id: str


def fingerprint(path: str, params: Mapping[str, Any]) -> str:
    """Return what must be the same for the same key."""
    return hashlib.sha256(json.dumps([path, params], sort_keys=True).encode()).hexdigest()


class Keys:
    """Which keys are answered, and which are being worked on now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def begin(self, key: str, print_: str) -> Stored | None:
        """Take the key. Returns the stored answer of an equal request; raises ApiError 400 for another
        request under the same key, 409 when it is being worked on."""
        if len(key) > MAX_LENGTH:
            raise ApiError(400, "idempotency_error", f"Idempotency keys are at most {MAX_LENGTH} characters.")
        with self._lock:
            if key in self._under_way:
                raise ApiError(
                    409,
                    "idempotency_error",
                    "There is currently another in-progress request using this Idempotent Key.",
                    code="idempotency_key_in_use",
                )
            stored = self._read(key, print_)
            if stored is None:
                self._under_way.add(key)
            return stored

    def end(self, key: str) -> None:
        """Let go of the key, answered or not."""
        with self._lock:
            self._under_way.discard(key)

    def keep(self, key: str, print_: str, stored: Stored) -> None:
        """Remember the answer; within the transaction of its effect."""
        self._world.store.db.execute(
            "INSERT OR REPLACE INTO keys (key, fingerprint, status, body, created, request_id) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (key, print_, stored.status, json.dumps(stored.body), self._world.seconds(), stored.request_id),
        )

    def forget(self) -> None:
        """Forget every key, as after 24 hours."""
        with self._world.store.transaction():
            self._world.store.db.execute("DELETE FROM keys")

    def _read(self, key: str, print_: str) -> Stored | None:
        store = self._world.store
        with store.lock:
            row = store.db.execute(
                "SELECT fingerprint, status, body, request_id FROM keys WHERE key = ? AND created > ?",
                (key, self._world.seconds() - LIFETIME_SECONDS),
            ).fetchone()
        if row is None:
            return None
        if row[0] != print_:
            raise ApiError(
                400,
                "idempotency_error",
                "Keys for idempotent requests can only be used with the same parameters they were first used with.",
            )
        return Stored(status=row[1], body=json.loads(row[2]), request_id=row[3])
