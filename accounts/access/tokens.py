"""Bearer tokens: JWTs signed by ourselves (ES256, a key made once) or by issuers named in the settings.

A token is taken when its algorithm is on the list, the key is one of its issuer's, and ``iss``, ``aud`` and
``exp`` are there and right; ``nbf`` and ``iat`` may not lie ahead. Clocks may differ by LEEWAY. Tokens live
in real time, whatever the business clock says.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import os
import secrets
from functools import lru_cache
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry

from accounts.access import issuers
from accounts.access.principal import Principal, from_claims
from config.clock import now_utc
from config.problems import Unauthorized
from config.settings import Settings

OWN_ALGORITHM = "ES256"
THEIR_ALGORITHMS = ("ES256", "ES384", "RS256", "PS256", "Ed25519")
"""Asymmetric ones only: never ``none``, never HS256 with somebody's public key as its secret."""

LEEWAY = dt.timedelta(seconds=30)
DEFAULT_TTL = dt.timedelta(hours=8)
MAX_TTL = dt.timedelta(days=366)
MAX_LENGTH = 8192


def issue(
    settings: Settings,
    role: str,
    *,
    customer_id: int | None = None,
    charger: str | None = None,
    subject: str | None = None,
    name: str | None = None,
    ttl: dt.timedelta = DEFAULT_TTL,
) -> str:
    """Return a token of our own. ``subject`` is by default what the role is about (``customer-7``, ``FJELL``).

    Raises ValueError for a role or a scope that does not exist, or a ttl that is not more than 0 and at most
    a year.
    """
    if not dt.timedelta(0) < ttl <= MAX_TTL:
        raise ValueError("a token lives more than 0 seconds and at most a year")
    about = subject or (f"customer-{customer_id}" if customer_id is not None else charger or role)
    now = int(now_utc().timestamp())
    claims = Principal(about, role, customer_id, charger, name).claims() | {
        "iss": settings.token_issuer,
        "aud": settings.token_audience,
        "iat": now,
        "nbf": now,
        "exp": now + int(ttl.total_seconds()),
        "jti": secrets.token_urlsafe(12),
    }
    key = own_key(settings.token_key_file)
    return jwt.encode({"alg": OWN_ALGORITHM, "kid": key.thumbprint()}, claims, key, [OWN_ALGORITHM])


def verify(settings: Settings, text: str, now_real: dt.datetime) -> Principal:
    """Return whom a token speaks for at a real instant. Raises Unauthorized, saying what is wrong with it."""
    if len(text) > MAX_LENGTH:
        raise Unauthorized("The token is too long.", slug="invalid-token")
    issuer = _claimed_issuer(text)
    own = issuer == settings.token_issuer
    keys: ECKey | KeySet
    algorithms: tuple[str, ...]
    if own:
        keys, algorithms = own_key(settings.token_key_file), (OWN_ALGORITHM,)
    else:
        known = next((each for each in settings.token_issuers if each.name == issuer), None)
        if known is None:
            raise Unauthorized("The token is from somebody whose tokens are not taken here.", slug="invalid-token")
        keys = issuers.keys_of(known, _key_id(text), settings.http_timeout_seconds)
        algorithms = THEIR_ALGORITHMS
    rules = jwt.JWTClaimsRegistry(
        now=int(now_real.timestamp()),
        leeway=int(LEEWAY.total_seconds()),
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": settings.token_audience},
        exp={"essential": True},
        sub={"essential": True},
        role={"essential": True},
    )
    try:
        token = jwt.decode(text, keys, algorithms, registry=JWSRegistry(algorithms=list(algorithms)))
        rules.validate(token.claims)
        return from_claims(token.claims, issuer="" if own else issuer)
    except (JoseError, ValueError, TypeError) as error:
        reason = {"expired_token": "The token has expired."}.get(getattr(error, "error", ""), "The token is not valid.")
        raise Unauthorized(reason, slug="invalid-token") from None


def _part(text: str, index: int) -> dict[str, object]:
    """Return the header (0) or the claims (1) of a token that nobody has checked yet."""
    parts = text.split(".")
    if len(parts) != 3:
        raise Unauthorized("That is not a token.", slug="invalid-token")
    try:
        value = json.loads(base64.urlsafe_b64decode(parts[index] + "=" * (-len(parts[index]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Unauthorized("That is not a token.", slug="invalid-token")
    return value


def _claimed_issuer(text: str) -> str:
    """Return ``iss`` as it claims to be: it chooses the keys; the signature is checked with them afterwards."""
    issuer = _part(text, 1).get("iss")
    if not isinstance(issuer, str):
        raise Unauthorized("The token does not say who issued it.", slug="invalid-token")
    return issuer


def _key_id(text: str) -> str | None:
    found = _part(text, 0).get("kid")
    return found if isinstance(found, str) else None


@lru_cache(maxsize=8)
def own_key(path: Path) -> ECKey:
    """Return our signing key, made once (PEM, mode 0600). Raises PermissionError when others may read it."""
    if not path.exists():
        _make_key(path)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others than its owner: chmod 600 it")
    return ECKey.import_key(path.read_bytes())


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(ECKey.generate_key("P-256", private=True).as_pem(private=True))
    try:
        os.link(fresh, path)  # of two processes that start at once, one wins and both read its key
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
