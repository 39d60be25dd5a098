"""Servers that are dead, switched off, and back: who waits for whom, and for how long."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pytest
from sqlalchemy import text

from billing.roadside.exchange.keep import ExchangeGiven, keep_exchange
from billing.roadside.exchange.models import Exchange
from billing.roadside.exchange.transport import outbox_of
from billing.roadside.lists import jobs
from billing.roadside.lists.outbox import SwitchedOff
from config.clock import now_utc
from tests.integration.billing.roadside.lists.conftest import MINUTE, World

_NO_JOBS = text("DELETE FROM procrastinate_jobs WHERE task_name = 'status_lists'")


class Servers:
    """Takes what is delivered, but for chargers that are dead; says what was tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dead: set[str] = set()
        self.tried: list[str] = []
        monkeypatch.setattr(jobs, "outbox_of", lambda sessions, settings, code: self)

    def deliver(self, name: str, content: Iterable[bytes]) -> None:
        self.tried.append(name)
        if name.split("-", maxsplit=1)[0] in self.dead:
            raise OSError("unreachable")


@pytest.fixture
def told(world: World) -> World:
    """FJELL has acknowledged its first lists."""
    world.minute(full=True)
    for name in ("tags", "plates"):
        world.ack(name, 1)
    return world


def keep(world: World, code: str = "FJELL", *, enabled: bool = True) -> Exchange:
    given = ExchangeGiven(
        "sftp", enabled=enabled, host="h", port=22, username="u", key_file="k", host_key="SHA256:" + "A" * 43,
        remote_in="in", remote_out="out",
    )  # fmt: skip
    row, _ = keep_exchange(world.session, world.charger(code), given)
    world.session.commit()
    return row


def test_back_after_a_minute_it_knows_of_the_block_within_five(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch)
    servers.dead = {"FJELL"}
    told.block()
    blocked = told.now
    assert told.minute()["failed"] == 1
    servers.dead = set()
    while told.version(2).state == "made" and told.now < blocked + 5 * MINUTE:
        told.minute()
    sent = told.version(2).sent_at
    assert sent is not None
    assert sent - blocked <= 5 * MINUTE
    told.prove()


def test_it_is_tried_every_five_minutes_at_least(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch)
    servers.dead = {"FJELL"}
    told.take("push", list_types="tags")
    told.block()
    tried = []
    for minute in range(1, 60):
        if told.minute()["failed"]:
            tried.append(minute)
    assert tried == [1, 2, 4, *range(9, 60, 5)]
    assert told.version(2).attempts == len(tried)


def test_the_dead_are_asked_once_a_run_and_the_living_before_them(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch)
    servers.dead = {"FJELL"}
    told.take("push", code="FJORD")
    told.minute(full=True)
    for status in ("blocked", "valid", "blocked"):
        told.block(status)
        servers.tried.clear()
        told.minute()
        dead = [name for name in servers.tried if name.startswith("FJELL")]
        assert len(dead) <= 1
        assert len(servers.tried) == 2 + len(dead)
    told.at(told.now + 30 * MINUTE)
    told.block("valid")
    servers.tried.clear()
    told.minute()
    assert [name.startswith("FJELL") for name in servers.tried] == [False, False, True]


def test_one_that_only_its_own_file_fails_for_holds_back_nothing(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that cannot be delivered, whatever the reason: the next one can, a minute later."""
    servers = Servers(monkeypatch)
    told.take("push", list_types="tags")
    told.block()
    servers.dead = {"FJELL"}
    told.minute()
    told.minute()
    servers.dead = set()
    told.block("valid")
    told.minute()
    assert [one[2] for one in told.versions()] == ["acknowledged", "made", "sent"]


def test_what_could_not_be_fetched_holds_no_list_back(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the exchange waits with its look at a server says nothing of its folder for lists."""
    servers = Servers(monkeypatch)
    row = keep(told)
    row.next_at = now_utc() + dt.timedelta(minutes=60)  # real time
    told.session.commit()
    told.block()
    assert told.minute()["sent"] == 2
    assert len(servers.tried) == 2


def test_switched_off_versions_wait_and_go_when_it_is_on_again(told: World, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(told, enabled=False)
    with pytest.raises(SwitchedOff):
        outbox_of(told.ctx.sessions, told.ctx.settings, "FJELL")
    before = told.out()
    told.block()
    assert told.minute() | {"changes": 0} == {"changes": 0, "lists": 2, "sent": 0, "offered": 0, "failed": 0}
    row = told.version(2)
    assert (row.state, row.sent_at, row.attempts, told.out()) == ("made", None, 0, before)
    # Switched off between the look and the sending, it waits as well.
    monkeypatch.setattr(jobs, "switched_off", lambda session: frozenset())
    assert told.minute()["failed"] == 0
    assert (told.version(2).state, told.version(2).attempts) == ("made", 0)
    monkeypatch.undo()
    told.session.execute(_NO_JOBS)
    keep(told)
    assert told.road.ask("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'status_lists'") != [(0,)]
    told.session.commit()
    servers = Servers(monkeypatch)
    assert told.minute()["sent"] == 2
    assert len(servers.tried) == 2
    told.prove()


def test_who_pulls_needs_no_exchange(told: World) -> None:
    told.take("pull")
    keep(told, enabled=False)
    told.block()
    assert told.minute()["offered"] == 2
