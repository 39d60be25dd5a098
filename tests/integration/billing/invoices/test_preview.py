"""Looking ahead to a run, and runs that look odd: they wait for a person."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing.invoices import rules
from billing.invoices.candidates import MONTHLY
from billing.invoices.preview import Large, preview
from billing.invoices.run import job, job_unfinished, release
from config.clock import move_clock
from config.database import SessionFactory
from config.jobs import JobContext
from config.problems import NotFound
from config.settings import Settings
from tests.integration.billing.invoices.world import FEBRUARY, JANUARY, World
from tests.integration.conftest import Bearer

DAY = dt.date(2026, 2, 1)
MILLION = 100_000_000


@pytest.fixture
def ctx(session: Session, sessions: SessionFactory, settings: Settings) -> JobContext:
    move_clock(session, FEBRUARY, running=False)
    session.commit()
    return JobContext(sessions, settings, "invoices")


def earlier(session: Session, *sums: int) -> None:
    """Months' runs that are done, the last of them in January."""
    for number, ore in enumerate(reversed(sums), 1):
        session.execute(
            text(
                "INSERT INTO runs (kind, for_date, cutoff_at, state, sum_ore, actor, started_at) "
                "VALUES ('invoices', :day, :at, 'done', :ore, 'schedule', :at)"
            ),
            {"day": dt.date(2026, 2, 1) - dt.timedelta(days=31 * number), "at": JANUARY, "ore": ore},
        )
    session.commit()


@pytest.mark.parametrize(
    ("sum_ore", "invoices", "large", "usual", "odd"),
    [
        (2 * MILLION, 1_000, 0, None, []),
        (2 * MILLION, 1_000, 0, MILLION, []),
        (2 * MILLION + 1, 1_000, 0, MILLION, ["sum"]),
        (MILLION, 1_000, 0, MILLION // 10, []),
        (0, 1_000, 50, None, []),
        (0, 1_000, 51, None, ["large"]),
        (0, 19, 19, None, []),
        (9 * MILLION, 20, 2, MILLION, ["sum", "large"]),
    ],
)
def test_what_is_odd(sum_ore: int, invoices: int, large: int, usual: int | None, odd: list[str]) -> None:
    found = rules.odd(
        sum_ore=sum_ore, invoices=invoices, large=large, usual_ore=usual, least_ore=MILLION, factor_bp=20_000,
        share_bp=500,
    )  # fmt: skip
    assert found == odd


def test_a_preview_is_what_the_run_does(session: Session, world: World, ctx: JobContext) -> None:
    big, plain, small, closed = (world.agreement(), world.agreement(), world.agreement(),
                                 world.agreement(standing="closed", closed_at=JANUARY))  # fmt: skip
    credit, by_card = world.agreement(), world.agreement(method="card")
    for agreement, ore in (
        (big, 3_000_000), (plain, 5_000), (small, 4_999), (closed, 100), (credit, -700), (by_card, 9_000)
    ):  # fmt: skip
        world.passage(agreement, ore)
    earlier(session, 1_000, 2_000, 3_000, 4_000)
    found = preview(session, MONTHLY, DAY, FEBRUARY)
    assert (found.invoices, found.sum_ore, found.carried, found.below_zero) == (3, 3_005_100, 1, 1)
    assert (found.large, found.usual_ore, found.odd) == (1, 3_000, ())
    number = session.execute(text("SELECT number FROM agreements WHERE id = :id"), {"id": big}).scalar_one()
    assert found.largest[0] == Large(number, "Kari Nordmann", 3_000_000)
    assert session.execute(text("SELECT count(*) FROM claims")).scalar_one() == 0
    session.commit()
    result = job(ctx, FEBRUARY)
    assert (result["created"], result["sum_ore"], result["carried"], result["credited"]) == (3, 3_005_100, 1, 1)


def test_an_odd_run_waits_for_a_person_and_goes_on_then(session: Session, world: World, ctx: JobContext) -> None:
    agreement = world.agreement()
    world.passage(agreement, 3 * MILLION)
    earlier(session, MILLION)
    assert job(ctx, FEBRUARY) == {"created": 0, "already_done": 0, "held": 1}
    assert job_unfinished(ctx, FEBRUARY) == {"runs": 0, "created": 0}, "nobody goes on with it by himself"
    assert job(ctx, FEBRUARY)["held"] == 1
    assert session.execute(text("SELECT count(*) FROM documents")).scalar_one() == 0
    run_id = session.execute(text("SELECT id FROM runs WHERE state = 'held'")).scalar_one()
    for _ in range(2):
        assert release(session, run_id, actor="lead:eva", now=FEBRUARY).state == "running"
        session.commit()
    assert job_unfinished(ctx, FEBRUARY) == {"runs": 1, "created": 1}
    row = session.execute(text("SELECT state, odd, released_by FROM runs WHERE id = :id"), {"id": run_id}).one()
    assert tuple(row) == ("done", ["sum"], "lead:eva")
    with pytest.raises(NotFound):
        release(session, 404, actor="x", now=FEBRUARY)


def test_over_http(session: Session, world: World, ctx: JobContext, client: FlaskClient, bearer: Bearer) -> None:
    world.passage(world.agreement(), 3 * MILLION)
    earlier(session, MILLION)
    seen: Any = client.get("/v1/runs/preview?date=2026-02-01", headers=bearer("accountant"))
    assert (seen.status_code, seen.json["invoices"], seen.json["odd"]) == (200, 1, ["sum"])
    assert client.get("/v1/runs/preview", headers=bearer("customer", customer_id=1)).status_code == 403
    job(ctx, FEBRUARY)
    [held, _] = client.get("/v1/runs", headers=bearer("lead")).get_json()["items"]
    assert (held["state"], held["odd"]) == ("held", ["sum"])
    path = f"/v1/runs/{held['id']}/release"
    assert client.post(path, headers=bearer("agent")).status_code == 403
    for _ in range(2):
        assert client.post(path, headers=bearer("lead")).get_json()["state"] == "running"
    assert client.post("/v1/runs/404/release", headers=bearer("lead")).status_code == 404
    trail = text("SELECT count(*) FROM audit_trail WHERE action = 'run.release'")
    assert session.execute(trail).scalar_one() == 1
