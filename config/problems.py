"""Errors that a caller can act on: RFC 9457 problems, raised by verbs and shown by the HTTP face.

A verb raises a Problem; the web layer renders it as ``application/problem+json`` and the command line as one
line. Wrong input changes nothing, because the caller rolls back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar


class Problem(Exception):
    """A refusal with a stable type, a sentence a person can act on, and details by field or record.

    ``errors`` holds mappings such as ``{"field": "email", "message": "is not an address"}``; ``extra`` holds
    further members of the problem object (for instance what is still due).
    """

    status: ClassVar[int] = HTTPStatus.BAD_REQUEST
    slug: ClassVar[str] = "bad-request"
    title: ClassVar[str] = "The request cannot be used"

    def __init__(
        self,
        detail: str,
        *,
        slug: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.type = f"/problems/{slug or self.slug}"
        self.errors = [dict(error) for error in errors]
        self.extra = dict(extra or {})

    def as_dict(self) -> dict[str, Any]:
        """Return the problem object (RFC 9457 members, ``errors`` and extras)."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": self.title,
            "status": int(self.status),
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        return body | self.extra


class Invalid(Problem):
    """The input is wrong; ``errors`` says where."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    slug = "invalid"
    title = "Some of what was sent is not valid"


class NotFound(Problem):
    """There is no such thing, or the caller may not know of it."""

    status = HTTPStatus.NOT_FOUND
    slug = "not-found"
    title = "Not found"


class Conflict(Problem):
    """The state of things does not allow this now; the detail says why and what would."""

    status = HTTPStatus.CONFLICT
    slug = "conflict"
    title = "Not possible as things are"


class Unauthorized(Problem):
    """No valid token or session."""

    status = HTTPStatus.UNAUTHORIZED
    slug = "unauthorized"
    title = "Sign in first"


class Forbidden(Problem):
    """Signed in, but this role may not."""

    status = HTTPStatus.FORBIDDEN
    slug = "forbidden"
    title = "Not allowed"


class PreconditionFailed(Problem):
    """The thing has changed since the caller read it (If-Match)."""

    status = HTTPStatus.PRECONDITION_FAILED
    slug = "changed-meanwhile"
    title = "Changed meanwhile"


class PreconditionRequired(Problem):
    """If-Match or Idempotency-Key is missing."""

    status = HTTPStatus.PRECONDITION_REQUIRED
    slug = "precondition-required"
    title = "A header is missing"


class TooLarge(Problem):
    """Over a named limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    slug = "too-large"
    title = "Too large"


class Unsupported(Problem):
    """A content type we do not read."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    slug = "unsupported-media-type"
    title = "Unsupported media type"


class Unavailable(Problem):
    """A partner we need does not answer; nothing was changed, and the same request is welcome later."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    slug = "unavailable"
    title = "Not available just now"
