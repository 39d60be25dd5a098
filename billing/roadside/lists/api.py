"""Status lists over HTTP: chargers fetch and acknowledge them, operators look after them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from flask import Response, request
from flask.views import MethodView
from sqlalchemy.orm import Session

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.chargers import queries as chargers
from accounts.chargers.models import Charger, ListVersion
from accounts.chargers.rules import LIST_TYPES
from billing.roadside.lists import queries
from billing.roadside.lists.acknowledge import acknowledge
from billing.roadside.lists.forms import form
from billing.roadside.lists.schemas import AcknowledgementSchema, ListQuery, ListVersionSchema, VersionsQuery
from billing.roadside.lists.send import content, fetched
from config import http, metrics
from config.clock import business_now
from config.problems import NotFound

blp = http.Blueprint("status-lists", __name__, url_prefix="/v1", description="Status lists out to chargers.")


def _figures(session: Session) -> list[str]:
    return queries.figures(session, business_now(session))


if _figures not in metrics.ALSO:
    metrics.ALSO.append(_figures)


def _charger(code: str) -> Charger:
    """Return a charger whose lists are the caller's to see. Raises NotFound, for others' too."""
    if not principal().may_see_charger(code):
        raise NotFound(f"There is no charger {code}.")
    return chargers.charger(http.current_session(), code)


@blp.route("/chargers/<string:code>/status-list")
class StatusList(MethodView):
    """A charger's status list, to be fetched."""

    @require("charger", "operator")
    @blp.arguments(ListQuery, location="query")
    @blp.response(200, {"type": "string", "format": "binary"}, content_type="application/x-ndjson")
    @blp.alt_response(204, description="There is nothing newer than `since`.")  # type: ignore[untyped-decorator]  # no types
    def get(self, query: dict[str, Any], code: str) -> Response:
        """Fetch a status list.

        In the charger's form, gzipped where that is accepted: `X-List-Version` and `X-List-Kind` say which it is.
        Ask with the version you have as `since` (0 at first), take what comes, acknowledge it, ask again until 204.
        Where versions between are no longer kept, the newest full list comes.
        """
        session, charger = http.current_session(), _charger(code)
        row = queries.wanted(session, charger, query["type"], version=query["version"], since=query["since"])
        if row is None:
            return Response(status=204)
        if principal().charger is not None:
            fetched(session, row.id, http.request_now())
        body = content(http.current_sessions(), row.id)
        zipped = request.accept_encodings["gzip"] > 0
        response = Response(body if zipped else _unzipped(body), content_type=form(row.format).media_type)
        response.headers["Vary"] = "Accept-Encoding"
        if zipped:
            response.headers["Content-Encoding"] = "gzip"
            response.headers["Content-Length"] = str(row.size)
        response.headers["X-List-Version"] = str(row.version)
        response.headers["X-List-Kind"] = row.kind
        return response


def _unzipped(body: Iterator[bytes]) -> Iterator[bytes]:
    loosen = zlib.decompressobj(wbits=31)
    for piece in body:
        yield loosen.decompress(piece)
    yield loosen.flush()


@blp.route("/chargers/<string:code>/status-lists")
class StatusLists(MethodView):
    """The versions of a charger's status lists."""

    @require("charger", "operator", "agent", "lead")
    @blp.arguments(VersionsQuery, location="query")
    @blp.response(200, http.page_of(ListVersionSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List versions, the newest first, with what became of each."""
        list_type = query.pop("type")
        statement = queries.versions(_charger(code).id, list_type)
        return http.paged(http.current_session(), statement, [ListVersion.id], **query, descending=True)


@blp.route("/chargers/<string:code>/status-list/<string:list_type>/<int:version>/acknowledgement")
class Acknowledgement(MethodView):
    """What a charger says of a version."""

    @require("charger", "operator")
    @blp.arguments(AcknowledgementSchema)
    @blp.response(200, ListVersionSchema)
    @blp.problems(409)
    def post(self, given: dict[str, Any], code: str, list_type: str, version: int) -> ListVersion:
        """Acknowledge a version, or reject it with a reason.

        From then on passages are judged by it (plus the agreed latency). The same again is answered alike; an
        acknowledgement stands (409). After a rejected change list a full one is made.
        """
        charger = _charger(code)
        if list_type not in LIST_TYPES:
            raise NotFound(f"There is no list of {list_type}.")
        session, now = http.current_session(), http.request_now()
        done = acknowledge(session, charger, list_type, version, now=now, **given)
        if not done.already and principal().is_staff:
            detail = {"list": list_type, "version": version, "accepted": given["accepted"]}
            trail.record(session, principal(), "list.acknowledge", f"charger:{code}", now, given["reason"], detail)
        return done.version
