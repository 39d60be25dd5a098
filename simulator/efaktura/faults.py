"""What shall go wrong. A fault is told through control, waits for calls it fits, and is used up.

| kind | what happens | fields |
|---|---|---|
| `timeout` | the connection is held, then cut without an answer | `when` (after), `hold_seconds` (30) |
| `error` | a bare 5xx | `status` (500), `when` (before) |
| `soap_fault` | a SOAP fault | `code` (Server), `number` of the hub's (none), `when` (before) |
| `garbage` | an answer that is none | `body`: html, huge, dtd, entities, schema, truncated, empty, text, slow |
| `double` | every line of the answer twice | |
| `reorder` | the answer's lines backwards | |
| `leave_out` | the answer's last line is missing | |
| `contradict` | a line twice, the second time saying otherwise | |
| `reject` | a transaction is refused at once | `number` (3020), `about` (its consumer's identifier) |
| `reject_later` | a transaction becomes REJECTED | `reason`, `about` |
| `stop` | a transaction becomes STOPPED | `reason`, `about` |

Every fault has `times` (1; null = until cleared) and `on`: `identifiers`, `shipment`, `status`, `cancel` or `any` (the
default). `when` is before or after the effect.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CALLS = ("identifiers", "shipment", "status", "cancel", "any")
BODIES = ("html", "huge", "dtd", "entities", "schema", "truncated", "empty", "text", "slow")
_FIELDS: dict[str, dict[str, type]] = {
    "timeout": {"when": str, "hold_seconds": float},
    "error": {"status": int, "when": str},
    "soap_fault": {"code": str, "number": int, "when": str},
    "garbage": {"body": str},
    "double": {},
    "reorder": {},
    "leave_out": {},
    "contradict": {},
    "reject": {"number": int, "about": str},
    "reject_later": {"reason": str, "about": str},
    "stop": {"reason": str, "about": str},
}


class BadFault(ValueError):
    """A fault that makes no sense; the text says why."""


@dataclass
class Fault:
    """One thing that shall go wrong; see the table above."""

    id: int
    kind: str
    times: int | None = 1
    on: str = "any"
    when: str = "before"
    hold_seconds: float = 30.0
    status: int = 500
    code: str = "Server"
    number: int = 0
    body: str = "html"
    about: str = ""
    reason: str = ""


class Faults:
    """The faults that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: list[Fault] = []

    def add(self, asked: Mapping[str, Any]) -> Fault:
        """Add a fault as control gives it. Raises `BadFault`."""
        fault = _read(next(self._numbers), asked)
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

    def take(self, kind: str, *, on: str, when: str | None = None, about: str = "") -> Fault | None:
        """Return the first fault that fits this call, one time used, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.kind != kind or fault.on not in {"any", on} or when not in {None, fault.when}:
                    continue
                if fault.about and fault.about != about:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                return fault
        return None


def _read(number: int, asked: Mapping[str, Any]) -> Fault:
    kind = asked.get("kind")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise BadFault(f"kind must be one of {', '.join(_FIELDS)}")
    told: dict[str, Any] = {"when": "after"} if kind == "timeout" else {"number": 3020} if kind == "reject" else {}
    for name, value in asked.items():
        if name == "kind":
            continue
        if name == "times":
            if value is not None and (type(value) is not int or value < 1):
                raise BadFault("times must be a whole number from 1, or null")
        elif name == "on":
            _one_of(name, value, CALLS)
        elif name not in _FIELDS[kind]:
            raise BadFault(f"a {kind} fault has no {name}")
        elif not isinstance(value, (int, float) if _FIELDS[kind][name] is float else _FIELDS[kind][name]):
            raise BadFault(f"{name} must be of another kind")
        elif name in {"when", "body", "code"}:
            _one_of(name, value, {"when": ("before", "after"), "body": BODIES, "code": ("Server", "Client")}[name])
        told[name] = value
    return Fault(id=number, kind=kind, **told)


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadFault(f"{name} must be one of {', '.join(allowed)}")
