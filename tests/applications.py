"""The web application for tests: put together once a process for the same settings and lent to test after test.

Putting it together takes a third of a second: hundreds of routes, and the whole OpenAPI document. Of the settings
it keeps what they say in ``app.config``, and itself nothing of the folder, the database, the card gateway's address or
its own port, which requests ask for; so these are what each test gives anew. An application that a test has changed is
not lent again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from flask import Flask
from sqlalchemy import Engine

import web.app
from config import http
from config.database import session_factory
from config.settings import Settings

PER_TEST = ("SECRET_KEY",)


@dataclass
class _Made:
    app: Flask
    looks: list[Any]


_MADE: dict[tuple[object, ...], _Made] = {}


def application(settings: Settings, engine: Engine) -> Flask:
    """Return what ``web.app.create_app`` would."""
    url = re.sub(r"(?<=^http://127\.0\.0\.1:)\d+$", "PORT", settings.url)
    likened = replace(settings, port=0, url=url, stripe_api_base="", database_url="")
    asked = (web.app.ROOMS, web.app.PAGES, repr(likened).replace(str(settings.var), "VAR"))
    made = _MADE.get(asked)
    if made is not None and _looks(made.app) == made.looks:
        made.app.config["SECRET_KEY"] = settings.session_secret()
        made.app.extensions[http._EXTENSION] = http._Ground(settings, session_factory(engine))
        return made.app
    app = web.app.create_app(settings, engine)
    _MADE[asked] = _Made(app, _looks(app))
    return app


def _looks(app: Flask) -> list[Any]:
    """Return what a test could have changed about an application."""
    config = {name: value for name, value in app.config.items() if name not in PER_TEST}
    around = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs, app.url_default_functions)
    errors = [
        (where, code, dict(by))
        for where, codes in app.error_handler_spec.items()
        for code, by in codes.items()
        if by  # asking adds empty ones
    ]
    rules = [(rule.rule, rule.endpoint) for rule in app.url_map.iter_rules()]
    extensions = {name: value for name, value in app.extensions.items() if name != http._EXTENSION}
    return [
        config,
        [{where: list(functions) for where, functions in one.items() if functions} for one in around],
        list(app.teardown_appcontext_funcs),
        errors,
        rules,
        dict(app.view_functions),
        extensions,
        dict(app.jinja_env.globals),
        dict(app.jinja_env.filters),
        (app.debug, app.testing, app.session_interface, app.json, app.test_client_class),
    ]
