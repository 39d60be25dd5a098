"""Every error becomes an answer: a problem (RFC 9457) for programs, a page for people; a 500 tells nothing more
than the number under which it is in the log."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g, json, render_template, request
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

from config.problems import Problem, Unauthorized

PROBLEM = "application/problem+json"
PROGRAMS = ("/v1", "/health", "/metrics", "/openapi.json")
"""Where programs call; everything else is read by people."""

_SENTENCES = {
    400: "The request cannot be read.",
    404: "There is nothing at this address.",
    405: "This address does not take that method; see the Allow header.",
    413: "The request is larger than MAX_BODY_BYTES allows.",
    415: "That content type is not read here.",
    429: "Too many requests; wait a little.",
    500: "Something went wrong on our side. Nothing was changed. Tell us the request id.",
    503: "Not just now; try again in a moment.",
}
_RETRY_STATES = {"40001", "40P01", "55P03", "57P01", "57P03", "53300"}
"""SQLSTATEs that pass by themselves: serialization, deadlock, lock timeout, shutdown, starting, too many."""

_log = structlog.get_logger(__name__)


def register(app: Flask) -> None:
    """Render every error of ``app``."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def for_programs() -> bool:
    """Say whether this request is answered in JSON: by its address, not by what it says it accepts."""
    return any(request.path == prefix or request.path.startswith(f"{prefix}/") for prefix in PROGRAMS)


def _problem(problem: Problem) -> Response:
    headers = {}
    if isinstance(problem, Unauthorized):
        # RFC 6750: an error code only when there was a token.
        wrong = ', error="invalid_token"' if problem.type.endswith("/invalid-token") else ""
        headers["WWW-Authenticate"] = f'Bearer realm="brikke"{wrong}'
    return _answer(problem.as_dict(), headers)


def _http(error: HTTPException) -> AnyResponse:
    status = error.code or 500
    if error.response is not None or status < 400:  # abort(response), and redirects of the router
        return error.get_response(request.environ)
    original = getattr(error, "original_exception", None)
    if original is not None:  # raised outside a view: the commit
        return _unexpected(original)
    kept = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After", "WWW-Authenticate"}}
    phrase = HTTPStatus(status).phrase
    body = {
        "type": "/problems/" + re.sub(r"[^a-z]+", "-", phrase.lower()),
        "title": phrase,
        "status": status,
        "detail": _SENTENCES.get(status, f"{phrase}."),
    }
    return _answer(body, kept)


def _unexpected(error: Exception) -> Response:
    if isinstance(error, DBAPIError) and (
        error.connection_invalidated or getattr(error.orig, "sqlstate", None) in {None, *_RETRY_STATES}
    ):
        _log.warning("database_unavailable", error=type(error.orig).__name__, request_id=g.get("request_id"))
        return _answer(_body(503), {"Retry-After": "2"})
    # The message may hold a person's data (a database quotes the row): its type and place are enough to find it.
    _log.error("request_failed", error=type(error).__name__, where=_where(error), request_id=g.get("request_id"))
    return _answer(_body(500))


def _body(status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    slug = phrase.lower().replace(" ", "-")
    return {"type": f"/problems/{slug}", "title": phrase, "status": status, "detail": _SENTENCES[status]}


def _where(error: Exception) -> list[str]:
    """Return the innermost calls as ``file:line function``."""
    calls, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        calls.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return calls[-12:]


def _answer(body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    status: int = body["status"]
    body["request_id"] = g.get("request_id", "")
    if for_programs():
        answer = Response(json.dumps(body), status=status, content_type=PROBLEM)
    else:
        answer = Response(render_template("error.html", problem=body), status=status, content_type="text/html")
    answer.headers.update(headers or {})
    return answer
