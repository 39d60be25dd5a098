"""The guard of /v1: which roles an operation lets in, by bearer token and by nothing else.

``@require("agent", "lead")`` is the topmost decorator of an endpoint, so that nobody unknown gets as far as
having a body parsed. It writes ``x-roles`` and the security scheme into the operation's OpenAPI entry; the
tests of wrong roles and the fuzzing read them from there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request

from accounts.access import tokens
from accounts.access.principal import ROLES, Principal, principal
from config.clock import now_utc
from config.http import current_settings
from config.http_versions import document
from config.problems import Forbidden, Unauthorized

__all__ = ["Principal", "principal", "public", "require"]

P = ParamSpec("P")
R = TypeVar("R")


def require(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only these roles in, with a valid bearer token; sets ``principal()``. 401 without one, 403 for others."""
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise ValueError(f"roles are some of {', '.join(ROLES)}, not {', '.join(unknown) or 'none'}")

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            caller = _bearer()
            if caller.role not in roles:
                raise Forbidden(f"The role {caller.role} may not do this; it takes {' or '.join(sorted(roles))}.")
            g.principal = caller
            return view(*args, **kwargs)

        return document(wrapper, **{"x-roles": sorted(roles), "security": [{"bearer": []}]})

    return decorate


def public(view: Callable[P, R]) -> Callable[P, R]:
    """Mark an operation of /v1 that takes no token (a webhook, which has a signature of its own)."""
    return document(view, security=[])


def _bearer() -> Principal:
    """Return whom the Authorization header speaks for. A session cookie is not looked at: no CSRF on /v1."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise Unauthorized("Send a token: Authorization: Bearer …", slug="no-token")
    return tokens.verify(current_settings(), text.strip(), now_utc())
