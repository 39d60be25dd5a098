"""The next chunk is matched while this one is booked: what changes meanwhile counts, and nothing is left behind."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import TimeoutError

from accounts.chargers.oddities import keep_oddities
from billing.passages import ingest
from billing.passages.match import statements
from billing.roadside import ahead
from billing.roadside import receive as receiving
from billing.roadside.chunk import book
from billing.roadside.ingest_file import ingest_file
from config.database import SessionFactory
from tests.integration.billing.passages.conftest import NOW, PASSED, Road, road
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

    monkeypatch.setattr(*((receiving, "book") if fails_in == "book" else (ahead, "begin_chunk")), fails)
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

    monkeypatch.setattr(ahead, "begin_chunk", begins)
    monkeypatch.setattr(receiving, "book", books)
    taken_back = {"id": "X", "action": "cancel", "original": "A", "version": 1}
    records = [record("A"), record("B"), taken_back, record("C"), record("D"), record("E")]
    ingest_file(sessions, write(tmp_path / "in.jsonl", records), "FJELL", chunk_size=2)
    assert order.index("begun 3") > order.index("booked 2")
    assert road.ask("SELECT sum(unbilled_ore) FROM balances") == [(400,)]


@pytest.mark.parametrize(("module", "where"), [(receiving, "book"), (ahead, "begin_chunk")])
def test_a_deadlock_that_the_driver_tells_of_is_tried_again(
    road: Road,
    agreement: int,
    sessions: SessionFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    where: str,
) -> None:
    real, calls = getattr(module, where), []

    def fails_once(*args: Any, **kwargs: Any) -> Any:
        done = real(*args, **kwargs)
        calls.append(1)
        if len(calls) == 2:
            raise psycopg.errors.DeadlockDetected
        return done

    monkeypatch.setattr(module, where, fails_once)
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(8)])
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {"accepted": 8}
    assert road.ask("SELECT sum(unbilled_ore) FROM balances") == [(800,)]
    road.session.rollback()
    assert held(sessions) == 0
    road.check_books()


HOLD = statements("book.sql")["hold"]
TABLES = """SELECT DISTINCT c.relname FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relnamespace = CAST('public' AS regnamespace)"""


def test_what_is_begun_holds_what_booking_it_touches(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else booking may wait behind a change of a table, the change for the chunk that is begun, and that for
    booking."""
    touched: list[set[str]] = []
    old = {"passed_at": (NOW - dt.timedelta(days=60)).isoformat()}

    def looks(session: Any, *args: Any, begun: Any, **kwargs: Any) -> Any:
        assert begun is not None
        before = set(session.scalars(text(TABLES)))
        done = book(session, *args, begun=begun, **kwargs)
        touched.append(set(session.scalars(text(TABLES))))
        assert touched[-1] <= before
        return done

    monkeypatch.setattr(receiving, "book", looks)
    records = [record(f"R{n}", amount=30_000, lane=str(n), **old) for n in range(4)]
    ingest_file(sessions, write(tmp_path / "in.jsonl", records), "FJELL", chunk_size=2)
    assert len(touched) == 2
    assert touched[0] > {"agreements", "balances", "records", "passages", "lane_reads", "charges", "transfers"}


def test_without_a_connection_to_begin_in_it_is_booked_all_the_same(
    road: Road,
    agreement: int,
    sessions: SessionFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begun: list[bool],
) -> None:
    """As when as many book at once as there are connections."""

    def begins(session: Any, batch: Any, chunk: Any) -> Any:
        if chunk.number == 2:
            raise TimeoutError("all in use")
        return ingest.begin_chunk(session, batch, chunk)

    monkeypatch.setattr(ahead, "begin_chunk", begins)
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(6)])
    road.session.rollback()
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {"accepted": 6}
    assert begun == [True, False, True]
    assert held(sessions) == 0
    road.check_books()


def test_a_table_that_is_not_ours_to_read_is_not_held(sessions: SessionFactory) -> None:
    """Somebody else's, in our schema; and a user of ours that owns nothing."""
    with sessions() as session:  # not committed: a role is of the whole server
        session.execute(text("CREATE TABLE somebody_elses (id integer)"))
        session.execute(text("CREATE ROLE brikke_reads_and_writes"))
        session.execute(text("GRANT SELECT ON agreements, balances TO brikke_reads_and_writes"))
        session.execute(text("SET LOCAL ROLE brikke_reads_and_writes"))
        session.execute(text(HOLD))
        assert {"agreements", "balances"} <= set(session.scalars(text(TABLES + " AND l.mode = 'AccessShareLock'")))


def test_what_is_booked_once_more_does_not_wait_for_what_was_begun(
    road: Road, agreement: int, sessions: SessionFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change of a table waits for the chunk that was begun, and booking for the change: what was begun is given
    up."""
    second = Event()
    turns: list[bool] = []
    road.session.rollback()

    def begins(session: Any, batch: Any, chunk: Any) -> Any:
        done = ingest.begin_chunk(session, batch, chunk)
        if chunk.number == 2:
            second.set()
        return done

    def changes() -> None:
        with sessions.begin() as session:
            session.execute(text("SET LOCAL lock_timeout = '20s'"))
            session.execute(text("LOCK TABLE registrations IN ACCESS EXCLUSIVE MODE"))

    change = Thread(target=changes)

    def books(session: Any, *args: Any, begun: Any, **kwargs: Any) -> Any:
        turns.append(begun is not None)
        if len(turns) == 1:
            assert second.wait(10)
            change.start()
            until_somebody_waits(sessions)
            raise psycopg.errors.DeadlockDetected
        session.execute(text("SET LOCAL lock_timeout = '5s'"))
        return book(session, *args, begun=begun, **kwargs)

    monkeypatch.setattr(ahead, "begin_chunk", begins)
    monkeypatch.setattr(receiving, "book", books)
    path = write(tmp_path / "in.jsonl", [record(f"R{n}") for n in range(6)])
    assert ingest_file(sessions, path, "FJELL", chunk_size=2).tally.counts == {"accepted": 6}
    change.join(10)
    assert turns == [True, False, True, True]
    assert held(sessions) == 0
    road.check_books()


def until_somebody_waits(sessions: SessionFactory) -> None:
    """Return when a session of this database waits for a table."""
    for _ in range(1000):
        with sessions() as session:
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation IS NOT NULL), pg_sleep(0.01)"
            if session.execute(text(waiting)).one()[0]:
                return
    raise AssertionError("nobody waits")
