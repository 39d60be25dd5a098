"""Passages in: from a file, the same file again, and over HTTP."""

from __future__ import annotations

import itertools
from pathlib import Path

import psycopg
from sqlalchemy import Engine, text

from benchmarks import world
from benchmarks.floor import ingest as floor
from benchmarks.frame import Place, Result, peak_mb, timed
from billing.passages.incoming import limits_at, prepare
from billing.roadside.formats import FORMATS
from billing.roadside.ingest_file import ingest_file
from billing.roadside.receive import CHUNK
from config.clock import now_utc
from config.database import session_factory

VEHICLES, AGREEMENTS, RECORDS = 100_000, 60_000, 200_000
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


BENCHES = {"ingest": ingest}
