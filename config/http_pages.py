"""Keyset pages: ``?after=&limit=`` in, ``{"items": […], "next": "…"}`` out.

A cursor holds the key of the last row shown, not a count of rows, so a page costs the same at the end of a
list as at its start and nothing is shown twice when rows arrive meanwhile. It is opaque to callers; one that
was tampered with is refused or moves within what the caller may see anyway.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import current_app
from marshmallow import fields, post_load, validate
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from config.http_fields import BIGGEST, QuerySchema, Schema, WholeNumber
from config.problems import Invalid

DEFAULT_LIMIT = 50
_TAGS = {"d": dt.date.fromisoformat, "t": dt.datetime.fromisoformat}


@dataclass(frozen=True)
class Page:
    """Rows of one page, and the cursor of the next (None at the end)."""

    items: list[Any]
    next: str | None


class PageQuery(QuerySchema):
    """``after`` and ``limit``; a room's list query inherits it and adds its filters."""

    after = fields.String(
        load_default=None,
        validate=validate.Length(max=500),
        metadata={"description": "The `next` of the page before; left out for the first page.", "example": "WzQyXQ"},
    )
    limit = WholeNumber(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, BIGGEST),
        metadata={"description": "How many; the server's PAGE_MAX is the most it gives.", "example": 50},
    )

    @post_load
    def _cut(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        data["limit"] = min(data["limit"], current_app.config["PAGE_MAX"])
        return data


@cache
def page_of(item: type[Schema]) -> type[Schema]:
    """Return the schema of a page of ``item``: ``@blp.response(200, http.page_of(PassageSchema))``."""
    name = item.__name__.removesuffix("Schema")
    return Schema.from_dict(  # type: ignore[return-value]  # of our Schema, a subclass of it
        {
            "items": fields.List(
                fields.Nested(item), required=True, metadata={"description": "The rows of this page, in order."}
            ),
            "next": fields.String(
                required=True,
                allow_none=True,
                metadata={"description": "Send as `after` for the next page; null at the end.", "example": "WzQyXQ"},
            ),
        },
        name=f"{name}PageSchema",
    )


def paged(
    session: Session,
    statement: Select[*tuple[Any, ...]],
    keys: Sequence[InstrumentedAttribute[Any] | ColumnElement[Any]],
    *,
    after: str | None,
    limit: int,
    descending: bool = False,
) -> Page:
    """Run ``statement`` as one page in the order of ``keys``, which together are unique and never null.

    Each key is selected under its own name, so that it can be read off the last row. Items are entities when
    the statement selects one, else rows. ``limit`` is at least 1 (PageQuery sees to it and to PAGE_MAX).
    Raises Invalid for a cursor that is not ours.
    """
    columns = [key.desc() if descending else key.asc() for key in keys]
    if after is not None:
        values = [literal(value, key.type) for value, key in zip(_decode(after, keys), keys, strict=True)]
        here, there = tuple_(*keys), tuple_(*values)
        statement = statement.where(here < there if descending else here > there)
    result = session.execute(statement.order_by(*columns).limit(limit + 1))
    single = len(statement.column_descriptions) == 1
    rows: list[Any] = list(result.scalars() if single else result)
    if len(rows) <= limit:
        return Page(rows, None)
    last = rows[limit - 1]
    return Page(rows[:limit], encode([getattr(last, str(key.key)) for key in keys]))


def encode(values: Sequence[Any]) -> str:
    """Return the cursor of a row's key: whole numbers, texts, dates, instants."""
    plain = [
        {"t": value.isoformat()}
        if isinstance(value, dt.datetime)
        else {"d": value.isoformat()}
        if isinstance(value, dt.date)
        else value
        for value in values
    ]
    return base64.urlsafe_b64encode(json.dumps(plain, separators=(",", ":")).encode()).decode().rstrip("=")


def _decode(cursor: str, keys: Sequence[Any]) -> list[Any]:
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        values = [
            _TAGS[next(iter(value))](next(iter(value.values()))) if isinstance(value, dict) else value
            for value in json.loads(raw)
        ]
        fits = len(values) == len(keys) and all(map(_fits, values, keys))
    except (binascii.Error, ValueError, TypeError, KeyError, StopIteration, RecursionError):
        fits = False
    if not fits:
        raise Invalid(
            "That is not a cursor of this list.",
            errors=[{"field": "after", "message": "Use the `next` of the page before, unchanged."}],
        )
    return values


def _fits(value: Any, key: Any) -> bool:
    if type(value) is not key.type.python_type:
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, dt.datetime):
        return value.tzinfo is not None
    return not isinstance(value, str) or "\0" not in value
