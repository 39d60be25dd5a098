"""Vipps ePayment v1 over HTTPS: the calls we make and what their answers say, in our own words.

Amounts are øre of Norwegian kroner. An answer is believed only if it is about the payment that was asked about. What is
not answered, or not in words that say no for certain, raises `VippsUnavailable`: nobody knows then what was done.
Source: https://developer.vippsmobilepay.com/docs/APIs/epayment-api and .../access-token-api.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

log = structlog.get_logger()

MAX_ANSWER_BYTES = 256 * 1024
TOKEN_MARGIN_SECONDS = 60.0
"""A token is not used for its last minute."""
VIPPS_STATES = ("CREATED", "AUTHORIZED", "ABORTED", "EXPIRED", "TERMINATED")
_UNCERTAIN = frozenset({401, 403, 408, 425, 429})
"""4xx that say nothing of the payment: our keys are wrong (mended, the same request goes through), or come later."""


class VippsUnavailable(Exception):
    """No answer, or none that says what was done. ``answered``: Vipps was reached, so it is not down."""

    def __init__(self, reason: str, *, answered: bool = False) -> None:
        super().__init__(reason)
        self.answered = answered


class VippsRefused(Exception):
    """Vipps said no: this request did nothing. ``code`` is its word, ``status`` the HTTP status."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code = status, code


@dataclass(frozen=True)
class Seen:
    """A payment as Vipps tells it. Sums are totals until now, in øre; ``url`` is where the customer approves it."""

    reference: str
    state: str
    amount_ore: int
    authorized_ore: int
    captured_ore: int
    cancelled_ore: int
    refunded_ore: int
    url: str | None = None


