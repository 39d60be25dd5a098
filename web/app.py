"""The web application: every room's face, put together from two lists."""

from __future__ import annotations

import datetime as dt
import importlib
from typing import Any
from urllib.parse import urlsplit

import flask
from sqlalchemy import Engine

from accounts.access.browser import LONGEST, csrf_token
from config import http
from config.database import session_factory
from config.settings import Settings
from config.values import is_loopback
from web.api import docs, headers, health, openapi, problems

ROOMS = (
    "accounts.customers.api",
    "accounts.agreements.api",
    "accounts.vehicles.api",
    "accounts.chargers.api",
    "accounts.chargers.oddities_api",
    "billing.passages.api",
    "billing.passages.mass.api",
    "billing.invoices.api",
    "billing.cards.acts_api",
    "billing.cards.api",
    "billing.cards.confirm_api",
    "billing.cards.refund_api",
    "billing.cards.reconcile_api",
    "billing.payments.api",
    "billing.payments.payout_api",
    "billing.payments.vipps.api",
    "billing.roadside.api",
    "billing.roadside.exchange.api",
    "billing.roadside.files_api",
    "billing.roadside.complaints.api",
    "billing.roadside.lists.api",
    "billing.roadside.lists.validity_api",
    "billing.roadside.settlement.api",
    "billing.roadside.reconcile.api",
    "billing.collection.api",
    "billing.delivery.api",
    "billing.audit.api",
    "web.api.operations",
)
"""Modules of /v1; each has ``blp``, a ``config.http.Blueprint``. The order is the one of /docs."""

PAGES = ("web.signin", "web.mypage", "web.support", "web.links", "web.efaktura")
"""Packages of HTML pages; each has ``blp``, a Flask blueprint."""


class Application(flask.Flask):
    """Flask, with errors logged in one place: web.api.problems, which leaves people's data out."""

    def log_exception(self, exc_info: Any) -> None:
        """Leave it to the error handler."""


def create_app(settings: Settings, engine: Engine) -> flask.Flask:
    """Return the application on this database. Raises ImportError when a listed face does not exist."""
    app = Application("web")
    app.config.update(
        SECRET_KEY=settings.session_secret(),
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        PAGE_MAX=settings.page_max,
        SESSION_COOKIE_NAME="brikke",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        # A browser keeps no secure cookie of plain http, which is what one's own machine is reached by.
        SESSION_COOKIE_SECURE=not _only_here(settings),
        PERMANENT_SESSION_LIFETIME=LONGEST,
        SEND_FILE_MAX_AGE_DEFAULT=dt.timedelta(hours=1),
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of Flask's default provider
    app.jinja_env.globals["csrf_token"] = csrf_token
    headers.register(app, settings)
    problems.register(app)
    api = openapi.make_api(app)
    for module in ROOMS:
        api.register_blueprint(importlib.import_module(module).blp)
    for package in PAGES:
        app.register_blueprint(importlib.import_module(package).blp)
    app.register_blueprint(health.blp)
    docs.publish(api)
    http.attach(app, settings, session_factory(engine))
    return app


def _only_here(settings: Settings) -> bool:
    """Say whether browsers reach us at a loopback address only, over plain http."""
    parts = urlsplit(settings.url)
    return parts.scheme == "http" and is_loopback(parts.hostname or "")
