"""Records from chargers over HTTP: a batch in, an answer a record out."""

from __future__ import annotations

import tempfile
from typing import Any, BinaryIO, cast

from flask import Response, request
from flask.views import MethodView

from accounts.access.guard import principal, require
from billing.roadside import files
from billing.roadside.formats import FORMATS, MEDIA, BrokenFile, json_array
from billing.roadside.receive import Origin, Received, receive
from billing.roadside.schemas import BODY, BatchQuery, BatchSchema
from config import http
from config.problems import Forbidden, Invalid, TooLarge, Unsupported

blp = http.Blueprint("roadside", __name__, url_prefix="/v1", description="Exchange with chargers.")

_MEMORY = 8 * 1024 * 1024
_PIECE = 1024 * 1024


@blp.route("/passages")
class Passages(MethodView):
    """What chargers send."""

    @require("charger", "operator")
    @blp.doc(requestBody=BODY)  # type: ignore[untyped-decorator]  # the library has no types
    @blp.arguments(BatchQuery, location="query")
    @blp.response(200, BatchSchema)
    @blp.problems(404, 413, 415)
    def post(self, query: dict[str, Any]) -> Response:
        """Book a batch of records.

        Every record gets an answer, in order; a broken one costs its neighbours nothing, and a batch sent again is
        answered `duplicate` throughout; with a `name` it is a file, and the same file again is answered with the same
        answers. A JSON array is answered with an object (the schema below); JSON Lines and CSV
        with a line of JSON a record, and the batch's number in `X-Batch`. A long batch is booked in parts: if the
        connection breaks, send it again.
        """
        code = _sender(query["charger"])
        form = MEDIA.get(request.mimetype)
        if form is None:
            raise Unsupported(f"Send {', '.join(MEDIA)}; {request.mimetype or 'no content type'} is not read here.")
        origin = Origin(query["name"] or "request", "http", is_file=query["name"] is not None)
        with _spooled() as body:
            _check_size(body, form)
            received = receive(http.current_sessions(), code, body, form=form, origin=origin)
        return _answer(received, form)


def _sender(asked: str | None) -> str:
    """Return whose records these are. Raises Forbidden for a charger that names another; Invalid for none."""
    caller = principal()
    if caller.charger is not None:
        if asked not in (None, caller.charger):
            raise Forbidden(f"You are {caller.charger} and send only your own records.")
        return caller.charger
    if not asked:
        wrong = {"field": "charger", "message": "Say whose records these are: ?charger=CODE."}
        raise Invalid("Whose records are these?", errors=[wrong])
    return asked


def _spooled() -> BinaryIO:
    """Take in the whole body, on disk beyond some megabytes: a slow sender holds no transaction open."""
    body = cast(BinaryIO, tempfile.SpooledTemporaryFile(_MEMORY))  # noqa: SIM115 - the caller closes it
    while piece := request.stream.read(_PIECE):
        body.write(piece)
    body.seek(0)
    return body


def _check_size(body: BinaryIO, form: str) -> None:
    """Raise TooLarge for more records than a request may hold; nothing of it is booked then."""
    settings = http.current_settings()
    most = settings.max_batch_json if form == "json" else settings.max_batch_ndjson
    try:
        count = _count(body, form)
    except BrokenFile:
        count = 0  # the format says what is wrong with it, and at which line
    body.seek(0)
    if count > most:
        raise TooLarge(f"A batch holds at most {most} records this way; this one has {count}. Send it in parts.")


def _count(body: BinaryIO, form: str) -> int:
    """Return how many records a body holds, at most. Raises BrokenFile."""
    if form == "json":
        return json_array.count(body)
    if form == "iso12855":
        return FORMATS[form].check(body).records or 0
    count = -(form == "csv")
    while piece := body.read(_PIECE):
        count += piece.count(b"\n")
    return count


def _answer(received: Received, form: str) -> Response:
    """Return the answers: CSV is answered with JSON Lines, all else in its own format."""
    written = "jsonl" if form == "csv" else form
    pieces = files.answer_file(http.current_sessions(), received.batch_id, written)
    response = Response(b"".join(pieces), mimetype=FORMATS[written].answer_type)
    response.headers["X-Batch"] = str(received.batch_id)
    return response
