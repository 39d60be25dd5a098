"""Signed requests to Digipost, and answers that are Digipost's own."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from billing.delivery import calling
from billing.delivery.calling import NoReply, Reply
from billing.delivery.digipost import reading, signing
from config.clock import now_utc

MEDIA = "application/vnd.digipost-v8+xml"
ENTRY_SECONDS = 300
"""How long the entry point is remembered: a certificate that is changed is known after that, or at once when a
signature does not fit."""


class Wire:
    """Digipost's API at one address, as one sender. Used by many threads at once."""

    def __init__(
        self,
        url: str,
        sender: str,
        key: RSAPrivateKey,
        *,
        seconds: float,
        client: httpx.Client | None = None,
        now: Callable[[], dt.datetime] = now_utc,
    ) -> None:
        self.sender = sender
        self.now = now
        self._origin, self._base = url.rstrip("/"), urlsplit(url).path.rstrip("/")
        self._key, self._seconds = key, seconds
        self._client = client or calling.client(seconds)
        self._lock = threading.Lock()
        self._entry: tuple[float, RSAPublicKey, reading.Entry] | None = None

    def send(self, method: str, path: str, *, query: str = "", body: bytes = b"", kind: str = MEDIA) -> Reply:
        """Send a signed request; return an answer that Digipost has signed, or one of status 429 or 5xx, of which only
        the status is to be believed. Raises NoReply: nothing was sent when the entry point did not answer."""
        self.entry()
        reply = self._send(method, path, query, body, kind)
        if reply.status == 429 or reply.status >= 500:
            return reply
        if self._wrong(path, reply) is not None:
            self._entry = None  # their certificate may have changed a moment ago
            wrong = self._wrong(path, reply)
            if wrong is not None:
                raise NoReply(f"answer_not_signed_{wrong}", sent=True)
        return reply

    def entry(self) -> reading.Entry:
        """Return the entry point, read again after ENTRY_SECONDS. Raises NoReply with nothing sent."""
        return self._known()[1]

    def _known(self) -> tuple[RSAPublicKey, reading.Entry]:
        with self._lock:
            if self._entry is None or time.monotonic() - self._entry[0] > ENTRY_SECONDS:
                try:
                    reply = self._send("GET", "/", "", b"", MEDIA)
                    if reply.status != 200:
                        raise NoReply(f"entry_point_{reply.status}", sent=False)
                    entry = reading.entry(reply.body)
                    self._entry = time.monotonic(), signing.public_key(entry.certificate), entry
                except NoReply as error:
                    raise NoReply(error.why, sent=False) from error
                except ValueError as error:
                    raise NoReply("entry_point_garbled", sent=False) from error
            return self._entry[1], self._entry[2]

    def _wrong(self, path: str, reply: Reply) -> str | None:
        try:
            key, _ = self._known()
        except NoReply:
            return "by_anybody"
        return signing.wrong_with(key, reply.status, self._base + path, reply.headers, reply.body, self.now())

    def _send(self, method: str, path: str, query: str, body: bytes, kind: str) -> Reply:
        date = signing.date_header(self.now())
        hashed = signing.content_hash(body) if body else None
        string = signing.request_string(method, self._base + path, query, date=date, sender=self.sender, hashed=hashed)
        headers = {
            "Accept": MEDIA,
            "Date": date,
            "User-Agent": "Brikke",
            signing.SENDER: self.sender,
            signing.SIGNATURE: signing.sign(self._key, string),
        }
        if hashed is not None:
            headers |= {"Content-Type": kind, signing.HASH: hashed}
        url = f"{self._origin}{path}" + (f"?{query}" if query else "")
        return calling.call(self._client, method, url, headers=headers, body=body, seconds=self._seconds)
