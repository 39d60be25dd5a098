"""The front door: create_app() and the `brikke` command line. Wires, decides nothing."""

from __future__ import annotations

import importlib
import time

import click
from flask import Flask, Response, g, jsonify, request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from commands.database import config_command, migrate
from commands.jobs import jobs
from commands.processes import scheduler, serve, worker
from commands.run import run
from config import metrics, settings
from config.runtime import EXTENSION, Runtime, current_runtime, open_runtime
from config.settings import Settings

FACES: tuple[str, ...] = ()
"""What is served, as ``package.module``; each has ``register(app: Flask) -> None``. Imported when an app is made."""


def create_app(loaded: Settings | None = None, runtime: Runtime | None = None) -> Flask:
    """Return the web application: every face, on the database of the settings (or of ``runtime``, in tests).

    Raises SettingsError or EmbeddedError with one line.
    """
    runtime = runtime or open_runtime(loaded or settings.load())
    app = Flask("brikke", static_folder=None)
    app.extensions[EXTENSION] = runtime
    app.config.update(
        SECRET_KEY=runtime.settings.session_secret(),
        MAX_CONTENT_LENGTH=runtime.settings.max_body_bytes,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=runtime.settings.url.startswith("https://"),
        JSON_SORT_KEYS=False,
    )
    app.before_request(_begin)
    app.after_request(_measure)
    app.add_url_rule("/health/live", "health_live", _live)
    app.add_url_rule("/health/ready", "health_ready", _ready)
    app.add_url_rule("/metrics", "metrics", _metrics)
    for name in FACES:
        importlib.import_module(name).register(app)
    return app


def _begin() -> None:
    g.began = time.monotonic()


def _measure(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else "unknown"  # the pattern: no numbers of people
    metrics.HTTP_REQUESTS.labels(request.method, route, response.status_code).inc()
    metrics.HTTP_SECONDS.labels(route).observe(time.monotonic() - g.began)
    return response


def _live() -> Response:
    """Say that the process runs."""
    return jsonify(status="live")


def _ready() -> tuple[Response, int]:
    """Say whether requests can be served: the database answers and its tables are there."""
    try:
        with current_runtime().sessions() as session:
            version = session.scalar(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError as error:
        return jsonify(status="not ready", detail=f"the database: {type(error).__name__}"), 503
    return jsonify(status="ready", revision=version), 200


def _metrics() -> Response:
    """Return the figures for Prometheus."""
    with current_runtime().sessions() as session:
        body, kind = metrics.scrape(session)
    return Response(body, content_type=kind)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Brikke: the billing backend of a toll tag issuer. Settings: `brikke config`."""


for command in (run, serve, worker, scheduler, migrate, config_command, jobs):
    main.add_command(command)


if __name__ == "__main__":
    main()
