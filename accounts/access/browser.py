"""Signing in with a browser: a signed session cookie for My Page and the support desk, never for /v1.

The cookie is HttpOnly and SameSite=Lax, and Secure unless we are only reached on this machine (web.app sets
that). Every form carries ``csrf_token()``; web.app refuses a POST to a page without it.
"""

from __future__ import annotations

import datetime as dt
import hmac
import secrets
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import current_app, g, redirect, request, session, url_for
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect
from werkzeug.wrappers import Response

from accounts.access.principal import Principal, from_claims
from config.clock import now_utc
from config.problems import Forbidden, Unauthorized

P = ParamSpec("P")
R = TypeVar("R")

IDLE = dt.timedelta(hours=2)
LONGEST = dt.timedelta(hours=12)


def sign_in(who: Principal) -> None:
    """Begin a session for ``who``. What was in the cookie before is gone, so that nobody's session is taken over."""
    session.clear()
    now = int(now_utc().timestamp())
    session["who"] = who.claims()
    session["since"] = session["seen"] = now
    session["csrf"] = secrets.token_urlsafe(24)
    g.principal = who


def sign_out() -> None:
    """End the session."""
    session.clear()
    g.pop("principal", None)


def signed_in_principal() -> Principal | None:
    """Return who is signed in with this browser, None when nobody is or the session is too old."""
    held, since, seen = session.get("who"), session.get("since"), session.get("seen")
    if not isinstance(held, dict) or not isinstance(since, int) or not isinstance(seen, int):
        return None
    now = int(now_utc().timestamp())
    if now - since > LONGEST.total_seconds() or now - seen > IDLE.total_seconds():
        language = session.get("language")
        session.clear()
        if language is not None:
            session["language"] = language  # no secret, and they are about to be told that they were signed out
        return None
    if now - seen > 60:
        session["seen"] = now
    try:
        return from_claims(held)
    except ValueError:
        session.clear()
        return None


def signed_in(*roles: str, otherwise: str | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only these roles see a page; sets ``principal()``.

    Nobody signed in: a GET is sent to the endpoint ``otherwise`` with ``next``, a form as ``sent_to_sign_in`` says;
    without ``otherwise`` it is 401. Another role: 403.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            who = signed_in_principal()
            if who is None:
                if otherwise and request.method == "GET":
                    return redirect(url_for(otherwise, next=request.path))  # type: ignore[return-value]  # views return P's R or a redirect
                raise Unauthorized("Sign in first.")
            if who.role not in roles:
                raise Forbidden("This page is for others.")
            g.principal = who
            return view(*args, **kwargs)

        wrapper.sign_in = otherwise  # type: ignore[attr-defined]  # read by sent_to_sign_in
        return wrapper

    return decorate


def sent_to_sign_in() -> Response | None:
    """Return where to send a form that needs somebody signed in, when nobody is (any more); else None.

    Nothing of the form is done, then or later: after signing in one is back on a page that can be read. What is
    said stands in the address, not in a flash: a form from another site comes without our cookie, and setting one
    would sign people out.
    """
    view = current_app.view_functions.get(request.endpoint or "")
    place: str | None = getattr(view, "sign_in", None)
    if place is None or signed_in_principal() is not None:
        return None
    return redirect(url_for(place, next=_readable(request.path), signed_out=1), 303)


def _readable(path: str) -> str | None:
    """Return the nearest page at or above a path that can be read with GET; None where there is none."""
    adapter = current_app.create_url_adapter(request)
    while adapter is not None and path.strip("/"):
        try:
            endpoint, _ = adapter.match(path, method="GET")
        except RequestRedirect:
            return path
        except HTTPException:
            endpoint = ""
        if getattr(current_app.view_functions.get(endpoint), "sign_in", None):
            return path
        path = path.rstrip("/").rpartition("/")[0]
    return None


def safe_next(target: str | None, otherwise: str) -> str:
    """Return where to go after signing in: a path of ours, never another site."""
    if target and target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable():
        return target
    return otherwise


def csrf_token() -> str:
    """Return the session's token for forms: ``<input type="hidden" name="csrf_token" value="…">``."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    token: str = session["csrf"]
    return token


def check_csrf() -> None:
    """Refuse a request that does not carry the session's token (form field, or header X-CSRF-Token)."""
    held: Any = session.get("csrf")
    sent = request.form.get("csrf_token") or request.headers.get("X-CSRF-Token", "")
    if not isinstance(held, str) or not hmac.compare_digest(held.encode(), sent.encode()):
        raise Forbidden("The form is too old or did not come from this site; load the page again.", slug="csrf")
