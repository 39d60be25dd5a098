"""What the gateway remembers: one SQLite file with its objects, idempotency keys, webhooks to deliver and settings."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, customer TEXT,
    created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (kind, customer, seq);
CREATE TABLE IF NOT EXISTS keys (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    created INTEGER NOT NULL, request_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, body TEXT NOT NULL, due REAL NOT NULL,
    held INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'waiting',
    answer TEXT);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (due, id) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


def new_id(prefix: str) -> str:
    """Return an id as Stripe makes them: a prefix and chance."""
    return f"{prefix}_{secrets.token_hex(12)}"


class Store:
    """The file. One connection behind one lock: simple, and fast enough for some hundred payments a second."""

    def __init__(self, path: Path | str) -> None:
        self.lock = threading.RLock()
        self._depth = 0
        self.db = sqlite3.connect(str(path), check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing this way; a power cut might, and this is a simulator.
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file; nothing is buffered."""
        with self.lock:
            self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; may be nested, the outermost decides."""
        with self.lock:
            outermost = self._depth == 0
            if outermost:
                self.db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if outermost:
                    self.db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if outermost:
                self.db.execute("COMMIT")

    def put(self, kind: str, thing: dict[str, Any]) -> None:
        """Write an object, new or changed."""
        with self.lock:
            self.db.execute(
                "INSERT INTO objects (id, kind, customer, created, body) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET customer = excluded.customer, body = excluded.body",
                (thing["id"], kind, thing.get("customer"), thing["created"], json.dumps(thing)),
            )

    def get(self, kind: str, wanted: object) -> dict[str, Any] | None:
        """Read an object, or None."""
        with self.lock:
            row = self.db.execute("SELECT body FROM objects WHERE id = ? AND kind = ?", (str(wanted), kind)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def page(
        self, kind: str, *, customer: str | None, created: tuple[int, int], after: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Read objects newest first: created within [from, to], older than the object `after`."""
        with self.lock:
            rows = self.db.execute(
                "SELECT body FROM objects WHERE kind = :kind AND (:customer IS NULL OR customer = :customer) "
                "AND created BETWEEN :low AND :high "
                "AND (:after IS NULL OR seq < (SELECT seq FROM objects WHERE id = :after)) "
                "ORDER BY seq DESC LIMIT :limit",
                {
                    "kind": kind,
                    "customer": customer,
                    "low": created[0],
                    "high": created[1],
                    "after": after,
                    "limit": limit,
                },
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def everything(self, kind: str) -> list[dict[str, Any]]:
        """Read all objects of a kind, oldest first."""
        with self.lock:
            rows = self.db.execute("SELECT body FROM objects WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def setting(self, name: str) -> Any:
        """Read a setting, or None."""
        with self.lock:
            row = self.db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set_setting(self, name: str, value: Any) -> None:
        """Write a setting."""
        with self.lock:
            self.db.execute(
                "INSERT INTO settings (name, value) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, json.dumps(value)),
            )
