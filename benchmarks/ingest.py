"""Passages in from a file, the same records in another file, and the same file again.

What is measured runs in a process that does nothing else, as ``brikke ingest`` does; files are made, and the floor is
run, in other processes.
"""

from __future__ import annotations

import filecmp
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from sqlalchemy import Engine

from benchmarks import world
from benchmarks.floor import ingest as floor
from benchmarks.frame import Place, Result, Wanted, apart, peak_mb, ratio, scalar, settle, spaced, timed, url_of
from billing.roadside.ingest_file import ingest_file
from config.database import make_engine, session_factory

VEHICLES, AGREEMENTS, RECORDS, REPLAYED = 100_000, 60_000, 1_000_000, 200_000
MOST_MB = 300
UNIT = "passages/s"
BOOKED = "SELECT count(*) FROM passages"


def filled(place: Place, engine: Engine) -> None:
    """Fill the world that these benchmarks share."""
    world.fill(engine, vehicles=place.scaled(VEHICLES), agreements=place.scaled(AGREEMENTS))


def file_in(url: str, path: Path, answers: Path, code: str) -> tuple[float, float, float]:
    """Ingest a file whose records are all answered ``code`` and write its answers, in this process; return records a
    second, what this process has had of memory (MB), and seconds."""
    engine = make_engine(url)
    with timed() as seconds:
        received = ingest_file(session_factory(engine), path, world.CHARGER, answers=answers)
    peak = peak_mb()
    tally = received.tally
    assert set(tally.counts) == {code}, tally.counts
    assert scalar(engine, "SELECT sum(done) FROM batches WHERE state = 'done'") >= tally.done
    assert answers.stat().st_size
    engine.dispose()
    return tally.done / seconds(), peak, seconds()


def warm() -> None:
    """Have this process import what it will need; long enough for another to be started beside it."""
    time.sleep(0.5)


def _half(path: Path, lines: Path, half: int, count: int, vehicles: int) -> None:
    """Write one half of the file (0 or 1), and the same for the floor."""
    first, days = half * count, (10 - 5 * half, 5 - 5 * half)
    world.write_file(path, count, vehicles=vehicles, seed=1 + half, first=1 + first, days=days)
    floor.make_ready(path, lines, first)


def _made(place: Place) -> tuple[Path, Path, list[Path]]:
    """Make the file, one with its last records in opposite order, and the floor's lines; return them."""
    halves, lines = ([place.folder / f"{name}{half}" for half in (0, 1)] for name in ("half", "lines"))
    count, vehicles = place.scaled(RECORDS) // 2, place.scaled(VEHICLES)
    with apart(2) as children:
        made = [children.submit(_half, halves[n], lines[n], n, count, vehicles) for n in (0, 1)]
        with place.kept("world", lambda engine: filled(place, engine)):  # meanwhile
            for one in made:
                one.result()
    path, turned = place.folder / "passages.jsonl", place.folder / "turned.jsonl"
    with path.open("wb") as out:
        for half in halves:
            with half.open("rb") as part:
                shutil.copyfileobj(part, out)
    with halves[1].open("rb") as part:
        rows = part.readlines()
    turned.write_bytes(b"".join(reversed(rows[-place.scaled(REPLAYED) :])))
    for half in halves:
        half.unlink()
    return path, turned, lines


def _floor(url: str, lines: Path) -> float:
    """Book one half of the floor's lines; return seconds."""
    with psycopg.connect(url) as connection, timed() as seconds:
        floor.book(connection, floor.ready([lines]))
    return seconds()


def _between(place: Place, like: Engine, lines: list[Path], measure: Callable[[], float]) -> tuple[float, float]:
    """Run one half of the floor, then what is measured, then the other half, so that a machine that becomes slower
    or faster meanwhile favours neither; return what was measured, and the floor's records a second."""
    with place.database("floor", like=like) as engine:
        settle(engine)
        took = 0.0
        with apart() as child:
            took += child.submit(_floor, url_of(engine), lines[0]).result()
        rate = measure()
        with apart() as child:
            took += child.submit(_floor, url_of(engine), lines[1]).result()
        return rate, scalar(engine, BOOKED) / took


def ingest(place: Place) -> list[Result]:
    """A million passages from a JSON Lines file to the answer file, through keeping it as received, parsing, matching,
    records, passages, balances, ledger and the due decision; the last of them again in another order, every record a
    duplicate; and the same file again, answered from what is kept."""
    path, turned, lines = _made(place)
    with (
        place.kept("world", lambda engine: filled(place, engine)) as like,
        place.database("ingest", like=like) as engine,
    ):
        url, answers = url_of(engine), place.folder / "answers.jsonl"
        settle(engine)
        peak = 0.0

        def measured() -> float:
            nonlocal peak
            with apart() as child:
                rate, peak, _ = child.submit(file_in, url, path, answers, "accepted").result()
            return rate

        rate, least = _between(place, like, lines, measured)
        booked = scalar(engine, BOOKED)
        assert booked == place.scaled(RECORDS) // 2 * 2
        with apart() as child:
            replay, _, _ = child.submit(file_in, url, turned, place.folder / "turned", "duplicate").result()
        once_more = place.folder / "again.jsonl"
        with apart() as child:
            again, _, took = child.submit(file_in, url, path, once_more, "accepted").result()
        assert scalar(engine, BOOKED) == booked
        assert filecmp.cmp(once_more, answers, shallow=False)
    for one in (path, turned, *lines):
        one.unlink()
    wanted = (ratio(0.4), Wanted("rate", 12_000), Wanted("peak_mb", MOST_MB, most=True))
    about = f"{spaced(booked)} records; floor: COPY, matched INSERT … ON CONFLICT"
    return [
        Result("ingest_file", rate, UNIT, least, rate / least, peak, about, wanted),
        Result("ingest_replay", replay, UNIT, rate, replay / rate, None, "floor: ingest_file", (ratio(1.5),)),
        Result("ingest_again", again, UNIT, rate, again / rate, None, f"{took:.1f} s; floor: ingest_file"),
    ]


BENCHES = {"ingest_file": ingest}
ALSO = {"ingest": "ingest_file", "ingest_replay": "ingest_file", "ingest_again": "ingest_file"}
