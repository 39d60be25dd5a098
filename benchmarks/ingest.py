"""Passages in: from a file, the same file again, and over HTTP."""

from __future__ import annotations

import itertools
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

from accounts.access import tokens
from benchmarks import world
from benchmarks.floor import ingest as floor
from benchmarks.frame import Place, Result, peak_mb, timed
from billing.passages.incoming import limits_at, prepare
from billing.roadside.formats import FORMATS
from billing.roadside.ingest_file import ingest_file
from billing.roadside.receive import CHUNK
from config import logging
from config.clock import now_utc
from config.database import session_factory
from config.settings import Settings, load
from web.app import create_app

VEHICLES, AGREEMENTS, RECORDS = 100_000, 60_000, 200_000
OVER_HTTP, A_REQUEST = 60_000, 20_000
UNIT = "passages/s"


def _blocks(path: Path) -> list[bytes]:
    """Return the file's records as the floor takes them: checked and ready for COPY, which is not timed."""
    limits = limits_at(now_utc())
    with path.open("rb") as stream:
        items = FORMATS["jsonl"](stream)
        chunks = iter(lambda: list(itertools.islice(items, CHUNK)), [])
        return [prepare(number, some, limits).block for number, some in enumerate(chunks, 1)]


def _booked(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM passages")).scalar_one())


def _floor(place: Place, filled: Engine, path: Path) -> float:
    with place.database("floor", like=filled) as engine:
        blocks = _blocks(path)
        url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url) as connection, timed() as seconds:
            floor.book(connection, blocks)
        assert _booked(engine) == RECORDS
        return RECORDS / seconds()


def ingest(place: Place) -> list[Result]:
    """200,000 passages from a JSON Lines file through parse, match, records, passages, balances, ledger and the
    due decision; then the same file again, every record a duplicate."""
    path = world.write_file(place.folder / "passages.jsonl", RECORDS, vehicles=VEHICLES)
    with place.database("world") as filled:
        world.fill(filled, vehicles=VEHICLES, agreements=AGREEMENTS)
        with place.database("ingest", like=filled) as engine:
            sessions = session_factory(engine)
            with timed() as seconds:
                first = ingest_file(sessions, path, world.CHARGER)
            assert first.tally.counts == {"accepted": RECORDS}, first.tally.counts
            assert _booked(engine) == RECORDS
            rate, peak = RECORDS / seconds(), peak_mb()
            with timed() as seconds:
                again = ingest_file(sessions, path, world.CHARGER)
            assert again.tally.counts == {"duplicate": RECORDS}, again.tally.counts
            replay = RECORDS / seconds()
        least = _floor(place, filled, path)
    return [
        Result("ingest_file", rate, UNIT, least, rate / least, peak, "floor: COPY, matched INSERT … ON CONFLICT"),
        Result("ingest_replay", replay, UNIT, rate, replay / rate, None, "floor: ingest_file"),
    ]


def ingest_http(place: Place) -> list[Result]:
    """The same records in requests of 20,000 lines of JSON, through the whole application but the socket."""
    settings = load({"BRIKKE_VAR": str(place.folder / "http"), "LOG_LEVEL": "WARNING"}, place.folder / ".env")
    logging.configure(settings)
    path = world.write_file(place.folder / "http.jsonl", OVER_HTTP, vehicles=VEHICLES)
    lines = path.read_bytes().splitlines(keepends=True)
    bodies = [b"".join(lines[start : start + A_REQUEST]) for start in range(0, OVER_HTTP, A_REQUEST)]
    with place.database("world") as filled:
        world.fill(filled, vehicles=VEHICLES, agreements=AGREEMENTS)
        rate, peak = _over_http(place, filled, settings, bodies)
        with place.database("file", like=filled) as engine, timed() as seconds:
            ingest_file(session_factory(engine), path, world.CHARGER)
            least = OVER_HTTP / seconds()
    return [Result("ingest_http", rate, UNIT, least, rate / least, peak, "floor: ingest_file")]


def _over_http(place: Place, filled: Engine, settings: Settings, bodies: list[bytes]) -> tuple[float, float]:
    with place.database("http", like=filled) as engine:
        client = create_app(settings, engine).test_client()
        token = tokens.issue(settings, "charger", charger=world.CHARGER)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
        with timed() as seconds:
            for body in bodies:
                answer = client.post("/v1/passages", data=body, headers=headers)
                assert answer.status_code == 200, answer.text[:500]
                assert answer.data.count(b'"accepted"') == A_REQUEST
        return OVER_HTTP / seconds(), peak_mb()


BENCHES = {"ingest_file": ingest, "ingest_http": ingest_http}
ALSO = {"ingest": "ingest_file", "ingest_replay": "ingest_file"}
