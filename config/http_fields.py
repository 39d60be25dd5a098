"""Schemas of the HTTP face: strict, and every field says what it is and shows an example.

A field without ``description`` and ``example`` is refused when the class is made: that is how the OpenAPI
document stays whole. Makers of the usual fields take ``about`` and an example and pass the rest on to
marshmallow. A field is required unless ``required=False`` or a ``load_default`` is given.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow import fields, validate

EARLIEST, LATEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
BIGGEST = 2**53 - 1
"""Largest whole number every JSON reader keeps exact: 90 thousand billion kroner in øre."""


class Schema(ma.Schema):
    """Base of all bodies and answers: unknown fields are refused, every field is described."""

    class Meta:
        unknown = ma.RAISE

    numbers_as_text: ClassVar[bool] = False
    """Whether a number may come as text, as in a query."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, field in cls._declared_fields.items():
            _check_described(f"{cls.__name__}.{name}", field)


class QuerySchema(Schema):
    """Base of query strings, where every value comes as text."""

    numbers_as_text = True


def _check_described(name: str, field: fields.Field[Any]) -> None:
    if "description" not in field.metadata:
        raise TypeError(f"{name} needs a description")
    inner = field.inner if isinstance(field, fields.List) else field
    # What is nested shows the examples of its own fields.
    if not isinstance(inner, fields.Nested | fields.Pluck) and "example" not in field.metadata:
        raise TypeError(f"{name} needs an example")


class WholeNumber(fields.Integer):
    """A JSON integer: 7, not 7.5, "7" or true. In a query, digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> int:
        as_text = getattr(self.root, "numbers_as_text", False)
        if as_text and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        if type(value) is not int:
            raise self.make_error("invalid")
        return value


class Instant(fields.AwareDateTime):
    """An instant with offset (RFC 3339), loaded in UTC and shown with Z."""

    default_error_messages = {  # noqa: RUF012  # as marshmallow has it
        "invalid": "Not an instant such as 2026-03-02T09:15:00Z.",
        "range": "Not between 1990 and 2200.",
    }

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> dt.datetime:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        try:
            found: dt.datetime = super()._deserialize(value, attr, data, **kwargs)
            found = found.astimezone(dt.UTC)
        except OverflowError:
            raise self.make_error("range") from None
        if not EARLIEST <= found < LATEST:
            raise self.make_error("range")
        return found

    def _serialize(self, value: dt.datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


class Text(fields.String):
    """Text without surrounding blanks; no NUL, which the database cannot hold."""

    default_error_messages = {"nul": "Holds a NUL character."}  # noqa: RUF012  # as marshmallow has it

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        if "\0" in found:
            raise self.make_error("nul")
        return found.strip()


class Day(fields.Date):
    """A business date, between 1990 and 2200."""

    default_error_messages = {"range": "Not between 1990 and 2200."}  # noqa: RUF012  # as marshmallow has it

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> dt.date:
        if not isinstance(value, str):
            raise self.make_error("invalid", input=value, obj_type=self.OBJ_TYPE)
        found: dt.date = super()._deserialize(value, attr, data, **kwargs)
        if not EARLIEST.date() <= found < LATEST.date():
            raise self.make_error("range")
        return found


def _more(about: str, example: Any, more: dict[str, Any]) -> dict[str, Any]:
    """Return the field's arguments: required unless it is optional by itself, described, with its example."""
    metadata = {"description": about, "example": example, **more.pop("metadata", {})}
    if "load_default" not in more and not more.get("dump_only"):
        more.setdefault("required", True)
    return {**more, "metadata": metadata}


def _checks(more: dict[str, Any]) -> list[Any]:
    """Take the room's own validators out of the field's arguments; they are added to those of the kind."""
    given = more.pop("validate", [])
    return list(given) if isinstance(given, list | tuple) else [given]


