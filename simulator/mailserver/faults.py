"""What shall go wrong. A fault is told through control, waits for mails to its recipient, and is used up.

| kind | what happens | fields |
|---|---|---|
| `refuse` | the recipient is refused | `code` (550), `text` |
| `defer` | the recipient is put off | `code` (451), `text` |
| `bounce` | the mail is taken, then a notice comes: it failed, or is late | `status` (5.1.1), `form` |
| `drop` | the connection breaks after the text, without an answer | `kept` (true): the mail was taken all the same |
| `slow` | the answer after the text takes its time | `seconds` (1) |

Every fault has `times` (1; null = until cleared) and `recipient` (any). `form` of a bounce: `report` (RFC 3464),
`headers` (the report returns only the headers), `prose` (a server that writes no report).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("refuse", "defer", "bounce", "drop", "slow")
FORMS = ("report", "headers", "prose")
_FIELDS = {
    "refuse": {"code", "text"},
    "defer": {"code", "text"},
    "bounce": {"status", "form"},
    "drop": {"kept"},
    "slow": {"seconds"},
}


class BadFault(ValueError):
    """A fault that makes no sense; the text says why."""


@dataclass
class Fault:
    """One thing that shall go wrong; see the table above."""

    id: int
    kind: str
    times: int | None
    recipient: str | None
    code: int
    text: str
    status: str
    form: str
    kept: bool
    seconds: float


class Faults:
    """The faults that wait. In memory only: a restart makes the server well again."""

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

    def take(self, kind: str, recipient: str) -> Fault | None:
        """Return the first fault of a kind for a recipient, one time used, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.kind == kind and fault.recipient in (None, recipient.lower()):
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
    extra = set(asked) - {"kind", "times", "recipient"} - _FIELDS[kind]
    if extra:
        raise BadFault(f"a {kind} fault has no {', '.join(sorted(extra))}")
    code = asked.get("code", 550 if kind == "refuse" else 451)
    if not isinstance(code, int) or code // 100 != (5 if kind == "refuse" else 4):
        raise BadFault("code must be 5xx to refuse and 4xx to defer")
    times = asked.get("times", 1)
    if times is not None and (not isinstance(times, int) or isinstance(times, bool) or times < 1):
        raise BadFault("times must be a whole number from 1, or null")
    form, kept, seconds = asked.get("form", "report"), asked.get("kept", True), asked.get("seconds", 1)
    if form not in FORMS or not isinstance(kept, bool):
        raise BadFault(f"form must be one of {', '.join(FORMS)}, kept true or false")
    if not isinstance(seconds, int | float) or not 0 <= seconds <= 600:
        raise BadFault("seconds must be a number from 0 to 600")
    recipient = asked.get("recipient")
    return Fault(
        number, kind, times, str(recipient).lower() if recipient else None, code, str(asked.get("text", "as told")),
        str(asked.get("status", "5.1.1")), form, kept, float(seconds),
    )  # fmt: skip
