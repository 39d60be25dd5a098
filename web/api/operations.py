"""The operator's endpoints: the business clock (in a demo), and how the scheduled jobs stand."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from marshmallow import validate
from sqlalchemy import select

from accounts.access import trail
from accounts.access.guard import principal, require
from billing.schedule import SCHEDULE
from config import clock, http, jobs
from config.models import BusinessClock, JobOccurrence
from config.problems import Conflict

blp = http.Blueprint("operations", __name__, url_prefix="/v1", description="For those who run it.")

STATES = ("due", "running", "done", "failed", "given_up")


class ClockSchema(http.Schema):
    """Business time."""

    now = http.instant("Business time now.")
    moved = http.flag("Whether it has been moved from real time (only in a demo).", False)
    running = http.flag("Whether it goes on from where it was moved to.", False)


class MoveClockSchema(http.Schema):
    """Where the business clock shall stand."""

    to = http.instant("The instant business time shall be.")
    running = http.flag("Whether it goes on from there; else it stands.", False, load_default=False)


class JobsQuery(http.PageQuery):
    """Which occurrences to list."""

    state = http.list_of(
        http.text("A state.", "due", validate=validate.OneOf(STATES)),
        "Only these states; may be given several times.",
        ["due"],
        load_default=None,
    )


class OccurrenceSchema(http.Schema):
    """One time that a job had to run."""

    job = http.text("The job's name in the schedule.", "invoices")
    scheduled_for = http.instant("The business instant it was for.")
    state = http.choice("How it stands.", STATES)
    attempts = http.whole("How often it was tried.", 1)
    error = http.text("Why the last try failed.", "OperationalError", allow_none=True)
    result = http.mapping("What it reported.", {"created": 12}, allow_none=True)


@blp.route("/clock")
class Clock(MethodView):
    """Business time: it can be moved where DEMO is on."""

    @require("operator", "agent", "accountant")
    @blp.response(200, ClockSchema)
    def get(self) -> dict[str, Any]:
        """Show business time."""
        return _shown()

    @require("operator")
    @blp.arguments(MoveClockSchema)
    @blp.response(200, ClockSchema)
    @blp.problems(409)
    def put(self, args: dict[str, Any]) -> dict[str, Any]:
        """Move the business clock; what becomes due by it is put in the queue in the same transaction."""
        _demo_only()
        session = http.current_session()
        trail.record(session, principal(), "move_clock", "clock", args["to"])
        clock.move_clock(session, args["to"], running=args["running"])
        jobs.clock_moved(session, clock.business_now(session))
        jobs.run_due(session, SCHEDULE, clock.business_now(session))
        return _shown()

    @require("operator")
    @blp.response(204)
    @blp.problems(409)
    def delete(self) -> None:
        """Let business time be real time again."""
        _demo_only()
        clock.release_clock(http.current_session())


def _demo_only() -> None:
    if not http.current_settings().demo:
        raise Conflict("The business clock can only be moved in a demo (DEMO=1).", slug="not-a-demo")


def _shown() -> dict[str, Any]:
    session = http.current_session()
    row = session.get(BusinessClock, 1, populate_existing=True)
    return {
        "now": clock.business_now(session),
        "moved": row is not None,
        "running": row is None or row.running,
    }


@blp.route("/jobs")
class Occurrences(MethodView):
    """The occurrences of scheduled jobs."""

    @require("operator")
    @blp.arguments(JobsQuery, location="query")
    @blp.response(200, http.page_of(OccurrenceSchema))
    def get(self, args: dict[str, Any]) -> dict[str, Any]:
        """List occurrences, the newest first."""
        statement = select(JobOccurrence)
        if args["state"]:
            statement = statement.where(JobOccurrence.state.in_(args["state"]))
        page = http.paged(
            http.current_session(),
            statement,
            [JobOccurrence.scheduled_for, JobOccurrence.job],
            after=args["after"],
            limit=args["limit"],
            descending=True,
        )
        return {"items": page.items, "next": page.next}
