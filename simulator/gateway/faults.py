"""What shall go wrong. A fault is told through control, waits for calls it fits, and is used up.

| kind | what happens | fields |
|---|---|---|
| `decline` | the card is declined | `code` (insufficient_funds) |
| `rate_limit` | 429, before anything | `retry_after` seconds (none) |
| `error` | 5xx | `status` (500), `when` before or after the effect, `stored` under the key (after: yes, before: no) |
| `timeout` | the connection is held, then cut without an answer | `when` (after), `hold_seconds` (30) |
| `pending` | a refund or payment is under way until control ends it | `state` of a payment (processing) |
| `webhook` | a webhook is changed | `action` drop, duplicate, delay or reorder; `seconds`, `copies`, `types` |

Every fault has `times` (1; null = until cleared), `customer` (any), and `on`: which calls, `charge` (the default),
`refund`, `setup`, `customer`, `read` or `any`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["decline", "rate_limit", "error", "timeout", "pending", "webhook"]
KINDS = ("decline", "rate_limit", "error", "timeout", "pending", "webhook")
CALLS = ("charge", "refund", "setup", "customer", "read", "any")
STATES = ("processing", "requires_action")
ACTIONS = ("drop", "duplicate", "delay", "reorder")
_COMMON = {"kind", "times", "customer", "on"}
_FIELDS: dict[str, set[str]] = {
    "decline": {"code"},
    "rate_limit": {"retry_after"},
    "error": {"status", "when", "stored"},
    "timeout": {"when", "hold_seconds"},
    "pending": {"state"},
    "webhook": {"action", "seconds", "copies", "types"},
}


class BadFault(ValueError):
    """A fault that makes no sense; the text says why."""


@dataclass
class Fault:
    """One thing that shall go wrong; see the table above."""

    id: int
    kind: str
    times: int | None = 1
    customer: str | None = None
    on: str = "charge"
    code: str = "insufficient_funds"
    state: str = "processing"
    status: int = 500
    when: str = "after"
    stored: bool = True
    hold_seconds: float = 30.0
    retry_after: int | None = None
    action: str = "drop"
    seconds: float = 1.0
    copies: int = 1
    types: tuple[str, ...] = field(default=())


class Faults:
    """The faults that wait. In memory only: a restart of the gateway makes it well again."""

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

    def take(
        self, kind: Kind, *, on: str = "any", customer: str | None = None, when: str | None = None, type_: str = ""
    ) -> Fault | None:
        """Return the first fault that fits this call, one time used, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.kind != kind or (when is not None and fault.when != when):
                    continue
                if fault.customer is not None and fault.customer != customer:
                    continue
                if kind == "webhook" and fault.types and type_ not in fault.types:
                    continue
                if kind != "webhook" and fault.on not in {"any", on}:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._waiting.remove(fault)
                return fault
        return None


def _read(number: int, asked: Mapping[str, Any]) -> Fault:
    kind = asked.get("kind")
    if kind not in KINDS:
        raise BadFault(f"kind must be one of {', '.join(KINDS)}")
    extra = set(asked) - _COMMON - _FIELDS[kind]
    if extra:
        raise BadFault(f"a {kind} fault has no {', '.join(sorted(extra))}")
    when = _one_of(asked, "when", ("before", "after"), "after")
    return Fault(
        id=number,
        kind=kind,
        times=None if "times" in asked and asked["times"] is None else _whole(asked, "times", 1, 1, 1_000_000),
        customer=_text(asked, "customer", None),
        on=_one_of(asked, "on", CALLS, "refund" if kind == "pending" else "charge"),
        code=_text(asked, "code", "insufficient_funds") or "insufficient_funds",
        state=_one_of(asked, "state", STATES, "processing"),
        status=_whole(asked, "status", 500, 500, 599),
        when=when,
        stored=_yes_or_no(asked, "stored", when == "after"),
        hold_seconds=_number(asked, "hold_seconds", 30.0),
        retry_after=_whole(asked, "retry_after", 0, 0, 86_400) if "retry_after" in asked else None,
        action=_one_of(asked, "action", ACTIONS, "drop"),
        seconds=_number(asked, "seconds", 1.0),
        copies=_whole(asked, "copies", 1, 1, 100),
        types=_texts(asked, "types"),
    )


def _one_of(asked: Mapping[str, Any], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = asked.get(name, default)
    if value not in allowed:
        raise BadFault(f"{name} must be one of {', '.join(allowed)}")
    return str(value)


def _whole(asked: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = asked.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BadFault(f"{name} must be a whole number from {low} to {high}")
    return value


def _number(asked: Mapping[str, Any], name: str, default: float) -> float:
    value = asked.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 3600:
        raise BadFault(f"{name} must be a number of seconds from 0 to 3600")
    return float(value)


def _yes_or_no(asked: Mapping[str, Any], name: str, default: bool) -> bool:
    value = asked.get(name, default)
    if not isinstance(value, bool):
        raise BadFault(f"{name} must be true or false")
    return value


def _text(asked: Mapping[str, Any], name: str, default: str | None) -> str | None:
    value = asked.get(name, default)
    if value is not None and (not isinstance(value, str) or not value):
        raise BadFault(f"{name} must be text")
    return value


def _texts(asked: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = asked.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadFault(f"{name} must be a list of texts")
    return tuple(value)
