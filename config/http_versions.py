"""Changing what one has read: ``ETag`` made from a row's ``version`` (a number, or what it says in short), checked
by ``If-Match``.

``If-Match`` is demanded (428 without it) and compared strongly (412 when the row has changed). Lock the row
(``FOR UPDATE``) before checking, or let the verb compare-and-set: else two that read the same both write.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import request

from config.problems import PreconditionFailed, PreconditionRequired

P = ParamSpec("P")
R = TypeVar("R")


def etag(version: int | str) -> dict[str, str]:
    """Return the header to answer with: ``return agreement, http.etag(agreement.version)``."""
    return {"ETag": f'"{version}"'}


def if_match(view: Callable[P, R]) -> Callable[P, R]:
    """Document that the operation needs ``If-Match``, and refuse without it (428) before anything is read."""

    @wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        _demand()
        return view(*args, **kwargs)

    return document(wrapper, parameters=[_HEADER])


def if_match_unless_new(view: Callable[P, R]) -> Callable[P, R]:
    """Document that the operation needs ``If-Match`` where the thing exists; the view checks, see ``check_new``."""
    return document(view, parameters=[_HEADER_UNLESS_NEW])


def check_new() -> None:
    """Refuse with 412 when the caller read what turned out not to be there."""
    if "If-Match" in request.headers:
        raise PreconditionFailed("There is no such thing any more; read again and decide anew.")


def check_if_match(version: int | str) -> None:
    """Refuse with 412 when the caller read another version, with 428 when it does not say which."""
    _demand()
    wanted = request.if_match
    if not wanted.star_tag and not wanted.contains(str(version)):
        raise PreconditionFailed("This has been changed since it was read; read it again and decide anew.")


def _demand() -> None:
    if "If-Match" not in request.headers:
        raise PreconditionRequired("Send If-Match with the ETag that was read, so that nobody's change is lost.")


def document(view: Callable[P, R], **entries: Any) -> Callable[P, R]:
    """Add to the operation's OpenAPI entry; lists are lengthened, the rest is set. ``view`` is ours to change."""
    notes: dict[str, Any] = deepcopy(getattr(view, "_apidoc", {}))
    manual = notes.setdefault("manual_doc", {})
    for name, value in entries.items():
        if isinstance(value, list) and name == "parameters":
            manual.setdefault("x-headers", []).extend(value)  # merged by web.api.openapi: smorest would overwrite
        else:
            manual[name] = value
    view._apidoc = notes  # type: ignore[attr-defined]  # where flask-smorest keeps its notes
    return view


_HEADER = {
    "in": "header",
    "name": "If-Match",
    "required": True,
    "description": "The ETag of what was read. Missing: 428; changed meanwhile: 412.",
    "schema": {"type": "string", "example": '"3"'},
    "example": '"3"',
}

_HEADER_UNLESS_NEW = _HEADER | {
    "required": False,
    "description": "The ETag of what was read; left out for what is new. Missing for what exists: 428; changed "
    "meanwhile, or not there: 412.",
}
