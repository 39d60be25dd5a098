"""Around every request: its id, the access log, figures, security headers, CORS, and forms' CSRF token.

The log names the route's pattern and never the path, query or body: numbers of agreements and search words
are somebody's.
"""

from __future__ import annotations

import re
import secrets
import time

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import BadRequest, NotFound
from werkzeug.wrappers import Response as AnyResponse

from accounts.access.browser import check_csrf, sent_to_sign_in
from config import metrics
from config.settings import Settings
from web.api.problems import for_programs

SAFE = {"GET", "HEAD", "OPTIONS"}
CONTENT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
CORS_HEADERS = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-Id"
CORS_EXPOSED = "ETag, Location, Idempotent-Replayed, X-Request-Id, Retry-After, Content-Disposition"
CORS_METHODS = "GET, POST, PUT, PATCH, DELETE"

_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_log = structlog.get_logger("web.access")


def register(app: Flask, settings: Settings) -> None:
    """Surround every request of ``app``."""
    https = settings.url.startswith("https://")

    def headers(response: Response) -> Response:
        _secure(response, https=https)
        _share(response, settings.cors_origins)
        return response

    app.before_request(_begin)
    app.before_request(_refuse)
    # In reverse order: headers, then what has been answered is measured and logged.
    app.after_request(_measure)
    app.after_request(headers)


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
    g.began = time.monotonic()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _refuse() -> AnyResponse | None:
    """Refuse what no room should have to think of: NUL in an address, and a form without its CSRF token. Who has been
    signed out has no valid token either: they are sent to sign in."""
    if "\0" in request.path:
        raise NotFound
    if any("\0" in text for pair in request.args.items(multi=True) for text in pair):
        raise BadRequest
    if request.endpoint and request.method not in SAFE and not for_programs():
        elsewhere = sent_to_sign_in()
        if elsewhere is not None:
            return elsewhere
        check_csrf()
    return None


def _measure(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "unknown"
    seconds = time.monotonic() - g.get("began", time.monotonic())
    metrics.HTTP_REQUESTS.labels(_method(), route, response.status_code).inc()
    metrics.HTTP_SECONDS.labels(route).observe(seconds)
    who = g.get("principal")
    _log.info(
        "request",
        method=_method(),
        route=route,
        status=response.status_code,
        ms=round(seconds * 1000, 1),
        role=who.role if who else None,
    )
    return response


def _method() -> str:
    """Return the method, or OTHER for a made-up one: labels of metrics must stay few."""
    return request.method if request.method in {*SAFE, "POST", "PUT", "PATCH", "DELETE"} else "OTHER"


def _secure(response: Response, *, https: bool) -> None:
    content = dict(CONTENT)
    for directive, origin in g.get("csp_extra", []):
        content[directive] = f"{content.get(directive, chr(39) + 'self' + chr(39))} {origin}"
    policy = "; ".join(f"{name} {value}" for name, value in content.items())
    response.headers.setdefault("Content-Security-Policy", policy)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if https:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers["X-Request-Id"] = g.get("request_id", "")
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    if request.method == "GET" and response.status_code == 200 and "ETag" in response.headers:
        response.make_conditional(request)


def _share(response: Response, origins: tuple[str, ...]) -> None:
    """Let listed front ends call /v1 with a token. No cookies are shared, so no credentials are allowed."""
    if not request.path.startswith("/v1/") or not origins:
        return
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin", "")
    if origin not in origins:
        return
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = CORS_EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = CORS_METHODS
        response.headers["Access-Control-Allow-Headers"] = CORS_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"
