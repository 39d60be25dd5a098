"""``/health/live``, ``/health/ready`` and ``/metrics``: for those who run Brikke."""

from __future__ import annotations

from functools import cache

from flask import Blueprint, Response, jsonify
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from config import metrics
from config.http import current_session
from config.problems import Problem
from migrations.run import head

blp = Blueprint("health", __name__)


class NotReady(Problem):
    """The process runs and cannot serve."""

    status = 503
    slug = "not-ready"
    title = "Not ready"


@blp.get("/health/live")
def live() -> Response:
    """Say that the process runs; asks nothing of anybody else."""
    return jsonify(status="live")


@blp.get("/health/ready")
def ready() -> Response:
    """Say whether requests can be served: the database answers, and its tables are those of this version."""
    try:
        current_session().execute(text("SET LOCAL statement_timeout = '2s'"))
        found = current_session().scalar(text("SELECT version_num FROM alembic_version"))
    except SQLAlchemyError as error:
        raise NotReady(f"The database does not answer ({type(error).__name__}).") from None
    if found != newest():
        raise NotReady(f"The database is at {found}, this version needs {newest()}: run `brikke migrate`.")
    return jsonify(status="ready", revision=found)


@blp.get("/metrics")
def figures() -> Response:
    """Return the figures for Prometheus."""
    body, kind = metrics.scrape(current_session())
    return Response(body, content_type=kind)


@cache
def newest() -> str:
    """Return the newest revision this version knows."""
    return head()
