"""How files are exchanged with chargers, over HTTP: kept by operators, seen by our own people."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.access.idempotency import idempotent
from accounts.chargers import queries as chargers
from billing.roadside import listed
from billing.roadside.exchange import queries
from billing.roadside.exchange.keep import ExchangeGiven, keep_exchange
from billing.roadside.exchange.models import Incoming, Outgoing
from billing.roadside.exchange.outgoing import resend
from billing.roadside.exchange.schemas import (
    ExchangeSchema,
    IncomingQuery,
    IncomingSchema,
    OutgoingQuery,
    OutgoingSchema,
)
from billing.roadside.files_api import own
from config import http, metrics

blp = http.Blueprint("exchange", __name__, url_prefix="/v1", description="Files in and out, per charger.")
READERS = ("operator", "agent", "lead", "accountant")

if queries.figures not in metrics.ALSO:
    metrics.ALSO.append(queries.figures)


@blp.route("/chargers/<string:code>/exchange")
class OneExchange(MethodView):
    """How files are exchanged with a charger."""

    @require(*READERS)
    @blp.response(200, ExchangeSchema)
    def get(self, code: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Show how files are exchanged with a charger.

        And how it stands: when its server was last reached, what failed, what waits.
        """
        session = http.current_session()
        found = queries.exchange(session, chargers.charger(session, code))
        return queries.standing(session, found), http.etag(found.version)

    @require("operator")
    @http.if_match_unless_new
    @blp.arguments(ExchangeSchema)
    @blp.response(200, ExchangeSchema)
    def put(self, given: dict[str, Any], code: str) -> tuple[dict[str, Any], int, dict[str, str]]:
        """Say how files are exchanged with a charger.

        It is used at once. Keys and passwords are files in the folder ROADSIDE_KEYS of our side, named here. 201 when
        it is new, else 200.
        """
        session, now = http.current_session(), http.request_now()
        charger = chargers.charger(session, code)
        kept, new = keep_exchange(
            session, charger, ExchangeGiven(**given), lambda known: http.check_if_match(known.version)
        )
        if new:
            http.check_new()
        trail.record(session, principal(), "charger.exchange", f"charger:{code}", now, detail={"kind": kept.kind})
        return queries.standing(session, kept), 201 if new else 200, http.etag(kept.version)


@blp.route("/chargers/<string:code>/exchange/in")
class FilesIn(MethodView):
    """A charger's files."""

    @require(*READERS)
    @blp.arguments(IncomingQuery, location="query")
    @blp.response(200, http.page_of(IncomingSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List the files that came from a charger, in order of coming."""
        session = http.current_session()
        found = queries.incoming(chargers.charger(session, code), query.pop("state"))
        return http.paged(session, found, [Incoming.id], **query)


@blp.route("/chargers/<string:code>/exchange/out")
class FilesOut(MethodView):
    """Files for a charger."""

    @require(*READERS)
    @blp.arguments(OutgoingQuery, location="query")
    @blp.response(200, http.page_of(OutgoingSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List the files for a charger, in order of making."""
        session = http.current_session()
        found = queries.outgoing(chargers.charger(session, code), query.pop("state"))
        return http.paged(session, found, [Outgoing.id], **query)


@blp.route("/chargers/<string:code>/files/<int:batch>/resend")
class AnswersAgain(MethodView):
    """The answers of a file, put out again."""

    @require("operator", "lead", "charger")
    @idempotent
    @blp.response(200, OutgoingSchema)
    @blp.problems(404, 409)
    def post(self, code: str, batch: int) -> Outgoing:
        """Put the answer file of a file or request out again, by the way files go to the charger.

        The same name and the same bytes as ever, whatever was decided anew since; for what came over HTTP it is the
        first time. It goes within a minute. 409 while the file is being booked, and for one that was refused whole.
        """
        session, now, charger = http.current_session(), http.request_now(), own(code)
        listed.one(session, batch, charger.id)
        row = resend(session, batch_id=batch, now=now)
        note_resend(code, row)
        return row


def note_resend(code: str, row: Outgoing) -> None:
    """Write into the trail that a file was put out again."""
    session, now = http.current_session(), http.request_now()
    detail = {"file": row.name, "kind": row.kind, "of": row.ref}
    trail.record(session, principal(), "exchange.resend", f"charger:{code}", now, detail=detail)
