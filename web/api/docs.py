"""``/openapi.json`` and ``/docs``: Swagger UI from the wheel's own files, nothing loaded from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, abort, current_app, json, redirect, render_template, send_from_directory, url_for
from werkzeug.wrappers import Response as AnyResponse

from web.api.openapi import Api, document

ASSETS = ("swagger-ui.css", "index.css", "swagger-ui-bundle.js", "favicon-32x32.png", "favicon-16x16.png")

blp = Blueprint("docs", __name__)


def publish(api: Api) -> None:
    """Keep the finished document with the application; called when all blueprints are registered."""
    app = api._app
    app.extensions["brikke-openapi"] = document(api)
    app.register_blueprint(blp)


@blp.get("/openapi.json")
def openapi_json() -> Response:
    """Return the OpenAPI document."""
    found: dict[str, Any] = current_app.extensions["brikke-openapi"]
    return Response(json.dumps(found), content_type="application/json", headers={"Cache-Control": "max-age=60"})


@blp.get("/docs")
def docs() -> str:
    """Show the document so that it can be read and tried."""
    return render_template("docs.html")


@blp.get("/docs/")
def docs_slash() -> AnyResponse:
    """Lead to the page."""
    return redirect(url_for("docs.docs"))


@blp.get("/docs/<path:name>")
def asset(name: str) -> Response:
    """Return one of Swagger UI's files."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(_folder(), name, max_age=86400)


@cache
def _folder() -> str:
    return str(files("flask_swagger_ui") / "dist")
