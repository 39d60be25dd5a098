"""Signed names for public pages: a token names one thing, for one purpose, for a limited time, and nothing of a person.

One module for every page that is opened without signing in (an e-mail's document, the page a bank opens): HS256 with
a key derived from SECRET_KEY, so that no token is a session and none is good for another purpose. Tokens live in real
time. With more than one host SECRET_KEY must be set, the same everywhere.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from config.settings import Settings

ALGORITHM = "HS256"
LONGEST = 512
"""Characters of a token; ours have about 130."""
_LARGEST = 2**63 - 1


class BadTokenError(ValueError):
    """It is no token of ours for this purpose."""


@dataclass(frozen=True)
class Named:
    """What a token names: the ``id`` it was signed for, until when (real time), and whether that is over."""

    id: int
    until: dt.datetime
    expired: bool


def sign(settings: Settings, purpose: str, id: int, days: int, *, real: dt.datetime) -> str:
    """Return a token that names ``id`` for ``purpose`` until so many days (24 hours each) after the real instant.

    It may stand in a path as it is. Raises ValueError for no days or an id below one.
    """
    if days < 1 or not 0 < id <= _LARGEST:
        raise ValueError("a token names something, for at least a day")
    claims = {"aud": purpose, "sub": str(id), "exp": int((real + dt.timedelta(days=days)).timestamp())}
    return jwt.encode({"alg": ALGORITHM}, claims, _key(settings), [ALGORITHM])


def read(settings: Settings, purpose: str, token: str, *, real: dt.datetime) -> Named:
    """Return what a token names. One whose time is over is returned as such. Raises BadTokenError for any other."""
    if len(token) > LONGEST or not token.isascii():
        raise BadTokenError("that is not a token of ours")
    try:
        claims = jwt.decode(token, _key(settings), [ALGORITHM], registry=JWSRegistry(algorithms=[ALGORITHM])).claims
        about, until = claims["sub"], claims["exp"]
        if claims["aud"] != purpose or not isinstance(about, str) or not isinstance(until, int):
            raise BadTokenError("it was signed for something else")
        named = Named(int(about), dt.datetime.fromtimestamp(until, dt.UTC), real.timestamp() >= until)
    except (JoseError, KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise BadTokenError("that is not a token of ours for this") from None
    return named


def _key(settings: Settings) -> OctKey:
    derived = hmac.new(settings.session_secret().encode(), b"brikke public links", hashlib.sha256).digest()
    return OctKey.import_key(derived)
