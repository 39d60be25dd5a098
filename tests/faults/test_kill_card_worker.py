"""kill -9 of a worker between any two steps of a charge: one payment, and the books know it.

The points are those of ``billing.cards.steps``; that none is missing is proved by looking at what a charge does to the
world outside its transaction: commits that wrote something, and the call.
"""

from __future__ import annotations

import ast
import datetime as dt
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

import billing.cards
from billing.audit.audit import RULES, audit
from billing.cards import charge, steps, sweep
from billing.cards.due import decide
from billing.cards.gateway import CardGateway, ChargeRequest, Outcome
from billing.cards.steps import POINTS
from billing.cards.stripe.gateway import StripeGateway
from config.clock import move_clock, now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings, load
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, gateway, make_driver
from tests.integration.billing.passages import conftest as passages
from tests.integration.billing.passages.conftest import UNOPENED, Road
from tests.integration.conftest import stand_in

__all__ = ["gateway", "stand_in"]

road = passages.road
ROOT = Path(__file__).parent.parent.parent
SUM, FEE = 25_000, 550
WRITES = ("INSERT", "UPDATE", "DELETE", "COPY", "WITH TAKEN", "WITH WANTED")


@pytest.fixture
def driver(road: Road, sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> Driver:
    """A driver with a business card and 250 kroner driven: a charge is due."""
    made = make_driver(sessions, stand_in, gateway, "commercial")
    road.vehicle(made.agreement_id)
    road.send([road.record(f"r{n}", plate="EV10001", amount=SUM // 5, passed_at=MONDAY) for n in range(5)], now=MONDAY)
    decide(road.session, [made.agreement_id], now=MONDAY)
    road.session.commit()
    with sessions.begin() as session:
        move_clock(session, MONDAY, running=False)
    return made


@pytest.fixture
def settings(tmp_path: Path, stand_in: GatewayServer) -> Settings:
    """The stand-in is the card gateway."""
    return load(
        {
            "BRIKKE_VAR": str(tmp_path),
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": stand_in.url,
            "STRIPE_WEBHOOK_SECRETS": "whsec_x",
        }
    )


Kill = Callable[[str], None]


@pytest.fixture(scope="module")
def workers() -> Iterator[subprocess.Popen[str]]:
    """The process whose forks charge and are killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.card_worker"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def kill_at(workers: subprocess.Popen[str], database_url: str, stand_in: GatewayServer, settings: Settings) -> Kill:
    """Run a worker that charges what is due until it is killed at a point."""

    def run(point: str) -> None:
        order = {
            "point": point, "database": database_url, "gateway": stand_in.url, "folder": str(settings.var),
            "now": MONDAY.isoformat(),
        }  # fmt: skip
        assert workers.stdin is not None
        assert workers.stdout is not None
        print(json.dumps(order), file=workers.stdin, flush=True)
        assert workers.stdout.readline() == f"{signal.SIGKILL:d}\n", point

    return run


@pytest.mark.parametrize("point", POINTS)
def test_one_charge_whenever_it_is_killed(
    point: str,
    kill_at: Kill,
    driver: Driver,
    settings: Settings,
    stand_in: GatewayServer,
    sessions: SessionFactory,
) -> None:
    kill_at(point)
    called = stand_in.books()["count"]
    assert called == int(POINTS.index(point) >= POINTS.index("called"))
    context = JobContext(sessions, settings, "due_charges")
    charge.job(context, MONDAY)  # whoever comes next does not try again what may have been paid
    assert stand_in.books()["count"] == int(called or POINTS.index(point) < POINTS.index("prepared"))
    sweep.sweep(context, asked_before=now_utc())
    charge.job(context, MONDAY)
    assert [one.state for one in driver.charges()] == ["succeeded"]
    assert [one.state for one in driver.attempts()] == ["succeeded"]
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (1, SUM + FEE)
    with sessions() as session:
        paid = "SELECT sum(amount_ore), count(*) FROM transfers WHERE code = 'card_payment'"
        assert tuple(session.execute(text(paid)).one()) == (SUM + FEE, 1)
        assert session.execute(text("SELECT count(*) FROM documents")).scalar_one() == 1
        # The agreement was not opened the way agreements are; everything else must hold.
        every = [rule.name for rule in RULES if rule.name not in UNOPENED]
        assert audit(session, every).first_difference is None


ALSO = tuple(point for point in POINTS if point not in ("marked", "fee", "settled", "receipt", "released"))
"""What a charge passes that does not succeed: such an answer is recorded between "applying" and the end."""


def heal(context: JobContext) -> None:
    """What comes next by itself: the others' work, the sweep, and their work again."""
    charge.job(context, MONDAY)
    sweep.sweep(context, asked_before=now_utc())
    charge.job(context, MONDAY)


def whole(sessions: SessionFactory) -> None:
    """Assert that the books hold. The agreement was not opened the way agreements are; everything else must."""
    with sessions() as session:
        every = [rule.name for rule in RULES if rule.name not in UNOPENED]
        assert audit(session, every).first_difference is None


@pytest.mark.parametrize("point", ALSO)
def test_a_decline_is_one_decline_whenever_it_is_killed(
    point: str, kill_at: Kill, driver: Driver, settings: Settings, stand_in: GatewayServer, sessions: SessionFactory
) -> None:
    stand_in.fault("decline", code="insufficient_funds", times=None)
    kill_at(point)
    context = JobContext(sessions, settings, "due_charges")
    heal(context)
    assert [(one.state, one.code) for one in driver.attempts()] == [("declined", "insufficient_funds")]
    [waits] = driver.charges()
    assert (waits.state, waits.tries, waits.waits_for) == ("claimed", 1, None)
    assert MONDAY < waits.next_at < MONDAY + dt.timedelta(days=2), "the next bank day"
    assert stand_in.books()["count"] == 0
    whole(sessions)
    stand_in.world.faults.clear()
    assert driver.charge(StripeGateway(api_key="sk_test_x", api_base=stand_in.url), waits.next_at) == ["succeeded"]
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (1, SUM + FEE)


@pytest.mark.parametrize("point", ALSO)
def test_a_bank_that_wants_to_know_asks_once_whenever_it_is_killed(
    point: str, kill_at: Kill, driver: Driver, settings: Settings, stand_in: GatewayServer, sessions: SessionFactory
) -> None:
    stand_in.fault("decline", code="authentication_required", times=None)
    kill_at(point)
    heal(JobContext(sessions, settings, "due_charges"))
    assert [(one.state, one.code) for one in driver.attempts()] == [("declined", "authentication_required")]
    [waits] = driver.charges()
    assert (waits.state, waits.tries, waits.waits_for) == ("claimed", 1, "customer")
    assert stand_in.books()["count"] == 0
    with sessions() as session:
        told = "SELECT template FROM messages"
        assert session.scalars(text(told)).all() == ["card_confirm"], "the customer is told once"
        assert session.execute(text("SELECT count(*) FROM cards WHERE refused_code IS NOT NULL")).scalar_one() == 0
    whole(sessions)


@pytest.mark.parametrize("point", ALSO)
def test_a_lost_answer_is_one_payment_whenever_it_is_killed(
    point: str, kill_at: Kill, driver: Driver, settings: Settings, stand_in: GatewayServer, sessions: SessionFactory
) -> None:
    """The provider takes the money, and its answer is cut off."""
    stand_in.fault("timeout", when="after", hold_seconds=0.1)
    kill_at(point)
    called = POINTS.index(point) >= POINTS.index("called")
    assert stand_in.books()["count"] == int(called)
    context = JobContext(sessions, settings, "due_charges")
    heal(context)
    sweep.sweep(context, asked_before=now_utc())
    assert [one.state for one in driver.attempts()] == ["succeeded"]
    assert [one.state for one in driver.charges()] == ["succeeded"]
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (1, SUM + FEE)
    whole(sessions)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["prepared", "called", "collected", "recorded"])
def test_a_run_of_many_goes_on_where_it_was_killed(
    point: str,
    kill_at: Kill,
    settings: Settings,
    stand_in: GatewayServer,
    gateway: CardGateway,
    sessions: SessionFactory,
) -> None:
    """Some are paid, some are under way, some have not been begun: in the end each is paid once."""
    for _ in range(14):
        driver = make_driver(sessions, stand_in, gateway, "consumer")
        driver.drive(20_000, MONDAY)
    with sessions.begin() as session:
        move_clock(session, MONDAY, running=False)
    kill_at(point)
    context = JobContext(sessions, settings, "due_charges")
    for _ in range(2):
        charge.job(context, MONDAY)
        sweep.sweep(context, asked_before=now_utc())
    assert [one.state for one in driver.charges()] == ["succeeded"] * 14
    assert [one.state for one in driver.attempts()] == ["succeeded"] * 14
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (14, 280_000)
    with sessions() as session:
        paid = "SELECT sum(amount_ore), count(*) FROM transfers WHERE code = 'card_payment'"
        assert tuple(session.execute(text(paid)).one()) == (280_000, 14)
        assert session.execute(text("SELECT count(*) FROM documents")).scalar_one() == 14


@pytest.fixture
def story(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a run does, in order: points, ``commit`` of what wrote something, ``call``."""
    told: list[str] = []
    wrote = threading.local()

    def executed(*about: Any) -> None:
        if about[2].lstrip().upper().startswith(WRITES):
            wrote.yes = True

    def committed(_connection: Any) -> None:
        if getattr(wrote, "yes", False):
            told.append("commit")
        wrote.yes = False

    def calling(asked: CardGateway, request: ChargeRequest) -> Outcome:
        told.append("call")
        return call(asked, request)

    call = charge.call
    monkeypatch.setattr(charge, "call", calling)
    monkeypatch.setattr(steps, "hook", told.append)
    event.listen(engine, "after_cursor_execute", executed)
    event.listen(engine, "commit", committed)
    yield told
    event.remove(engine, "after_cursor_execute", executed)
    event.remove(engine, "commit", committed)


def test_no_step_is_without_its_point(
    driver: Driver, settings: Settings, sessions: SessionFactory, story: list[str]
) -> None:
    """Between any two effects that a crash cannot undo lies a point, and all points are passed, in their order."""
    charge.job(JobContext(sessions, settings, "due_charges"), MONDAY)
    assert [one.state for one in driver.charges()] == ["succeeded"]
    passed = [one for one in story if one in POINTS]
    assert [one for n, one in enumerate(passed) if one not in passed[:n]] == list(POINTS)
    effects = [n for n, one in enumerate(story) if one not in POINTS]
    assert [story[n] for n in effects].count("call") == 1
    assert len(effects) >= 4, story  # the attempt, the turn, the call, what came of it
    for before, after in itertools.pairwise(effects):
        assert any(one in POINTS for one in story[before + 1 : after]), (story[before : after + 1], story)


def test_the_list_of_points_is_what_the_code_passes() -> None:
    found = [
        node.args[0].value
        for path in Path(billing.cards.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "passed"
        and isinstance(node.args[0], ast.Constant)
    ]
    assert set(found) == set(POINTS)
