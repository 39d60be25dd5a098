"""``Idempotency-Key``: a request that moves money may be sent again, and happens once.

The key's row is inserted before the work, in the work's own transaction. Of two at once the second waits on
the unique key until the first has committed and then gets its answer again, or until the first has failed
and then does the work itself; after WAIT it is told to come back (409). A refused request leaves nothing, so
it may be put right and sent again under the same key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import Response, jsonify, make_response, request
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from accounts.access.models import IdempotencyKey
from accounts.access.principal import principal
from config.http import current_session, request_now
from config.http_versions import document
from config.jobs import JobContext
from config.problems import Conflict, Invalid, PreconditionRequired

P = ParamSpec("P")
R = TypeVar("R")

MAX_KEY = 200
WAIT = "5s"
KEPT_FOR = dt.timedelta(days=30)
KEPT_HEADERS = ("ETag", "Location")
UNDER_WAY = 0
"""Status of a row whose answer is not written yet."""


def idempotent(view: Callable[P, Any]) -> Callable[P, Any]:
    """Demand an Idempotency-Key and answer a repeat as the first time. Stands below ``require``, above the rest."""

    @wraps(view)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
        session, key, digest = current_session(), _key(), _digest()
        row_id = _begin(session, principal().key, key, digest, request_now())
        if row_id is None:
            return _again(session, principal().key, key, digest)
        answer = make_response(cast(Any, view(*args, **kwargs)))
        if answer.status_code < 400:
            _keep(session, row_id, answer)
        return answer

    return document(wrapper, parameters=[_HEADER])


def keyed(view: Callable[P, R]) -> Callable[P, R]:
    """Document that a view demands an Idempotency-Key (``key``), which it keeps with what it makes: for what asks
    somebody outside, and so cannot happen within one transaction. Stands below ``require``."""
    return document(view, parameters=[_HEADER])


def key() -> str:
    """Return this request's Idempotency-Key. Raises PreconditionRequired, Invalid."""
    return _key()


def begin_form(session: Session, who: str, key: str, now: dt.datetime) -> int | None:
    """Begin what a form of a page does once: its row's id, for ``keep_form``; None when it has been done.

    Of two at once the second waits for the first. Raises Conflict after WAIT.
    """
    return _begin(session, who, key, b"", now)


def keep_form(session: Session, row_id: int, result: dict[str, Any]) -> None:
    """Keep what came of a form, for whoever sends it again."""
    session.execute(update(IdempotencyKey).where(IdempotencyKey.id == row_id).values(status=200, body=result))


def kept_form(session: Session, who: str, key: str) -> dict[str, Any]:
    """Return what came of a form that has been done."""
    body: dict[str, Any] = session.execute(
        select(IdempotencyKey.body).where(IdempotencyKey.principal == who, IdempotencyKey.key == key)
    ).scalar_one()
    return body


def forget_before(session: Session, instant: dt.datetime) -> int:
    """Delete keys used before an instant; returns how many. A repeat after that is a new request."""
    return len(
        session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.created_at < instant).returning(IdempotencyKey.id)
        ).all()
    )


def job(ctx: JobContext, scheduled_for: dt.datetime) -> dict[str, int | str]:
    """Forget keys older than KEPT_FOR."""
    with ctx.sessions.begin() as session:
        return {"forgotten": forget_before(session, scheduled_for - KEPT_FOR)}


def _key() -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if not key:
        raise PreconditionRequired("Send Idempotency-Key: a new random text for each new act, the same for a repeat.")
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(
            "The Idempotency-Key cannot be used.",
            errors=[{"field": "Idempotency-Key", "message": f"At most {MAX_KEY} printable ASCII characters."}],
        )
    return key


def _digest() -> bytes:
    """Return what makes two requests the same: method, path with query, condition and body."""
    parts = (request.method, request.full_path, request.headers.get("If-Match", ""), request.mimetype)
    return hashlib.sha256("\n".join(parts).encode() + b"\n" + request.get_data(cache=True)).digest()


def _begin(session: Session, who: str, key: str, digest: bytes, now: dt.datetime) -> int | None:
    """Insert the key's row and return its id; None when it is there already. Raises Conflict after WAIT."""
    claim = (
        insert(IdempotencyKey)
        .values(principal=who, key=key, request_hash=digest, status=UNDER_WAY, body={}, created_at=now)
        .on_conflict_do_nothing(index_elements=["principal", "key"])
        .returning(IdempotencyKey.id)
    )
    session.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": WAIT})
    try:
        row_id = session.execute(claim).scalar_one_or_none()
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        session.rollback()
        raise _under_way() from None
    session.execute(text("SELECT set_config('lock_timeout', '0', true)"))
    return row_id


def _again(session: Session, who: str, key: str, digest: bytes) -> Response:
    row = session.execute(
        select(IdempotencyKey).where(IdempotencyKey.principal == who, IdempotencyKey.key == key)
    ).scalar_one()
    if row.request_hash != digest:
        raise Invalid(
            "This Idempotency-Key was used for another request; take a new key for a new act.",
            slug="idempotency-key-reused",
        )
    if row.status == UNDER_WAY:
        raise _under_way()
    answer = jsonify(row.body["json"]) if "json" in row.body else Response()
    answer.status_code = row.status
    answer.headers.update(row.headers)
    answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _keep(session: Session, row_id: int, answer: Response) -> None:
    body = {"json": answer.get_json()} if answer.is_json else {}
    headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.id == row_id)
        .values(status=answer.status_code, body=body, headers=headers)
    )


def _under_way() -> Conflict:
    return Conflict("The same request is being worked on; send it again in a moment.", slug="under-way")


_HEADER = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": True,
    "description": "A random text of the caller's; the same key and request give the same answer, once done.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$", "example": "6f1c-pay-42"},
    "example": "6f1c-pay-42",
}
