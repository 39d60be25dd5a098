"""The job that charges what is due: side by side, each once, and one that fails keeps nobody else waiting."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from sqlalchemy import text

from billing.cards import charge, lanes, sweep
from billing.cards.failures import SomeFailed
from billing.cards.gateway import CardGateway, ChargeRequest, Outcome, Succeeded
from billing.claims.make import BalanceDiffers
from config.clock import move_clock, now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, card_settings, make_driver


@pytest.fixture
def settings(tmp_path: object, stand_in: GatewayServer) -> Settings:
    """The stand-in is the card gateway; four charges at once."""
    return card_settings(tmp_path, stand_in, WORKER_CONCURRENCY="4")


@pytest.fixture
def drivers(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway) -> list[Driver]:
    """Eight drivers with 200 kroner each due."""
    made = [make_driver(sessions, stand_in, gateway, "consumer") for _ in range(8)]
    for driver in made:
        driver.drive(20_000, MONDAY)
    with sessions.begin() as session:
        move_clock(session, MONDAY, running=False)
    return made


def test_several_are_charged_side_by_side_and_each_once(
    drivers: list[Driver],
    sessions: SessionFactory,
    settings: Settings,
    stand_in: GatewayServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meeting, call = threading.Barrier(4), charge.call

    def calling(gateway: CardGateway, request: ChargeRequest) -> Outcome:
        meeting.wait(20)  # nobody pays before four are at the till
        return call(gateway, request)

    monkeypatch.setattr(charge, "call", calling)
    context = JobContext(sessions, settings)
    assert charge.job(context, MONDAY) == {"succeeded": 8, "declined": 0, "unknown": 0, "skipped": 0}
    assert charge.job(context, MONDAY)["succeeded"] == 0
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (8, 160_000)
    assert [one.state for one in drivers[0].charges()] == ["succeeded"] * 8
    assert [driver.balance().open_charge_id for driver in drivers] == [None] * 8


def test_one_that_fails_keeps_nobody_else_from_being_charged(
    drivers: list[Driver],
    sessions: SessionFactory,
    settings: Settings,
    stand_in: GatewayServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In its own batch and in those after it; the job says so at the end, so that its occurrence is tried again."""
    broken = drivers[0].charges()[0].id
    spoil = "UPDATE balances SET unbilled_ore = unbilled_ore + :ore WHERE agreement_id = :id"
    with sessions.begin() as session:
        session.execute(text(spoil), {"ore": 1, "id": drivers[0].agreement_id})
    monkeypatch.setattr(lanes, "BATCH", 4)
    context = JobContext(sessions, settings)
    with pytest.raises(SomeFailed, match=rf"1 of 8 .* {broken}: .*promised 20001") as caught:
        charge.job(context, MONDAY)
    assert isinstance(caught.value.__cause__, BalanceDiffers)
    assert [one.state for one in drivers[0].charges()] == ["due"] + ["succeeded"] * 7
    with sessions.begin() as session:
        session.execute(text(spoil), {"ore": -1, "id": drivers[0].agreement_id})
    assert charge.job(context, MONDAY)["succeeded"] == 1
    assert stand_in.books()["count"] == 8


def test_an_answer_that_cannot_be_recorded_keeps_no_other_from_it(
    drivers: list[Driver],
    sessions: SessionFactory,
    settings: Settings,
    stand_in: GatewayServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All eight came at once; the one that says a wrong sum is asked about again, and nobody pays twice."""
    broken, call = str(drivers[3].charges()[3].id), charge.call

    def calling(gateway: CardGateway, request: ChargeRequest) -> Outcome:
        result = call(gateway, request)
        if request.charge == broken and isinstance(result, Succeeded):
            return replace(result, amount_ore=1)
        return result

    monkeypatch.setattr(charge, "call", calling)
    context = JobContext(sessions, settings)
    with pytest.raises(SomeFailed, match=rf"1 of 8 .* {broken}: .*1 were taken"):
        charge.job(context, MONDAY)
    assert [one.state for one in drivers[0].attempts()].count("succeeded") == 7
    assert sweep.sweep(context, asked_before=now_utc())["succeeded"] == 1
    assert stand_in.books()["count"] == 8


def test_one_that_cannot_be_asked_about_keeps_nobody_else_unknown(
    drivers: list[Driver],
    sessions: SessionFactory,
    settings: Settings,
    stand_in: GatewayServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = []
    for one in drivers[0].charges():
        with sessions.begin() as session:
            ready = charge.prepare(session, one.id, seller=drivers[0].seller, now=MONDAY, real=now_utc())
        assert ready is not None
        attempts.append(ready.attempt_id)
    ask = sweep.ask

    def asking(gateway: CardGateway, sessions: SessionFactory, attempt_id: int, **more: object) -> Outcome | None:
        if attempt_id == attempts[0]:
            raise ValueError("the provider says what we cannot read")
        return ask(gateway, sessions, attempt_id, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(sweep, "ask", asking)
    with pytest.raises(SomeFailed, match=rf"1 of 8 .* {attempts[0]}: .*cannot read"):
        sweep.sweep(JobContext(sessions, settings), asked_before=now_utc())
    assert [one.state for one in drivers[0].attempts()] == ["unknown"] + ["succeeded"] * 7
    assert stand_in.books()["count"] == 7
