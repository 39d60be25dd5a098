"""The blueprint of a room: flask-smorest's, with types, problem answers and strict reading of bodies."""

from __future__ import annotations

import http
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

import flask_smorest
import marshmallow as ma
from flask import Request
from webargs import core
from webargs.flaskparser import FlaskParser

from config.problems import Invalid, Problem, Unsupported

P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=Callable[..., Any])

SchemaLike = ma.Schema | type[ma.Schema]


class _Parser(FlaskParser):
    """Reads arguments: other content types are 415, what is not JSON is 400, unknown query names are refused."""

    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {  # noqa: RUF012  # the parent has it so
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": ma.RAISE,
    }

    def _raw_load_json(self, req: Request) -> Any:
        body = req.get_data(cache=True)
        if not body:
            return core.missing
        if not core.is_json(req.mimetype):
            raise Unsupported(f"Send application/json; {req.mimetype or 'no content type'} is not read here.")
        return read_json(body)

    def handle_error(
        self,
        error: ma.ValidationError,
        req: Request,
        schema: ma.Schema,
        *,
        error_status_code: int | None,
        error_headers: Mapping[str, str] | None,
    ) -> NoReturn:
        raise Invalid("Some of what was sent is not valid; see errors.", errors=flatten(error.messages))


def read_json(body: bytes) -> Any:
    """Return the value of a JSON text in UTF-8.

    Refuses, with a Problem (400), what JSON does not have (NaN), and what no text column of the database can
    hold (NUL, half a surrogate pair).
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise Problem("The body holds text that is not UTF-8.", slug="not-json") from None
    except RecursionError:
        raise Problem("The body is nested too deeply.", slug="not-json") from None
    except ValueError as error:
        raise Problem(f"The body is not JSON: {error}.", slug="not-json") from None
    if b"\\u0000" in body and _has_nul(value):
        raise Problem("The body holds a NUL character.", slug="not-json")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def flatten(messages: Any, path: str = "") -> list[dict[str, str]]:
    """Return marshmallow's nested messages as ``[{"field": "items.0.plate", "message": "…"}]``."""
    if isinstance(messages, Mapping):
        found: list[dict[str, str]] = []
        for key, below in messages.items():
            # The location (json, query) and the schema's own "_schema" say nothing to a caller.
            hidden = (
                not path and key in {"json", "query", "form", "headers", "path"} and isinstance(below, Mapping)
            ) or (key == "_schema")
            found += flatten(below, path if hidden else f"{path}.{key}" if path else str(key))
        return found
    if isinstance(messages, list | tuple):
        return [entry for each in messages for entry in flatten(each, path)]
    return [{"field": path, "message": str(messages)}]


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # the library has no types
    """A room's blueprint. Decorators of an endpoint, from above: require, idempotent, arguments, response."""

    ARGUMENTS_PARSER = _Parser()

    def route(
        self, rule: str, *, parameters: Sequence[Mapping[str, Any]] | None = None, tags: Sequence[str] | None = None
    ) -> Callable[[C], C]:
        """Register a MethodView under the blueprint's prefix."""
        decorate: Callable[[C], C] = super().route(rule, parameters=parameters, tags=tags)
        return decorate

    def arguments(
        self, schema: SchemaLike, *, location: str = "json", description: str | None = None, required: bool = True
    ) -> Callable[[Callable[..., R]], Callable[..., R]]:
        """Parse the body (or ``location="query"``) and hand the loaded value to the view, before its path values."""
        decorate: Callable[[Callable[..., R]], Callable[..., R]] = super().arguments(
            schema, location=location, description=description, required=required
        )
        return decorate

    def response(
        self,
        status_code: int,
        schema: SchemaLike | Mapping[str, Any] | None = None,
        *,
        content_type: str | None = None,
        description: str | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
        """Render what the view returns: a value, or ``(value, headers)``, or ``(value, status, headers)``."""
        decorate: Callable[[Callable[P, Any]], Callable[P, Any]] = super().response(
            status_code, schema, content_type=content_type, description=description, headers=headers
        )
        return decorate

    def problems(self, *statuses: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Document further problem answers (409, 404 …); those every operation can give are added by themselves."""

        def decorate(view: Callable[P, R]) -> Callable[P, R]:
            for status in statuses:
                view = self.alt_response(status, http.HTTPStatus(status).name)(view)
            return view

        return decorate


__all__ = ["Blueprint", "flatten", "read_json"]