def text(
    about: str, example: str, *, max_length: int = 200, min_length: int = 1, pattern: str | None = None, **more: Any
) -> fields.String:
    """Return a field of text; ``pattern`` must match the whole of it."""
    checks: list[validate.Validator] = [validate.Length(min=min_length, max=max_length)]
    if pattern:
        checks.append(validate.Regexp(f"^(?:{pattern})$(?!\n)", error=f"Must look like {example}."))
    return Text(validate=[*checks, *_checks(more)], **_more(about, example, more))


def ore(about: str, example: int = 20000, *, low: int = -BIGGEST, high: int = BIGGEST, **more: Any) -> fields.Integer:
    """Return a field of money in øre, a whole number."""
    return WholeNumber(validate=[validate.Range(low, high), *_checks(more)], **_more(f"{about} In øre.", example, more))


def whole(about: str, example: int, *, low: int = 0, high: int = BIGGEST, **more: Any) -> fields.Integer:
    """Return a field of whole numbers."""
    return WholeNumber(validate=[validate.Range(low, high), *_checks(more)], **_more(about, example, more))


def agreement_number(about: str = "The agreement's number, 8 digits.", **more: Any) -> fields.Integer:
    """Return a field of an agreement's number."""
    return whole(about, 10000001, low=10_000_000, high=99_999_999, **more)


def instant(about: str, example: str = "2026-03-02T09:15:00Z", **more: Any) -> fields.AwareDateTime:
    """Return a field of an instant; one without offset is refused."""
    return Instant(**_more(about, example, more))


def date(about: str, example: str = "2026-03-02", **more: Any) -> fields.Date:
    """Return a field of a business date (Oslo)."""
    return Day(**_more(about, example, more))


def plate(about: str = "The vehicle's plate, without spaces.", example: str = "EL12345", **more: Any) -> fields.String:
    """Return a field of a number plate."""
    return text(about, example, min_length=2, max_length=12, pattern=r"[A-Za-zÆØÅæøåÄÖÜäöü0-9 -]{2,12}", **more)


def country(about: str = "Country, ISO 3166 alpha-2.", example: str = "NO", **more: Any) -> fields.String:
    """Return a field of a country."""
    return text(about, example, min_length=2, max_length=2, pattern="[A-Z]{2}", **more)


def email(about: str = "E-mail address.", example: str = "kari@example.no", **more: Any) -> fields.String:
    """Return a field of an e-mail address."""
    return fields.Email(validate=validate.Length(max=254), **_more(about, example, more))


def choice(about: str, choices: Sequence[str], example: str | None = None, **more: Any) -> fields.String:
    """Return a field that takes one of some words."""
    return fields.String(validate=validate.OneOf(choices), **_more(about, example or choices[0], more))


def flag(about: str, example: bool = True, **more: Any) -> fields.Boolean:
    """Return a field of true or false."""
    return fields.Boolean(**_more(about, example, more))


def json(about: str, example: Any, **more: Any) -> fields.Raw:
    """Return a field whose value is any JSON."""
    return fields.Raw(**_more(about, example, more))


def mapping(about: str, example: Mapping[str, Any], **more: Any) -> fields.Dict:
    """Return a field of a JSON object with free names."""
    return fields.Dict(keys=fields.String(), **_more(about, dict(example), more))


def nested(schema: type[ma.Schema] | ma.Schema, about: str, **more: Any) -> fields.Nested:
    """Return a field that holds one object of another schema."""
    arguments = _more(about, None, more)
    del arguments["metadata"]["example"]
    return fields.Nested(schema, **arguments)


def many(
    schema: type[ma.Schema] | ma.Schema, about: str, *, at_most: int | None = None, **more: Any
) -> fields.List[Any]:
    """Return a field that holds a list of objects of another schema."""
    arguments = _more(about, None, more)
    del arguments["metadata"]["example"]
    if at_most is not None:
        arguments["validate"] = validate.Length(max=at_most)
    return fields.List(fields.Nested(schema), **arguments)


def list_of(inner: fields.Field[Any], about: str, example: Sequence[Any], *, at_most: int = 100, **more: Any) -> Any:
    """Return a field that holds a list of plain values."""
    return fields.List(inner, validate=validate.Length(max=at_most), **_more(about, list(example), more))
