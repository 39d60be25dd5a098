"""One pace for all workers: turns are spaced, "too many" holds everybody, silence closes the door."""

from __future__ import annotations

import datetime as dt
import threading
import time
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import text

from billing.cards import charge, outcome, pace, sweep
from billing.cards import line as module
from billing.cards.failures import SomeFailed
from billing.cards.gateway import CardGateway, ChargeRequest, Declined, Outcome, RateLimited, Unknown
from billing.cards.line import Line
from billing.cards.outcome import NOT_TRIED
from billing.cards.pace import Resting
from billing.cards.prepare import pick
from config.clock import move_clock, now_utc
from config.database import SessionFactory
from config.jobs import JobContext
from config.settings import Settings
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import MONDAY, Driver, card_settings, make_driver
from tests.integration.billing.passages.conftest import at_once
from web.support.card_words import attempt_word

DECLINED = Declined(None, "insufficient_funds", "", needs_customer=False, retry="later")
SILENCE = Unknown(reason="no answer", answered=False)


def settings_of(folder: Path, stand_in: GatewayServer, **more: str) -> Settings:
    """The stand-in is the card gateway, and we are impatient."""
    return card_settings(folder, stand_in, HTTP_TIMEOUT_SECONDS="1", **more)


def due_drivers(sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, count: int) -> Driver:
    """Make so many drivers with 200 kroner each due; the clock stands on Monday."""
    for _ in range(count):
        last = make_driver(sessions, stand_in, gateway, "consumer")
        last.drive(20_000, MONDAY)
    with sessions.begin() as session:
        move_clock(session, MONDAY, running=False)
    return last


def test_turns_are_evenly_spaced_and_nobody_has_one_twice(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        first = pace.reserve(session, "p", 5, 10.0)
    with sessions.begin() as session:
        second = pace.reserve(session, "p", 5, 10.0)
    assert first.waits == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=0.05)
    assert second.waits == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9], abs=0.1)
    with sessions.begin() as session:
        assert pace.reserve(session, "another", 1, 10.0).waits == pytest.approx([0.0], abs=0.01)


