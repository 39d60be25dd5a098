"""The public keys of those whose tokens we take: fetched from their JWKS address, kept for a while.

A key id that we do not know makes us look again, at most once a minute, so that keys may change without a
restart and forged ids do not make us hammer the issuer.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from config.problems import Unauthorized
from config.values import Issuer

KEEP_SECONDS = 600
AGAIN_SECONDS = 60
MAX_BYTES = 256 * 1024

_log = structlog.get_logger(__name__)


@dataclass
class _Kept:
    keys: KeySet | None
    fetched: float
    tried: float


_kept: dict[Issuer, _Kept] = {}
_lock = threading.Lock()


def keys_of(issuer: Issuer, key_id: str | None, timeout_seconds: int) -> KeySet:
    """Return the issuer's keys. Raises Unauthorized when they cannot be had and none are kept."""
    with _lock:
        now = time.monotonic()
        kept = _kept.get(issuer)
        unknown = kept is not None and kept.keys is not None and not _holds(kept.keys, key_id)
        old = kept is None or kept.keys is None or now - kept.fetched > KEEP_SECONDS
        if (old or unknown) and (kept is None or now - kept.tried > AGAIN_SECONDS):
            fresh = _fetch(issuer, timeout_seconds)
            # An issuer that is down for a moment does not lock everybody out: its last keys go on.
            kept = _Kept(fresh or (kept.keys if kept else None), now if fresh else (kept.fetched if kept else 0), now)
            _kept[issuer] = kept
        if kept is None or kept.keys is None:
            raise Unauthorized("The keys of the token's issuer cannot be had just now.", slug="invalid-token")
        return kept.keys


def forget() -> None:
    """Forget all keys, so that the next token fetches them anew (for tests)."""
    with _lock:
        _kept.clear()


def _holds(keys: KeySet, key_id: str | None) -> bool:
    return key_id is None or any(key.kid == key_id for key in keys.keys)


def _fetch(issuer: Issuer, timeout_seconds: int) -> KeySet | None:
    try:
        held = json.loads(_read(issuer.jwks_url, timeout_seconds))
        public = [key for key in held["keys"] if key.get("kty") in {"EC", "RSA", "OKP"}]
        return KeySet.import_key_set({"keys": public})
    except (OSError, httpx.HTTPError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("issuer_keys_failed", issuer=issuer.name, error=type(error).__name__)
        return None


def _read(address: str, timeout_seconds: int) -> bytes:
    """Return the key set's text. Raises ValueError when it is larger than MAX_BYTES."""
    body = b""
    if address.startswith("file:"):
        with Path(address.removeprefix("file:")).open("rb") as file:
            body = file.read(MAX_BYTES + 1)
    else:
        with httpx.stream("GET", address, timeout=timeout_seconds, follow_redirects=False) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    break
    if len(body) > MAX_BYTES:
        raise ValueError("the key set is too large")
    return body
