"""Files over HTTP: what came, what was answered, what is missing or waits; and records decided anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from flask import Response
from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.chargers import queries as chargers
from accounts.chargers.models import Charger
from billing.passages.rules import flag_names
from billing.roadside import files, listed
from billing.roadside.contest import Contested, contest
from billing.roadside.files_schemas import (
    AmendmentSchema,
    AnswerFileQuery,
    DecideAgainSchema,
    DecidedAgainSchema,
    FileGapsSchema,
    FileSchema,
    FilesQuery,
    WaitingSchema,
)
from config import http
from config.problems import Forbidden, NotFound

blp = http.Blueprint(
    "files", __name__, url_prefix="/v1", description="Files of chargers: what came, and what was answered."
)
READERS = ("charger", "operator", "agent", "lead", "accountant")
_PIECE = 1024 * 1024
_BYTES = {"type": "string", "format": "binary"}


def own(code: str) -> Charger:
    """Return a charger that the caller may see. Raises NotFound: others' things do not exist."""
    if not principal().may_see_charger(code):
        raise NotFound(f"There is no charger {code}.")
    return chargers.charger(http.current_session(), code)


@blp.route("/chargers/<string:code>/files")
class Files(MethodView):
    """The files of a charger."""

    @require(*READERS)
    @blp.arguments(FilesQuery, location="query")
    @blp.response(200, http.page_of(FileSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List a charger's files and requests, the newest first."""
        return listed.page(http.current_session(), own(code).id, **query)


def _file(code: str, batch: int) -> listed.File:
    return listed.one(http.current_session(), batch, own(code).id)


@blp.route("/chargers/<string:code>/files/<int:batch>")
class OneFile(MethodView):
    """One file."""

    @require(*READERS)
    @blp.response(200, FileSchema)
    def get(self, code: str, batch: int) -> listed.File:
        """Show a file."""
        return _file(code, batch)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while piece := stream.read(_PIECE):
            yield piece


def _download(stream: BinaryIO, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_pieces(stream), content_type="application/octet-stream", headers=headers)


@blp.route("/chargers/<string:code>/files/<int:batch>/content")
class FileContent(MethodView):
    """What came."""

    @require("charger", "operator")
    @blp.response(200, _BYTES, content_type="application/octet-stream")
    def get(self, code: str, batch: int) -> Response:
        """Fetch a file as it was received, byte for byte. 404 for one from before files were kept."""
        file = _file(code, batch)
        session, now = http.current_session(), http.request_now()
        trail.looked_up(session, principal(), f"charger:{code}", now, "look_up_file")
        session.commit()  # the look-up is kept, and nothing is held open while the bytes are read
        return _download(listed.received(http.current_sessions(), batch), f"batch-{batch}.{file.format}")


@blp.route("/chargers/<string:code>/files/<int:batch>/answers")
class FileAnswers(MethodView):
    """What was answered."""

    @require(*READERS)
    @blp.arguments(AnswerFileQuery, location="query")
    @blp.response(200, _BYTES, content_type="application/octet-stream")
    @blp.problems(409)
    def get(self, query: dict[str, Any], code: str, batch: int) -> Response:
        """Fetch the answer file: the same bytes as ever, whatever was decided anew since.

        409 while the file is being booked, and for one that was refused whole.
        """
        file = _file(code, batch)
        http.current_session().commit()
        return _download(*listed.answered(http.current_sessions(), file, query["format"]))


@blp.route("/chargers/<string:code>/file-gaps")
class FileGaps(MethodView):
    """What is missing."""

    @require(*READERS)
    @blp.response(200, FileGapsSchema)
    def get(self, code: str) -> dict[str, Any]:
        """List the file numbers that have not come though later ones have; until they come."""
        return {"items": files.gaps(http.current_session(), own(code).id)}


@blp.route("/chargers/<string:code>/waiting")
class WaitingCorrections(MethodView):
    """What waits."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(WaitingSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List the corrections whose original has not come, by id."""
        return listed.waiting(http.current_session(), own(code).id, http.request_now(), **query)


@blp.route("/chargers/<string:code>/amendments")
class Amendments(MethodView):
    """What was decided anew."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(AmendmentSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List the records that were decided anew, the last first: what had been answered, and what is said now."""
        page = listed.amendments(http.current_session(), own(code).id, **query)
        names = ("id", "source_id", "batch_id", "position", "was_code", "was_detail", "code", "detail", "amount_ore",
                 "cause", "reason", "at")  # fmt: skip
        shown = [{name: getattr(row, name) for name in names} | {"flags": flag_names(row.flags)} for row in page.items]
        return http.Page(shown, page.next)


@blp.route("/chargers/<string:code>/records/<string:source_id>/decide-again")
class DecideAgain(MethodView):
    """Deciding a record anew."""

    @require("agent", "lead", "operator")
    @idempotent
    @blp.arguments(DecideAgainSchema)
    @blp.response(200, DecidedAgainSchema)
    @blp.problems(404, 409)
    def post(self, given: dict[str, Any], code: str, source_id: str) -> Contested:
        """Decide a refused record anew that its charger contests.

        It is matched as it was sent, by what is registered now; when it is accepted it is booked, and the charger is
        owed. The answer file stays as it was; the decision is listed under `amendments`. 409 for what is accepted or
        superseded.
        """
        session, now, who = http.current_session(), http.request_now(), principal()
        if given["despite"] and who.role != "lead":
            raise Forbidden("Only a lead takes a record in spite of a block or an end that the charger was told of.")
        done = contest(session, own(code), source_id, **given, actor=who.key, now=now)
        note_contest(code, done, given["reason"], given)
        return done


def note_contest(code: str, done: Contested, reason: str, asked: dict[str, Any]) -> None:
    """Write into the trail that a record was decided anew."""
    detail = {"record": done.id, "was": done.was_code, "is": done.code, "amendment": done.amendment}
    detail |= {name: True for name in ("any_age", "double", "despite") if asked.get(name)}
    session, now = http.current_session(), http.request_now()
    trail.record(session, principal(), "record.decide_again", f"charger:{code}", now, reason, detail)
