"""Stripe's error answers."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal before any work: nothing is written and the idempotency key is free again."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        fields = {"type": kind, "message": message, "code": code, "param": param, **more}
        self.body = {"error": {name: value for name, value in fields.items() if value is not None}}


def invalid(message: str, *, code: str | None = None, param: str | None = None, status: int = 400) -> ApiError:
    """Return an `invalid_request_error`: nothing was done and the key is free again."""
    return ApiError(status, "invalid_request_error", message, code=code, param=param)


def missing(kind: str, wanted: str, param: str) -> ApiError:
    """Return "No such …" with code resource_missing (400 for a parameter, 404 for the address)."""
    return invalid(
        f"No such {kind}: '{wanted}'", code="resource_missing", param=param, status=404 if param == "id" else 400
    )
