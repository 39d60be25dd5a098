"""What lets us in at the distributor: a key of ours, or tokens got by OAuth2 client credentials (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
import threading
import time
from urllib.parse import quote_plus, urlencode

import httpx

from billing.delivery import calling
from billing.delivery.calling import NoReply
from billing.delivery.eboks import protocol

EARLY = 60
"""Seconds before its end at which a token is not used any more."""


class Tokens:
    """Gives the bearer of each request. Used by many threads at once."""

    def __init__(self, client: httpx.Client, key: str, *, url: str, client_id: str, scope: str, seconds: float) -> None:
        self._client, self._key, self._url, self._seconds = client, key, url, seconds
        self._client_id, self._scope = client_id, scope
        self._lock = threading.Lock()
        self._kept: tuple[float, str] | None = None

    @property
    def renewable(self) -> bool:
        """Whether another token can be got in place of one that is refused."""
        return bool(self._url)

    def bearer(self) -> str:
        """Return a key or token that should be good. Raises NoReply, with nothing sent."""
        if not self._url:
            if not protocol.BEARER.fullmatch(self._key):
                raise NoReply("key_unusable", sent=False)
            return self._key
        with self._lock:
            if self._kept is None or time.monotonic() >= self._kept[0]:
                self._kept = self._fetched()
            return self._kept[1]

    def refused(self, bearer: str) -> None:
        """Note that a token was not taken: the next request gets another."""
        with self._lock:
            if self._kept is not None and self._kept[1] == bearer:
                self._kept = None

    def _fetched(self) -> tuple[float, str]:
        asked = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        who = f"{quote_plus(self._client_id)}:{quote_plus(self._key)}".encode()
        headers = {
            "Accept": "application/json",
            "Authorization": f"Basic {base64.b64encode(who).decode()}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        begun = time.monotonic()
        try:
            reply = calling.call(
                self._client, "POST", self._url, headers=headers, body=urlencode(asked).encode(), seconds=self._seconds
            )
        except NoReply as error:
            raise NoReply(f"token_{error.why}", sent=False) from error
        got = protocol.token(reply)
        if got is None:
            raise NoReply(f"token_http_{reply.status}", sent=False)
        return begun + max(0, got[1] - EARLY), got[0]
