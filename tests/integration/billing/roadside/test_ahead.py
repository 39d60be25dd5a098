"""The next chunk is matched while this one is booked: what changes meanwhile counts, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine

from accounts.chargers.oddities import keep_oddities
from billing.passages import ingest
from billing.roadside import receive as receiving
from billing.roadside.chunk import book
from billing.roadside.ingest_file import ingest_file
from config.database import SessionFactory
from tests.integration.billing.passages.conftest import PASSED, Road, road
from tests.integration.billing.roadside.test_receive import agreement, record, write

__all__ = ["agreement", "road"]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each chunk that was booked had been begun ahead."""
    seen: list[bool] = []

    def booked(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["begun"] is not None)
        return book(*args, **kwargs)

    monkeypatch.setattr(receiving, "book", booked)
    return seen


def held(sessions: SessionFactory) -> int:
    """How many connections are not given back."""
    engine: Engine = sessions.kw["bind"]
    return engine.pool.checkedout()  # type: ignore[attr-defined,no-any-return] # of the pool there is


def test_who_comes_to_the_vehicle_between_match_and_lock_pays(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = road.agreement()
    road.session.commit()
    sold: list[bool] = []

    def sells_meanwhile(*args: Any, **kwargs: Any) -> Any:
        if kwargs["begun"] is not None and not sold:
            sold.append(True)
            ((registration,),) = road.ask("SELECT id FROM registrations")
            road.remove(registration, PASSED)
            road.vehicle(buyer, since=PASSED)
            road.session.commit()
        return book(*args, **kwargs)

    monkeypatch.setattr(receiving, "book", sells_meanwhile)
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(6)])
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {"accepted": 6}
    assert sold
    assert road.ask("SELECT DISTINCT agreement_id FROM passages") == [(buyer,)]
    assert road.ask("SELECT agreement_id, unbilled_ore FROM balances WHERE unbilled_ore <> 0") == [(buyer, 600)]
    road.check_books()
    assert held(sessions) <= 1  # the test's own


def test_a_record_that_the_chunk_before_has_is_known(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, begun: list[bool]
) -> None:
    same, other = record("A"), record("B")
    path = write(tmp_path / "in.jsonl", [same, other, same, record("B", amount=7), record("C"), same])
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {
        "accepted": 3, "duplicate": 2, "conflict": 1,
    }  # fmt: skip
    assert begun == [True] * 3
    assert road.ask("SELECT sum(unbilled_ore) FROM balances") == [(300,)]
    road.check_books()


def test_a_chunk_that_asks_what_is_being_written_waits(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, begun: list[bool]
) -> None:
    taken_back = {"id": "X", "action": "cancel", "original": "A", "version": 1}
    path = write(tmp_path / "in.jsonl", [record("A"), record("B"), taken_back, record("C"), record("D")])
    ingest_file(sessions, path, "FJELL", chunk_size=2)
    assert begun == [True, False, True]
    assert road.ask("SELECT sum(unbilled_ore) FROM balances") == [(300,)]
    keep_oddities(road.session, road.toll, {"unknown_station": True})
    road.session.commit()
    new = [record(f"N{n}", station="S77") for n in range(4)]
    ingest_file(sessions, write(tmp_path / "new.jsonl", new), "FJELL", chunk_size=2)
    assert begun[3:] == [False, False]
    assert road.ask("SELECT count(*) FROM passages WHERE station = 'S77'") == [(4,)]
    road.check_books()


@pytest.mark.parametrize("fails_in", ["book", "begin"])
def test_nothing_is_left_of_what_was_begun(
    road: Road,
    agreement: int,
    sessions: SessionFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails_in: str,
) -> None:
    begin, calls = ingest.begin_chunk, []

    def fails(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("the disk is full")
        return (book if fails_in == "book" else begin)(*args, **kwargs)

    monkeypatch.setattr(receiving, "book" if fails_in == "book" else "begin_chunk", fails)
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(8)])
    road.session.rollback()
    with pytest.raises(ValueError, match="disk"):
        ingest_file(sessions, path, "FJELL", chunk_size=2)
    assert held(sessions) == 0
    assert road.ask("SELECT count(*) FROM passages") == [(2,)]
    monkeypatch.undo()
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {"accepted": 8}
    road.check_books()


def test_nothing_is_begun_while_what_holds_no_table_yet_is_booked(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a table would wait for the session that was begun, that for this thread, and this for the change."""
    order: list[str] = []

    def begins(session: Any, batch: Any, chunk: Any) -> Any:
        done = ingest.begin_chunk(session, batch, chunk)
        order.append(f"begun {chunk.number}" if done else f"not begun {chunk.number}")
        return done

    def books(session: Any, batch: Any, chunk: Any, **kwargs: Any) -> Any:
        done = book(session, batch, chunk, **kwargs)
        order.append(f"booked {chunk.number}")
        return done

    monkeypatch.setattr(receiving, "begin_chunk", begins)
    monkeypatch.setattr(receiving, "book", books)
    taken_back = {"id": "X", "action": "cancel", "original": "A", "version": 1}
    records = [record("A"), record("B"), taken_back, record("C"), record("D"), record("E")]
    ingest_file(sessions, write(tmp_path / "in.jsonl", records), "FJELL", chunk_size=2)
    assert order.index("begun 3") > order.index("booked 2")
    assert road.ask("SELECT sum(unbilled_ore) FROM balances") == [(400,)]


@pytest.mark.parametrize("where", ["book", "begin_chunk"])
def test_a_deadlock_that_the_driver_tells_of_is_tried_again(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    real, calls = getattr(receiving, where), []

    def fails_once(*args: Any, **kwargs: Any) -> Any:
        done = real(*args, **kwargs)
        calls.append(1)
        if len(calls) == 2:
            raise psycopg.errors.DeadlockDetected
        return done

    monkeypatch.setattr(receiving, where, fails_once)
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(8)])
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {"accepted": 8}
    assert road.ask("SELECT sum(unbilled_ore) FROM balances") == [(800,)]
    road.session.rollback()
    assert held(sessions) == 0
    road.check_books()
