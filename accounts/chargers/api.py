"""Chargers and their stations over HTTP: kept by operators, read by our own people."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView

from accounts.access import trail
from accounts.access.guard import principal, require
from accounts.chargers import keep, queries
from accounts.chargers.models import Charger, Project, Station
from accounts.chargers.projects import ProjectGiven, keep_projects
from accounts.chargers.schemas import (
    ChargerSchema,
    ProjectSchema,
    ProjectsKeptSchema,
    StationSchema,
    StationsKeptSchema,
)
from config import http

blp = http.Blueprint(
    "chargers", __name__, url_prefix="/v1", description="Toll chargers and ferry operators, and their stations."
)
READERS = ("operator", "agent", "lead", "accountant")


@blp.route("/chargers")
class Chargers(MethodView):
    """All chargers."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(ChargerSchema))
    def get(self, query: dict[str, Any]) -> http.Page:
        """List chargers, by code."""
        return http.paged(http.current_session(), queries.chargers(), [Charger.code], **query)


@blp.route("/chargers/<string:code>")
class OneCharger(MethodView):
    """One charger."""

    @require(*READERS)
    @blp.response(200, ChargerSchema)
    def get(self, code: str) -> tuple[Charger, dict[str, str]]:
        """Show a charger."""
        charger = queries.charger(http.current_session(), code)
        return charger, http.etag(charger.version)

    @require("operator")
    @http.if_match_unless_new
    @blp.arguments(ChargerSchema)
    @blp.response(200, ChargerSchema)
    @blp.problems(409)
    def put(self, given: dict[str, Any], code: str) -> tuple[Charger, int, dict[str, str]]:
        """Add a charger, or change the one that was read.

        A new one is told at once of every agreement that is blocked or ended; with `lists`, by its first full list,
        which is made at once. 201 when it is new, else 200.
        """
        session, now = http.current_session(), http.request_now()
        charger, new = keep.keep_charger(
            session, keep.ChargerGiven(code=code, **given), now, lambda known: http.check_if_match(known.version)
        )
        if new:
            http.check_new()
        trail.record(session, principal(), "charger.keep", f"charger:{charger.code}", now, detail={"new": new})
        return charger, 201 if new else 200, http.etag(charger.version)


@blp.route("/chargers/<string:code>/stations")
class Stations(MethodView):
    """The stations of a charger."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(StationSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List a charger's stations, by code."""
        session = http.current_session()
        return http.paged(session, queries.stations(session, code), [Station.code], **query)

    @require("operator")
    @blp.arguments(StationSchema(many=True))
    @blp.response(200, StationsKeptSchema)
    def put(self, given: list[dict[str, Any]], code: str) -> dict[str, int]:
        """Add or change stations.

        A list; those left out stay as they are, because passages name them.
        """
        session, now = http.current_session(), http.request_now()
        kept = keep.keep_stations(session, code, [keep.StationGiven(**one) for one in given])
        trail.record(session, principal(), "charger.stations", f"charger:{code}", now, detail={"stations": kept})
        return {"stations": kept}


@blp.route("/chargers/<string:code>/projects")
class Projects(MethodView):
    """The projects of a charger."""

    @require(*READERS)
    @blp.arguments(http.PageQuery, location="query")
    @blp.response(200, http.page_of(ProjectSchema))
    def get(self, query: dict[str, Any], code: str) -> http.Page:
        """List a charger's projects, by code."""
        session = http.current_session()
        return http.paged(session, queries.projects(session, code), [Project.code], **query)

    @require("operator")
    @blp.arguments(ProjectSchema(many=True))
    @blp.response(200, ProjectsKeptSchema)
    def put(self, given: list[dict[str, Any]], code: str) -> dict[str, int]:
        """Add or change projects.

        A list; those left out stay as they are, because stations name them.
        """
        session, now = http.current_session(), http.request_now()
        kept = keep_projects(session, code, [ProjectGiven(**one) for one in given])
        trail.record(session, principal(), "charger.projects", f"charger:{code}", now, detail={"projects": kept})
        return {"projects": kept}
