"""Who waits for an answer asks at the pace that all share, and tells how it went."""

from __future__ import annotations

import datetime as dt
import time

import pytest
from sqlalchemy import text

from billing.cards import one_turn, pace
from billing.cards.gateway import (
    CardGateway,
    GatewayMisuse,
    GatewayUnavailable,
    RateLimited,
    Unknown,
)
from billing.cards.one_turn import OneTurn
from billing.cards.provider import NAME
from config.clock import now_utc
from config.database import SessionFactory
from simulator.gateway import GatewayServer
from tests.integration.billing.cards.conftest import Driver
from tests.integration.billing.cards.test_webhooks_read import Reader, event, hear, lost, payment


def test_the_provider_is_asked_at_the_shared_pace(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    lost(driver, gateway, stand_in)
    about, reader = payment(stand_in), Reader(gateway)
    turns = OneTurn(driver.sessions, per_second=100.0)

    def stands(**columns: object) -> None:
        with driver.sessions.begin() as session:
            session.execute(text("DELETE FROM card_pace"))
            row = {"next_at": now_utc(), "failures": 0, "down_until": None, **columns}
            into = "INSERT INTO card_pace (provider, next_at, failures, down_until) VALUES (:p, :n, :f, :d)"
            told = {"p": NAME, "n": row["next_at"], "f": row["failures"], "d": row["down_until"]}
            session.execute(text(into), told)

    in_a_minute = now_utc() + dt.timedelta(minutes=1)
    soon = now_utc() + dt.timedelta(seconds=one_turn.PATIENCE_SECONDS + 10)
    for columns in ({"failures": 5, "down_until": in_a_minute}, {"next_at": soon}):
        stands(**columns)
        with pytest.raises(GatewayUnavailable):
            hear(driver, reader, event("payment_intent.succeeded", about), turns)
    assert reader.reads == 0
    unkeyed = {name: word for name, word in about["metadata"].items() if name != "key"}
    stranger = event("payment_intent.succeeded", {**about, "customer": "cus_other", "metadata": unkeyed})
    assert hear(driver, reader, stranger, turns) == "ignored", "that takes no turn"
    stands()
    for answer, then in ((Unknown("no answer", answered=False), 1), (RateLimited(dt.timedelta(seconds=20)), 0)):
        with pytest.raises(GatewayUnavailable):
            hear(driver, Reader(gateway, answer), event("payment_intent.succeeded", about), turns)
        with driver.sessions() as session:
            how = session.execute(text("SELECT failures, next_at > now() + interval '5 s' FROM card_pace")).one()
        assert tuple(how) == (then, not then)
        stands()
    stands(next_at=now_utc() + dt.timedelta(seconds=1), failures=1)
    began = time.monotonic()
    assert hear(driver, reader, event("payment_intent.succeeded", about), turns) == "succeeded"
    assert time.monotonic() - began > 0.7
    with driver.sessions() as session:
        assert session.execute(text("SELECT failures FROM card_pace")).scalar_one() == 0, "it is up"


def resting(driver: Driver) -> tuple[int, bool]:
    """How many silences are counted, and whether the door is closed."""
    with driver.sessions() as session:
        row = session.execute(text("SELECT failures, down_until > clock_timestamp() FROM card_pace")).one()
    return row[0], bool(row[1])


def test_what_waits_for_an_answer_tries_whether_the_provider_is_back(
    driver: Driver, gateway: CardGateway, stand_in: GatewayServer
) -> None:
    """Nothing is due and nothing unknown: an event is the only one that asks."""
    lost(driver, gateway, stand_in)
    turns, told = OneTurn(driver.sessions, per_second=100.0), event("payment_intent.succeeded", payment(stand_in))
    with driver.sessions.begin() as session:
        for _ in range(pace.TOO_MANY):
            pace.failed(session, NAME, probe=False)
    assert resting(driver) == (5, True)

    def over() -> None:
        with driver.sessions.begin() as session:
            session.execute(text("UPDATE card_pace SET down_until = clock_timestamp() - interval '1 second'"))

    over()
    silent = Reader(gateway, Unknown("no answer", answered=False))
    with pytest.raises(GatewayUnavailable):
        hear(driver, silent, told, turns)
    assert (silent.reads, resting(driver)) == (1, (6, True)), "it is left alone for longer"
    over()
    others: list[str] = []

    def asks() -> str:
        with pytest.raises(GatewayUnavailable):  # one at a time tries
            turns.ask(lambda: others.append("too many"))
        return "well"

    assert turns.ask(asks) == "well"
    assert (others, resting(driver)) == ([], (0, False))
    assert hear(driver, gateway, told, turns) == "succeeded"


@pytest.mark.parametrize(
    ("error", "failures", "held"),
    [
        (GatewayUnavailable("no answer"), 1, False),
        (GatewayUnavailable("too many", dt.timedelta(seconds=20), answered=True), 0, True),
        (GatewayUnavailable("come back then", dt.timedelta(seconds=20)), 1, False),
        (GatewayMisuse("no such card", "resource_missing"), 0, False),
    ],
)
def test_a_read_that_fails_is_told_too(sessions: SessionFactory, error: Exception, failures: int, held: bool) -> None:
    turns = OneTurn(sessions, per_second=100.0)
    with sessions.begin() as session:
        pace.hold(session, NAME, dt.timedelta(0))

    def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        turns.ask(fails)
    with sessions() as session:
        row = session.execute(text("SELECT failures, next_at > clock_timestamp() + interval '5 s' FROM card_pace"))
        assert tuple(row.one()) == (failures, held)
