"""The OpenAPI 3.1 document, made whole: what the decorators say, plus the problems every operation can answer."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import flask_smorest
import marshmallow as ma
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Flask
from werkzeug.routing import IntegerConverter, Map

from config import http
from config.http_fields import BIGGEST, Schema

TITLE = "Brikke"
VERSION = "1"
ABOUT = """The billing backend of a toll tag issuer: from passage to paid.

Money is whole øre; instants are RFC 3339 and shown in UTC; dates are business dates in Europe/Oslo. Errors are
`application/problem+json` (RFC 9457) with a stable `type` and `errors` by field. Lists are pages: send `next` as
`after`. What can be changed has an `ETag`: send it back as `If-Match`. What moves money takes an `Idempotency-Key`.
Send a token as `Authorization: Bearer …`; which roles an operation takes stands under `x-roles`.
"""
METHODS = ("get", "post", "put", "patch", "delete")


class FieldErrorSchema(Schema):
    """What is wrong with one field or record; rooms may add members."""

    class Meta:
        unknown = ma.INCLUDE

    field = http.text(
        "Where: a field, or a path such as items.0.plate; empty for the whole.",
        "email",
        required=False,
        min_length=0,
        max_length=1000,
    )
    message = http.text("What is wrong with it.", "Not a valid email address.", required=False, max_length=2000)


class ProblemSchema(Schema):
    """A problem (RFC 9457). Further members may follow, such as what is still due."""

    class Meta:
        unknown = ma.INCLUDE

    type = http.text("What kind of problem: stable, made to be compared.", "/problems/invalid")
    title = http.text("The kind of problem in words.", "Some of what was sent is not valid")
    status = http.whole("The HTTP status.", 422, low=400, high=599)
    detail = http.text("What happened, and what can be done.", "See errors.", max_length=2000)
    errors = http.many(FieldErrorSchema, "What is wrong, by field or record.", required=False)
    request_id = http.text("Number of the request in our log.", "5f2b8c1d9e0a4b7c", required=False, min_length=0)


class BoundedInteger(IntegerConverter):
    """``<int:…>`` in a path, no larger than the database can ask for: what is larger is simply not found."""

    def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:  # werkzeug's name
        kwargs.setdefault("max", BIGGEST)
        super().__init__(map, *args, **kwargs)


class Api(flask_smorest.Api):  # type: ignore[misc]  # the library has no types
    """flask-smorest's, leaving error answers to web.api.problems."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Leave errors alone: web.api.problems renders every one of them, also those of pages."""

    def _register_pagination_header(self) -> None:
        """Leave it out: our pages carry their cursor in the body."""


def make_api(app: Flask) -> Api:
    """Return the API of ``app``; blueprints are then registered with it."""
    app.url_map.converters["int"] = BoundedInteger
    app.config.update(API_TITLE=TITLE, API_VERSION=VERSION, OPENAPI_VERSION="3.1.0")
    plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
    api = Api(app, spec_kwargs={"info": {"description": ABOUT}, "marshmallow_plugin": plugin})

    api.spec.components.security_scheme(
        "bearer",
        {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "`brikke token --role agent` makes one; other issuers are named in TOKEN_ISSUERS.",
        },
    )
    return api


def _schema_name(schema: Any) -> str:
    """Return a schema's name in the document; one with every field optional is what changes a thing."""
    given = schema if isinstance(schema, type) else type(schema)
    partial = not isinstance(schema, type) and schema.partial
    return given.__name__.removesuffix("Schema") + ("Change" if partial else "")


def document(api: Api) -> dict[str, Any]:
    """Return the whole OpenAPI document of what is registered."""
    if "Problem" not in api.spec.components.schemas:
        api.spec.components.schema("Problem", schema=ProblemSchema)
    spec: dict[str, Any] = api.spec.to_dict()
    used: set[str] = set()
    for path, item in spec.get("paths", {}).items():
        for parameter in item.get("parameters", []):
            _describe_path_parameter(parameter)
        for method in METHODS:
            if method in item:
                operation = item[method]
                operation.setdefault("operationId", _operation_id(method, path))
                for extra in operation.pop("x-headers", []):
                    operation.setdefault("parameters", []).append(extra)
                used |= _add_problems(operation, path)
    spec["components"]["responses"] = {f"Problem{status}": _problem_response(int(status)) for status in sorted(used)}
    return spec


def _operation_id(method: str, path: str) -> str:
    return method + "".join(part.capitalize() for part in re.split(r"[^a-zA-Z0-9]+", path.removeprefix("/v1")) if part)


def _describe_path_parameter(parameter: dict[str, Any]) -> None:
    """Give a path's value the words its name stands for, where the room has not described it."""
    name = parameter.get("name", "")
    known = {
        "number": ("The 8-digit number, or the number the thing is known by.", 10000001),
        "code": ("The charger's code.", "FJELL"),
    }
    about, example = known.get(
        name, (f"Which {name.replace('_', ' ')}.", 1 if parameter.get("schema", {}).get("type") == "integer" else "A1")
    )
    parameter.setdefault("description", about)
    parameter.setdefault("example", example)


def _add_problems(operation: dict[str, Any], path: str) -> set[str]:
    """List the problems that the operation can answer with; returns their statuses."""
    responses: dict[str, Any] = operation.setdefault("responses", {})
    given = {int(status) for status in responses if str(status).isdigit() and int(status) >= 400}
    headers = {parameter.get("name") for parameter in operation.get("parameters", []) if "name" in parameter}
    given |= {400, 500, 503}
    if operation.get("x-roles"):
        given |= {401, 403}
    if "{" in path:
        given.add(404)
    if "requestBody" in operation:
        given |= {413, 415, 422}
    if "If-Match" in headers:
        given |= {412, 428}
    if "Idempotency-Key" in headers:
        given |= {409, 422, 428}
    for status in given:
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return {str(status) for status in given}


def _problem_response(status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    example = {
        "type": "/problems/" + re.sub(r"[^a-z]+", "-", phrase.lower()),
        "title": phrase,
        "status": status,
        "detail": f"{phrase}.",
        "request_id": "5f2b8c1d9e0a4b7c",
    }
    return {
        "description": phrase,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
        },
    }


__all__ = ["Api", "BoundedInteger", "ProblemSchema", "document", "make_api"]
