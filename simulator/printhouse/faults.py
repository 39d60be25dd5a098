"""What shall go wrong. A fault is told through control, waits for batches, and is used up.

| kind | what happens | fields |
|---|---|---|
| `damage` | the batch arrives with a byte changed, so that a hash is wrong: it is refused | |
| `reject` | a sheet cannot be posted | `sheet` (1), `reason` |
| `twice` | the confirmation is written twice, as two files | |
| `lose` | it is printed, and no confirmation is written | |
| `apart` | the batch is accepted now, its sheets are told of at the next look; and in CSV | |
| `garbage` | beside the confirmation lies a file that makes no sense | |

Every fault has `times` (1; null = until cleared).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("damage", "reject", "twice", "lose", "apart", "garbage")


class BadFault(ValueError):
    """A fault that makes no sense; the text says why."""


@dataclass
class Fault:
    """One thing that shall go wrong; see the table above."""

    kind: str
    times: int | None
    sheet: int
    reason: str


class Faults:
    """The faults that wait. In memory only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, asked: Mapping[str, Any]) -> Fault:
        """Add a fault as control gives it. Raises `BadFault`."""
        kind, times, sheet = asked.get("kind"), asked.get("times", 1), asked.get("sheet", 1)
        if kind not in KINDS:
            raise BadFault(f"kind must be one of {', '.join(KINDS)}")
        if extra := set(asked) - {"kind", "times"} - ({"sheet", "reason"} if kind == "reject" else set()):
            raise BadFault(f"a {kind} fault has no {', '.join(sorted(extra))}")
        if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
            raise BadFault("times must be a whole number from 1, or null")
        if not isinstance(sheet, int) or isinstance(sheet, bool) or sheet < 1:
            raise BadFault("sheet must be a whole number from 1")
        fault = Fault(kind, times, sheet, str(asked.get("reason", "the address does not exist")))
        with self._lock:
            self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Forget them all."""
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[Fault]:
        """Return those that are not used up."""
        with self._lock:
            return list(self._waiting)

    def take(self, kind: str) -> list[Fault]:
        """Return the faults of a kind, one time of each used."""
        with self._lock:
            found = [fault for fault in self._waiting if fault.kind == kind]
            for fault in found:
                if fault.times is not None:
                    fault.times -= 1
            self._waiting = [fault for fault in self._waiting if fault.times != 0]
            return found
