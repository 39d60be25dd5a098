"""A charger that takes lists, and a clock that is moved by hand."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from typing import Any

import pytest
from sqlalchemy import select

from accounts.chargers.keep import ChargerGiven, keep_charger
from accounts.chargers.models import Charger, ListVersion
from accounts.chargers.publish import Notice, publish
from billing.audit.publications import RULES
from billing.roadside.lists import jobs, send
from billing.roadside.lists.acknowledge import acknowledge
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from tests.integration.billing.passages.conftest import PASSED, Road, road

__all__ = ["road"]
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
NOW = PASSED - 2 * DAY


_BY_HAND = ("publications_changes", "publications_causes", "publications_standings")
"""Rules of the audit that compare with how agreements stand: what this world publishes is often made by hand."""


class World:
    """FJELL takes both lists, pushed; Kari's agreement has EV10001 with a tag in it. The clock is moved by hand."""

    def __init__(self, road: Road, ctx: JobContext) -> None:
        self.road, self.session, self.ctx, self.now = road, road.session, ctx, NOW
        self.agreement = road.agreement()
        self.vehicle = road.vehicle(self.agreement)
        road.tag(self.agreement, 1, "EV10001")
        publish(self.session, [Notice(self.agreement, "valid", "opened")], NOW)
        self.take("push")

    def take(self, lists: str, code: str = "FJELL", **more: Any) -> Charger:
        given = ChargerGiven(code, f"{code.title()} AS", "ferry" if code == "FJORD" else "toll", lists=lists, **more)
        charger, _ = keep_charger(self.session, given, self.now)
        self.at(self.now)
        return charger

    def at(self, now: dt.datetime) -> None:
        self.now = now
        move_clock(self.session, now, running=False)
        self.session.commit()

    def minute(self, full: bool = False) -> dict[str, int | str]:
        """A minute passes, and the job runs."""
        self.at(self.now + MINUTE)
        done = (jobs.job_full if full else jobs.job)(self.ctx, self.now)
        self.session.expire_all()
        self.session.rollback()
        return done

    def block(self, status: str = "blocked") -> None:
        publish(self.session, [Notice(self.agreement, status, "overdue" if status == "blocked" else "paid")], self.now)
        self.session.commit()

    def ack(self, list_type: str, version: int, *, accepted: bool = True, reason: str | None = None) -> bool:
        self.session.rollback()
        done = acknowledge(
            self.session, self.charger(), list_type, version, accepted=accepted, now=self.now, reason=reason
        )
        self.session.commit()
        return done.already

    def charger(self, code: str = "FJELL") -> Charger:
        return self.session.scalars(select(Charger).where(Charger.code == code)).one()

    def versions(self, list_type: str = "tags") -> list[tuple[int, str, str]]:
        rows = self.session.scalars(
            select(ListVersion).where(ListVersion.list_type == list_type).order_by(ListVersion.id)
        )
        return [(row.version, row.kind, row.state) for row in rows]

    def version(self, number: int, list_type: str = "tags") -> ListVersion:
        query = select(ListVersion).filter_by(charger_id=self.charger().id, version=number, list_type=list_type)
        return self.session.scalars(query.execution_options(populate_existing=True)).one()

    def rows(self, number: int, list_type: str = "tags") -> list[dict[str, Any]]:
        """The rows of a version, by its bytes."""
        body = b"".join(send.content(self.ctx.sessions, self.version(number, list_type).id))
        lines = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        assert (lines[0]["version"], lines[0]["list"], lines[-1]) == (
            number, list_type, {"end": True, "rows": len(lines) - 2},
        )  # fmt: skip
        return lines[1:-1]

    def out(self) -> list[str]:
        folder = self.ctx.settings.var / "roadside" / "FJELL" / "out"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def prove(self) -> None:
        for rule in RULES:
            if rule.name not in _BY_HAND:
                assert self.road.ask(rule.sql) == [], rule.name


@pytest.fixture
def ctx(sessions: SessionFactory, settings: Settings) -> JobContext:
    return JobContext(sessions, settings)


@pytest.fixture
def world(road: Road, ctx: JobContext) -> World:
    return World(road, ctx)