def test_silence_closes_the_door_for_longer_each_time_and_an_answer_opens_it(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resting() -> float:
        with sessions() as session:
            return pace.state(session, "p").resting

    def over() -> None:
        with sessions.begin() as session:
            session.execute(text("UPDATE card_pace SET down_until = clock_timestamp() - interval '1 second'"))

    def fail(*, probe: bool = False) -> None:
        with sessions.begin() as session:
            pace.failed(session, "p", probe=probe)

    for _ in range(pace.TOO_MANY - 1):
        fail()
    assert resting() == 0
    for _ in range(10):  # those that were under way when it closed make it no longer
        fail()
    assert resting() == pytest.approx(30, abs=1)
    with sessions.begin() as session, pytest.raises(Resting):
        pace.reserve(session, "p", 5, 10.0)
    for seconds in (60, 120, 240, 300, 300):
        over()
        with sessions.begin() as session:
            turns = pace.reserve(session, "p", 5, 10.0)
        assert (len(turns.waits), turns.probe) == (1, True)
        with sessions.begin() as session, pytest.raises(Resting):
            pace.reserve(session, "p", 5, 10.0)
        fail(probe=True)
        assert resting() == pytest.approx(seconds, abs=1)
    with sessions.begin() as session:
        pace.answered(session, "p")
    with sessions.begin() as session:
        assert not pace.reserve(session, "p", 5, 10.0).probe


def test_one_answer_between_keeps_it_open(sessions: SessionFactory) -> None:
    line = Line(sessions, per_second=1000.0, name="p")
    for result in [SILENCE] * 4 + [DECLINED] + [SILENCE] * 4:
        assert line.ask(lambda said=result: said) == result  # type: ignore[misc]
    assert line.state().resting == 0
    line.ask(lambda: SILENCE)
    with pytest.raises(Resting):
        line.ask(lambda: DECLINED)


def test_too_many_holds_everybody_back(sessions: SessionFactory) -> None:
    mine, others, more = (Line(sessions, per_second=100.0, name="p") for _ in range(3))
    mine.ask(lambda: RateLimited(dt.timedelta(seconds=1)))
    began = time.monotonic()
    others.ask(lambda: DECLINED)
    assert time.monotonic() - began > 0.8
    mine.ask(lambda: RateLimited(dt.timedelta(minutes=5)))
    with pytest.raises(Resting):  # nobody waits that long
        more.ask(lambda: DECLINED)


def test_without_a_word_how_long_the_wait_doubles(sessions: SessionFactory) -> None:
    line = Line(sessions, per_second=1000.0, name="p")
    for seconds in (1, 2, 4):
        line.ask(lambda: RateLimited())
        with sessions.begin() as session:
            ahead = session.execute(
                text("SELECT extract(epoch FROM next_at - clock_timestamp())::float FROM card_pace")
            ).scalar_one()
            session.execute(text("UPDATE card_pace SET next_at = clock_timestamp()"))
        assert ahead == pytest.approx(seconds, abs=0.2)


class Provider:
    """A provider that lets in so many requests a second, and counts what it turns away."""

    def __init__(self, per_second: float) -> None:
        self.per_second, self.let_in, self.turned_away = per_second, 0, 0
        self._lock, self._free_at = threading.Lock(), 0.0

    def __call__(self) -> Outcome:
        """Answer a request: a decline where it is let in."""
        with self._lock:
            now = time.monotonic()
            if self._free_at > now + 0.1:  # a short queue is taken
                self.turned_away += 1
                return RateLimited()
            self._free_at = max(now, self._free_at) + 1 / self.per_second
            self.let_in += 1
            return DECLINED


def test_a_flood_of_too_many_slows_us_and_the_speed_comes_back(
    sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our rate is four times what the provider takes: most calls are let in nevertheless, and the door stays open."""
    monkeypatch.setattr(module, "FIRST_BACKOFF", dt.timedelta(milliseconds=50))
    monkeypatch.setattr(module, "LONGEST_BACKOFF", dt.timedelta(milliseconds=200))
    provider, line = Provider(50), Line(sessions, per_second=200.0, name="p")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        line.ask(provider)
    assert line.rate < 120, "it does not run at the whole speed against the wall"
    assert provider.turned_away < provider.let_in / 4, (provider.turned_away, provider.let_in)
    assert provider.let_in > 60, "and not much slower than it is let in"
    with sessions() as session:
        failures = session.execute(text("SELECT failures, down_until FROM card_pace")).one()
    assert tuple(failures) == (0, None), "the provider is up: it answered each time"
    provider.per_second = 10_000
    for _ in range(110):
        line.ask(provider)
    assert line.rate == 200


def test_it_never_stops_altogether(sessions: SessionFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_BACKOFF", dt.timedelta(0))
    line = Line(sessions, per_second=64.0, name="p")
    for _ in range(9):
        line._hold(None, time.monotonic() + 1)
    assert line.rate == module.SLOWEST
    slow = Line(sessions, per_second=0.5, name="p")
    slow._hold(None, time.monotonic() + 1)
    assert slow.rate == 0.5, "a speed that is set below that stays"


def test_what_is_turned_away_is_not_tried_and_no_decline(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Seven of eight calls are turned away, more than would close the door; later all are let in."""
    monkeypatch.setattr(module, "FIRST_BACKOFF", dt.timedelta(milliseconds=10))
    monkeypatch.setattr(module, "LONGEST_BACKOFF", dt.timedelta(milliseconds=40))
    driver = due_drivers(sessions, stand_in, gateway, 8)
    context = JobContext(sessions, settings_of(tmp_path, stand_in, CARD_CONCURRENCY="4"), "due_charges")
    stand_in.fault("rate_limit", times=7)
    assert charge.job(context, MONDAY)["unknown"] == 7
    assert stand_in.books()["count"] == 1
    before = driver.attempts()
    away = [one for one in before if one.state == "unknown"]
    assert {(one.message, one.code, one.lookup) for one in away} == {(NOT_TRIED, None, False)}
    assert [(one.tries, one.waits_for) for one in driver.charges()] == [(0, None)] * 8
    with sessions() as session:
        assert session.execute(text("SELECT count(*) FROM cards WHERE refused_code IS NOT NULL")).scalar_one() == 0
        assert session.execute(text("SELECT failures FROM card_pace")).scalar_one() == 0
        assert session.execute(text("SELECT count(*) FROM messages")).scalar_one() == 1, "the receipt of the one"
    assert charge.job(context, MONDAY)["succeeded"] == 0, "nobody begins a second attempt"
    assert sweep.sweep(context, asked_before=now_utc())["succeeded"] == 7
    after = driver.attempts()
    assert [one.idempotency_key for one in after] == [one.idempotency_key for one in before], "the same attempts"
    assert [one.state for one in after] == ["succeeded"] * 8
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (8, 160_000)


def test_what_got_no_answer_first_is_not_called_untried(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path
) -> None:
    driver = due_drivers(sessions, stand_in, gateway, 1)
    context = JobContext(sessions, settings_of(tmp_path, stand_in), "due_charges")
    stand_in.fault("error", when="after", stored=False)
    stand_in.fault("rate_limit")
    assert charge.job(context, MONDAY)["unknown"] == 1
    assert sweep.sweep(context, asked_before=now_utc())["unknown"] == 1
    [attempt] = driver.attempts()
    assert attempt.message != NOT_TRIED
    assert sweep.sweep(context, asked_before=now_utc())["succeeded"] == 1
    assert stand_in.books()["count"] == 1


def test_what_may_have_been_sent_before_is_not_called_untried(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path
) -> None:
    """The card has paid, and the worker was killed before it could write so; the sweep is turned away at first."""
    driver = due_drivers(sessions, stand_in, gateway, 1)
    with sessions.begin() as session:
        ready = charge.prepare(session, driver.charges()[0].id, seller=driver.seller, now=MONDAY, real=now_utc())
    assert ready is not None
    charge.call(gateway, ready.request)
    context = JobContext(sessions, settings_of(tmp_path, stand_in))
    stand_in.fault("rate_limit")
    assert sweep.sweep(context, asked_before=now_utc())["unknown"] == 1
    assert (stand_in.books()["count"], untried(driver)) == (1, False)


def test_what_the_sweep_may_have_sent_is_not_called_untried(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Turned away the first time; the sweep is killed after it has sent the key, and the next one is turned away."""
    driver = due_drivers(sessions, stand_in, gateway, 1)
    context = JobContext(sessions, settings_of(tmp_path, stand_in), "due_charges")
    stand_in.fault("rate_limit")
    assert charge.job(context, MONDAY)["unknown"] == 1
    assert untried(driver)
    with monkeypatch.context() as killed:
        killed.setattr(outcome, "apply_some", lambda *_args, **_more: 1 / 0)
        with pytest.raises(SomeFailed):
            sweep.sweep(context, asked_before=now_utc())
    assert stand_in.books()["count"] == 1
    assert not untried(driver), "it has paid"
    stand_in.fault("rate_limit")
    assert sweep.sweep(context, asked_before=now_utc())["unknown"] == 1
    assert not untried(driver)


def untried(driver: Driver) -> bool:
    """Say whether support reads that the attempt is not tried yet."""
    with Flask("pages").test_request_context():
        return attempt_word(driver.attempts()[0])[0] == "ikke prøvd ennå"


def test_two_workers_share_what_is_due_and_one_pace(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    driver = due_drivers(sessions, stand_in, gateway, 24)
    patient = card_settings(tmp_path, stand_in, CARD_RATE_PER_SECOND="20", HTTP_TIMEOUT_SECONDS="20")
    context = JobContext(sessions, patient, "due_charges_beside")
    called: list[tuple[float, str]] = []
    call = charge.call

    def calling(asked: CardGateway, request: ChargeRequest) -> Outcome:
        called.append((time.monotonic(), threading.current_thread().name))
        return call(asked, request)

    monkeypatch.setattr(charge, "call", calling)
    counts: list[dict[str, int | str]] = []
    at_once(*[lambda: counts.append(charge.job(context, MONDAY))] * 2)
    assert sum(int(one["succeeded"]) for one in counts) == 24
    assert all(int(one["succeeded"]) > 0 for one in counts)
    assert [one.state for one in driver.attempts()] == ["succeeded"] * 24
    assert stand_in.books()["count"] == 24
    times = sorted(at for at, _ in called)
    assert times[-1] - times[0] >= 0.9 * 23 / 20


def test_many_call_another_worker_and_few_do_not(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path
) -> None:
    due_drivers(sessions, stand_in, gateway, 3)
    bells = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'due_charges_beside'"
    settings = settings_of(tmp_path, stand_in, CARD_CONCURRENCY="1")
    charge.job(JobContext(sessions, settings, "due_charges"), MONDAY)
    with sessions() as session:
        assert session.execute(text(bells)).scalar_one() == 1
    charge.job(JobContext(sessions, settings, "due_charges"), MONDAY)
    with sessions() as session:
        assert session.execute(text(bells)).scalar_one() == 1


def test_two_workers_pick_different_charges(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway
) -> None:
    due = [one.id for one in due_drivers(sessions, stand_in, gateway, 5).charges()]
    with sessions() as one, sessions() as other:
        assert pick(one, now=MONDAY, after=0, limit=2) == due[:2]
        assert pick(other, now=MONDAY, after=0, limit=2) == due[2:4]
        one.rollback()
        assert pick(other, now=MONDAY, after=0, limit=5) == due, "its own, what nobody had, and what was let go"


def test_an_outage_of_a_day_loses_and_doubles_nothing(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It begins with answers that get lost; then nothing is answered; the keys are forgotten when it is over."""
    driver = due_drivers(sessions, stand_in, gateway, 12)
    calls, call = [], charge.call

    def calling(asked: CardGateway, request: ChargeRequest) -> Outcome:
        calls.append(request.attempt)
        return call(asked, request)

    monkeypatch.setattr(charge, "call", calling)
    monkeypatch.setattr(sweep, "call", calling)
    context = JobContext(sessions, settings_of(tmp_path, stand_in, CARD_CONCURRENCY="4"), "due_charges")
    stand_in.fault("error", when="after", stored=False, times=3)
    stand_in.fault("error", status=503, when="before", times=None, on="any")
    for hour in range(24):
        with sessions.begin() as session:
            move_clock(session, MONDAY + dt.timedelta(hours=hour), running=False)
            session.execute(  # an hour of rest is over
                text("UPDATE card_pace SET down_until = down_until - interval '1 hour', next_at = clock_timestamp()")
            )
        said = str(charge.job(context, MONDAY).get("note"))
        assert hour or "does not answer" in said
        sweep.sweep(context, asked_before=now_utc())
    assert stand_in.books()["count"] <= 3
    assert 24 <= len(calls) <= 60, "one call an hour finds out that it still lasts; at first some were under way"
    assert len(driver.attempts()) <= 12
    assert "succeeded" not in {one.state for one in driver.charges()}
    with sessions.begin() as session:
        day = "interval '1 day'"
        session.execute(text(f"UPDATE attempts SET called_at = called_at - {day}, sent_at = sent_at - {day}"))
        session.execute(text("UPDATE card_pace SET down_until = down_until - interval '1 hour'"))
    stand_in.world.faults.clear()
    stand_in.forget_keys()
    for _ in range(3):  # as their schedules do
        charge.job(context, MONDAY)
        sweep.sweep(context, asked_before=now_utc())
    assert [one.state for one in driver.charges()] == ["succeeded"] * 12
    assert (stand_in.books()["count"], stand_in.books()["sum_ore"]) == (12, 240_000)
    with sessions() as session:
        paid = text("SELECT count(*), sum(amount_ore) FROM transfers WHERE code = 'card_payment'")
        assert tuple(session.execute(paid).one()) == (12, 240_000)
        assert session.execute(text("SELECT count(*) FROM documents")).scalar_one() == 12


def test_what_was_put_off_too_long_is_left_to_the_sweep(
    sessions: SessionFactory, stand_in: GatewayServer, gateway: CardGateway, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A machine that slept between committing and calling: by now the provider may have forgotten the key."""
    driver = due_drivers(sessions, stand_in, gateway, 1)
    context = JobContext(sessions, settings_of(tmp_path, stand_in), "due_charges")
    monkeypatch.setattr(charge, "PUT_OFF", dt.timedelta(0))
    assert charge.job(context, MONDAY)["unknown"] == 1
    assert stand_in.books()["count"] == 0
    assert sweep.sweep(context, asked_before=now_utc())["succeeded"] == 1
    assert [one.state for one in driver.charges()] == ["succeeded"]
