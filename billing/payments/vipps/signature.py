"""Whether a webhook is from Vipps: the hash of its body, its date and its signature, on the bytes as they came.

`x-ms-content-sha256` is base64(SHA256(body)). What is signed is ``METHOD\\npath?query\\nx-ms-date;host;hash``, with
HMAC-SHA256 under the secret that Vipps gave when the webhook was registered, of which two may be valid at once.
Source: https://developer.vippsmobilepay.com/docs/APIs/webhooks-api/request-authentication.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime

OLDEST = dt.timedelta(seconds=300)
_SCHEME = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
LONGEST_HEADER = 500


class BadSignature(Exception):
    """It is not proven that this is from Vipps; the text says what does not fit."""


def check(
    *,
    method: str,
    target: str,
    hosts: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: dt.datetime,
) -> None:
    """Raise BadSignature unless a request was signed by Vipps within ``OLDEST`` of ``now`` (real time).

    ``target``: path and query as they were asked for. ``hosts``: the names we are reached by, one of which was signed.
    """
    date, digest = headers.get("x-ms-date", ""), headers.get("x-ms-content-sha256", "")
    given = headers.get("authorization", "") or headers.get("x-vipps-authorization", "")
    if max(len(date), len(digest), len(given)) > LONGEST_HEADER:
        raise BadSignature("a header is too long")
    if not hmac.compare_digest(content_hash(body).encode(), digest.encode()):
        raise BadSignature("the body is not what was hashed")
    if abs(now - _instant(date)) > OLDEST:
        raise BadSignature("its date is not now")
    if not given.startswith(_SCHEME):
        raise BadSignature("it is not signed in the way we know")
    signature = given[len(_SCHEME) :].encode()
    made = [sign(secret, method, target, date, host, digest).encode() for secret in secrets for host in hosts]
    # All are compared, so that the time it takes tells nothing.
    if not sum(hmac.compare_digest(one, signature) for one in made):
        raise BadSignature("the signature is of no secret of ours")


def content_hash(body: bytes) -> str:
    """Return what a body's hash header says."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def sign(secret: str, method: str, target: str, date: str, host: str, digest: str) -> str:
    """Return the signature of a request."""
    said = f"{method}\n{target}\n{date};{host};{digest}"
    return base64.b64encode(hmac.new(secret.encode(), said.encode(), hashlib.sha256).digest()).decode()


def _instant(date: str) -> dt.datetime:
    try:
        found = parsedate_to_datetime(date)
    except (TypeError, ValueError, OverflowError):
        raise BadSignature("its date cannot be read") from None
    if found.tzinfo is None:
        raise BadSignature("its date has no zone")
    return found