class VippsClient:
    """Calls Vipps for one sales unit. Threads may share one."""

    def __init__(
        self,
        *,
        url: str,
        client_id: str,
        client_secret: str,
        subscription_key: str,
        msn: str,
        timeout_seconds: float,
    ) -> None:
        self._ids = {"client_id": client_id, "client_secret": client_secret}
        self._headers = {
            "Ocp-Apim-Subscription-Key": subscription_key,
            "Merchant-Serial-Number": msn,
            "Vipps-System-Name": "brikke",
        }
        self._http = httpx.Client(base_url=url, timeout=timeout_seconds, follow_redirects=False)
        self._lock = threading.Lock()
        self._token: tuple[str, float] | None = None

    def create(self, reference: str, *, amount_ore: int, key: str, return_url: str, description: str) -> str:
        """Make a payment and return the address where the customer approves it; the same key gives the same again.

        Raises VippsUnavailable, VippsRefused (409 where the reference is taken).
        """
        asked = {
            "amount": _nok(amount_ore),
            "paymentMethod": {"type": "WALLET"},
            "reference": reference,
            "userFlow": "WEB_REDIRECT",
            "returnUrl": return_url,
            "paymentDescription": description,
        }
        made = self._call("POST", "/epayment/v1/payments", asked, key)
        url = made.get("redirectUrl")
        if made.get("reference") != reference or not isinstance(url, str) or not url.startswith(("https:", "http:")):
            raise VippsUnavailable("the answer is not about this payment", answered=True)
        return url

    def get(self, reference: str) -> Seen | None:
        """Return a payment as it is now; None where there is none of this reference. Raises VippsUnavailable."""
        try:
            return _seen(self._call("GET", f"/epayment/v1/payments/{reference}"), reference)
        except VippsRefused as refused:
            if refused.status == 404:
                return None
            raise VippsUnavailable(f"refused: {refused}", answered=True) from refused

    def capture(self, reference: str, *, amount_ore: int, key: str) -> Seen:
        """Take so much of what is reserved. Raises VippsUnavailable, VippsRefused."""
        return self._modify(reference, "capture", key, amount_ore)

    def cancel(self, reference: str, *, key: str) -> Seen:
        """Release what is reserved and not captured, or end a page. Raises VippsUnavailable, VippsRefused."""
        return self._modify(reference, "cancel", key, None)

    def refund(self, reference: str, *, amount_ore: int, key: str) -> Seen:
        """Give so much of what was captured back. Raises VippsUnavailable, VippsRefused."""
        return self._modify(reference, "refund", key, amount_ore)

    def _modify(self, reference: str, act: str, key: str, amount_ore: int | None) -> Seen:
        asked = {} if amount_ore is None else {"modificationAmount": _nok(amount_ore)}
        return _seen(self._call("POST", f"/epayment/v1/payments/{reference}/{act}", asked, key), reference)

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, key: str | None = None
    ) -> Mapping[str, Any]:
        for again in (False, True):
            headers = {**self._headers, "Authorization": f"Bearer {self._bearer()}"}
            if key is not None:
                headers["Idempotency-Key"] = key
            status, answer = self._send(method, path, headers, body)
            if status == 401 and not again:  # a token may be withdrawn before its time
                with self._lock:
                    self._token = None
                continue
            break
        if 200 <= status < 300:
            return answer
        if status in _UNCERTAIN or not 400 <= status < 500:
            if status in (401, 403):
                log.error("vipps_not_allowed", status=status)
            raise VippsUnavailable(f"Vipps answers {status}", answered=True)
        raise VippsRefused(status, _code(answer))

    def _bearer(self) -> str:
        """Return a token that is good for a while yet. Raises VippsUnavailable."""
        with self._lock:
            if self._token is not None and time.monotonic() < self._token[1]:
                return self._token[0]
            asked_at = time.monotonic()
            status, answer = self._send("POST", "/accesstoken/get", {**self._headers, **self._ids}, {})
            token, lives = answer.get("access_token"), str(answer.get("expires_in", ""))
            if status != 200 or not isinstance(token, str) or not token.isascii() or not lives.isdigit():
                log.error("vipps_no_token", status=status)
                raise VippsUnavailable(f"no access token ({status})", answered=True)
            self._token = (token, asked_at + int(lives[:9]) - TOKEN_MARGIN_SECONDS)
            return token

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, Any]]:
        """Return status and object of an answer. Raises VippsUnavailable without either."""
        try:
            with self._http.stream(method, path, headers=dict(headers), json=body) as answer:
                raw = bytearray()
                for piece in answer.iter_bytes():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise VippsUnavailable("the answer is too large", answered=True)
                status = answer.status_code
        except httpx.HTTPError as error:
            raise VippsUnavailable(f"no answer ({type(error).__name__})") from error
        try:
            read = json.loads(raw) if raw else {}
        except ValueError:  # also what is not UTF-8
            read = None
        if not isinstance(read, dict):
            if 200 <= status < 300:
                raise VippsUnavailable("the answer is not understood", answered=True)
            read = {}
        return status, read


def _nok(ore: int) -> dict[str, object]:
    return {"currency": "NOK", "value": ore}


def _seen(read: Mapping[str, Any], reference: str) -> Seen:
    sums = read.get("aggregate")
    state, url = read.get("state"), read.get("redirectUrl")
    if read.get("reference") != reference or state not in VIPPS_STATES or not isinstance(sums, dict):
        raise VippsUnavailable("the answer is not about this payment", answered=True)
    return Seen(
        reference,
        str(state),
        _ore(read.get("amount")),
        _ore(sums.get("authorizedAmount")),
        _ore(sums.get("capturedAmount")),
        _ore(sums.get("cancelledAmount")),
        _ore(sums.get("refundedAmount")),
        url if isinstance(url, str) and url else None,
    )


def _ore(amount: object) -> int:
    """Return the øre of an amount; one that is left out is none. Raises VippsUnavailable for any other currency."""
    if amount is None:
        return 0
    value = amount.get("value") if isinstance(amount, dict) and amount.get("currency") == "NOK" else None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**15:
        raise VippsUnavailable("an amount is not understood", answered=True)
    return value


def _code(answer: Mapping[str, Any]) -> str:
    """Return why Vipps refused in a word of its own, short and without anything personal."""
    for name in ("errorCode", "code", "title", "type"):
        word = answer.get(name)
        if isinstance(word, str) and word:
            return word[:100]
    return "refused"
