"""What shall go wrong. A fault waits for calls it fits, and is used up.

| kind | what happens | fields |
|---|---|---|
| `rate_limit` | 429, before anything | |
| `error` | 5xx | `status` (500), `when` before or after the effect |
| `timeout` | the connection is held, then cut without an answer | `when` (after), `hold_seconds` (30) |
| `refuse` | 4xx, before anything | `status` (400), `title` |
| `garbage` | 200 with something that is not an answer, after the effect | |
| `webhook` | a webhook is changed | `action` drop, duplicate, delay or reorder; `seconds` |

Every fault has `times` (1; null = until cleared) and `on`: token, create, get, capture, cancel, refund or any (any).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

KINDS = ("rate_limit", "error", "timeout", "refuse", "garbage", "webhook")
CALLS = ("token", "create", "get", "capture", "cancel", "refund", "any")
ACTIONS = ("drop", "duplicate", "delay", "reorder")


class BadFault(ValueError):
    """A fault that makes no sense; the text says why."""


@dataclass
class Fault:
    """One thing that shall go wrong; see the table above."""

    kind: str
    times: int | None = 1
    on: str = "any"
    status: int = 0
    when: str = "after"
    hold_seconds: float = 30.0
    title: str = "Not possible"
    action: str = "drop"
    seconds: float = 0.3


class Faults:
    """The faults that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, asked: Mapping[str, Any]) -> Fault:
        """Add a fault as control gives it. Raises `BadFault`."""
        unknown = set(asked) - {one.name for one in fields(Fault)}
        if unknown or asked.get("kind") not in KINDS:
            raise BadFault(f"kind must be one of {', '.join(KINDS)}; no {', '.join(sorted(unknown)) or 'other field'}")
        fault = Fault(**asked)
        if fault.on not in CALLS or fault.action not in ACTIONS or fault.when not in ("before", "after"):
            raise BadFault("on, action or when is none of those there are")
        fault.status = fault.status or (400 if fault.kind == "refuse" else 500)
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._waiting.clear()

    def take(self, kind: str, *, on: str = "any", when: str | None = None) -> Fault | None:
        """Return the first fault that fits this call, one time used, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.kind != kind or fault.on not in ("any", on) or (when is not None and fault.when != when):
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                return fault
        return None
