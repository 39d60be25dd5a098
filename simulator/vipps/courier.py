"""Delivering webhooks: signed as Vipps signs, in the background, tried again, and disturbed when told to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from simulator import clock, tls
from simulator.vipps.faults import Faults

MAX_TRIES = 8


def signed(url: str, body: bytes, secret: str) -> dict[str, str]:
    """Return the headers of a webhook to this address, signed now."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    date = format_datetime(clock.wall(), usegmt=True)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    said = f"POST\n{target}\n{date};{parts.netloc};{digest}"
    made = base64.b64encode(hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "Host": parts.netloc,
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={made}",
    }


class Courier:
    """Delivers to one address; without one it keeps what it would have sent (``kept``)."""

    def __init__(self, faults: Faults, *, url: str | None, secret: str, first_wait: float = 0.2) -> None:
        self.url, self.secret = url, secret
        self.kept: list[bytes] = []
        self._faults, self._first_wait = faults, first_wait
        self._line: list[tuple[float, int, bytes]] = []
        self._held: list[bytes] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin delivering."""
        self._thread = threading.Thread(target=self._run, name="vipps-courier", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the delivery under way; what waits is lost."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def take(self, event: dict[str, Any]) -> None:
        """Put an event in line, as often and as late as the faults say."""
        body = json.dumps(event).encode()
        self.kept.append(body)
        if self.url is None:
            return
        fault, now = self._faults.take("webhook"), time.monotonic()
        with self._changed:
            if fault is not None and fault.action == "reorder":
                self._held.append(body)
                return
            if fault is None or fault.action != "drop":
                late = fault.seconds if fault is not None and fault.action == "delay" else 0.0
                self._line += [(now + late, 0, body)] * (2 if fault is not None and fault.action == "duplicate" else 1)
            # What was held back goes right after the next.
            self._line += [(now + 0.05, 0, one) for one in self._held]
            self._held.clear()
            self._changed.notify_all()

    def waiting(self) -> int:
        """Count what is in line."""
        with self._changed:
            return len(self._line)

    def _run(self) -> None:
        with httpx.Client(timeout=10, trust_env=False, verify=tls.context()) as client:
            while True:
                with self._changed:
                    if self._stopping:
                        return
                    now = time.monotonic()
                    due = sorted((one for one in self._line if one[0] <= now), key=lambda one: one[0])
                    if not due:
                        self._changed.wait(0.05 if self._line else 1.0)
                        continue
                    one = due[0]
                done = self._send(client, one[2])
                with self._changed:
                    self._line.remove(one)
                    if not done and one[1] + 1 < MAX_TRIES:
                        wait = self._first_wait * 2 ** one[1]
                        self._line.append((time.monotonic() + wait, one[1] + 1, one[2]))

    def _send(self, client: httpx.Client, body: bytes) -> bool:
        try:
            answer = client.post(self.url or "", content=body, headers=signed(self.url or "", body, self.secret))
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.is_success
