"""What every ``api.py`` shares, free of business: ``from config import http``.

The request's session, business instant and settings live here; the rest is gathered from its neighbours, so
that a room needs one import: ``Blueprint`` (http_blueprint), ``Schema`` and the makers of fields
(http_fields), keyset pages (http_pages), ETag and If-Match (http_versions).

One request is one transaction: the session is opened when first asked for, committed when the answer's
status is below 400 and rolled back otherwise, before the first byte of the answer leaves.
"""

from __future__ import annotations

import datetime as dt
from typing import cast

from flask import Flask, Response, current_app, g
from psycopg.pq import TransactionStatus
from sqlalchemy.orm import Session

from config.clock import business_now
from config.database import SessionFactory, raw
from config.http_blueprint import Blueprint
from config.http_fields import (
    QuerySchema,
    Schema,
    agreement_number,
    choice,
    country,
    date,
    email,
    flag,
    instant,
    json,
    list_of,
    many,
    mapping,
    nested,
    ore,
    plate,
    text,
    whole,
)
from config.http_pages import Page, PageQuery, page_of, paged
from config.http_versions import check_if_match, check_new, etag, if_match, if_match_unless_new
from config.settings import Settings

__all__ = [
    "Blueprint",
    "Page",
    "PageQuery",
    "QuerySchema",
    "Schema",
    "agreement_number",
    "allow_content",
    "attach",
    "check_if_match",
    "check_new",
    "choice",
    "country",
    "current_session",
    "current_sessions",
    "current_settings",
    "date",
    "email",
    "etag",
    "flag",
    "if_match",
    "if_match_unless_new",
    "instant",
    "json",
    "list_of",
    "many",
    "mapping",
    "nested",
    "ore",
    "page_of",
    "paged",
    "plate",
    "request_now",
    "text",
    "whole",
]

_EXTENSION = "brikke-http"


class _Ground:
    """What requests of one application stand on."""

    def __init__(self, settings: Settings, sessions: SessionFactory) -> None:
        self.settings = settings
        self.sessions = sessions


def attach(app: Flask, settings: Settings, sessions: SessionFactory) -> None:
    """Let requests of ``app`` use ``current_session``, ``request_now`` and ``current_settings``.

    Call it last: Flask runs after-request functions in reverse, and the commit must come before what writes
    headers and logs, for a commit that fails is an answer that fails.
    """
    app.extensions[_EXTENSION] = _Ground(settings, sessions)
    app.after_request(_finish)
    app.teardown_appcontext(_close)


def _ground() -> _Ground:
    return cast(_Ground, current_app.extensions[_EXTENSION])


def current_settings() -> Settings:
    """Return the settings the application was made with."""
    return _ground().settings


def current_session() -> Session:
    """Return the request's session, opened at the first call. Verbs take it; nobody in a room commits it."""
    if "session" not in g:
        g.session = _ground().sessions()
    return cast(Session, g.session)


def current_sessions() -> SessionFactory:
    """Return the factory of sessions, for the few verbs that call out of the house between two transactions."""
    return _ground().sessions


def request_now() -> dt.datetime:
    """Return the business instant (aware, UTC) of this request: read once, the same until its end."""
    if "now" not in g:
        g.now = business_now(current_session())
    return cast(dt.datetime, g.now)


def allow_content(directive: str, origin: str) -> None:
    """Let this one answer's Content-Security-Policy name a further origin, e.g. ``("form-action", gateway)``."""
    g.setdefault("csp_extra", []).append((directive, origin))


def _finish(response: Response) -> Response:
    session: Session | None = g.get("session")
    if session is not None:
        if response.status_code < 400:
            _check_whole(session)
            session.commit()
        else:
            session.rollback()
    return response


def _check_whole(session: Session) -> None:
    """Refuse to commit after a database error that somebody swallowed: PostgreSQL would take COMMIT for ROLLBACK,
    say nothing, and the caller would be told that it was done."""
    if session.in_transaction() and raw(session).info.transaction_status == TransactionStatus.INERROR:
        raise RuntimeError("the transaction has failed and cannot be committed")


def _close(_error: BaseException | None) -> None:
    session: Session | None = g.pop("session", None)
    if session is not None:
        session.close()
