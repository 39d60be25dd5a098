"""What every benchmark uses: a result and what is wanted of it, a database of its own, a process of its own, memory."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import resource
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql
from sqlalchemy import Engine, text

import benchmarks
import migrations.tables  # noqa: F401 - every table is declared, as in the application
from config.database import make_engine
from migrations.run import migrate

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Place:
    """Where a benchmark runs: an administrator's URL of the server, and a folder for its files; and how large it is,
    as a part of its full size (``scale``)."""

    server: str
    folder: Path
    scale: float = 1.0

    def scaled(self, size: int, least: int = 1) -> int:
        """Return what a size comes to at this scale."""
        return max(least, round(size * self.scale))

    @contextmanager
    def kept(self, name: str, fill: Callable[[Engine], None]) -> Iterator[Engine]:
        """Give an engine on a database that is filled once a run, to be copied by ``database(like=…)``; ``forget``
        drops it."""
        note = self.folder / f"{name}.kept"
        if not note.exists():
            with self.database(f"kept_{name}", drop=False) as engine:
                fill(engine)
                note.write_text(str(engine.url.database))
        engine = make_engine(self._url(note.read_text()))
        try:
            yield engine
        finally:
            engine.dispose()

    def forget(self) -> None:
        """Drop what was kept."""
        for note in self.folder.glob("*.kept"):
            self._drop(note.read_text())
            note.unlink()

    def _url(self, name: str) -> str:
        return self.server.rsplit("/", 1)[0] + "/" + name

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def database(self, name: str, like: Engine | None = None, *, drop: bool = True) -> Iterator[Engine]:
        """Give an engine on a fresh, migrated database, or on a copy of another's; dropped afterwards."""
        fresh = f"bench_{name}_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.server, autocommit=True) as admin:
            if like is not None:
                like.dispose()  # what is copied must not be in use
            template = like.url.database if like is not None else "template1"
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(fresh), sql.Identifier(str(template)))
            )
        engine = make_engine(self._url(fresh))
        failed = True
        try:
            if like is None:
                migrate(engine)
            yield engine
            failed = False
        finally:
            engine.dispose()
            if drop or failed:
                self._drop(fresh)


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one figure of a result: at least, or with ``most`` under so much."""

    figure: Literal["ratio", "rate", "peak_mb"]
    value: float
    most: bool = False

    def missed(self, result: Result) -> bool:
        """Say whether the result's figure is not as wanted; one that was not measured misses nothing."""
        found: float | None = getattr(result, self.figure)
        if found is None:
            return False
        return found > self.value if self.most else found < self.value

    def __str__(self) -> str:
        number = f"{self.value:.2f}" if self.figure == "ratio" else f"{self.value:,.0f}".replace(",", " ")
        return f"{'≤' if self.most else '≥'} {number}{' MB' if self.figure == 'peak_mb' else ''}"


def ratio(least: float) -> Wanted:
    """Want a ratio to the floor of at least so much."""
    return Wanted("ratio", least)


@dataclass(frozen=True)
class Result:
    """A line of the table. ``rate`` in ``unit``; ``floor`` in the same unit; ``ratio`` is rate ÷ floor."""

    name: str
    rate: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    peak_mb: float | None = None
    note: str = ""
    wanted: tuple[Wanted, ...] = ()

    @property
    def missed(self) -> tuple[Wanted, ...]:
        """Return what is wanted of it and is not so."""
        return tuple(one for one in self.wanted if one.missed(self))

    def as_dict(self) -> dict[str, object]:
        """Return the entry of ``var/bench.json``."""
        return {name: getattr(self, name) for name in ("name", "rate", "unit", "floor", "ratio", "peak_mb")}


Bench = Callable[[Place], list[Result]]


def found() -> tuple[dict[str, Bench], frozenset[str], dict[str, str]]:
    """Return every benchmark by name, in order of module and mapping; the names that are only for --large; and for
    results of another name the benchmark that measures them."""
    benches: dict[str, Bench] = {}
    large: set[str] = set()
    also: dict[str, str] = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(benchmarks.__path__)):
        if module in ("__main__", "frame"):
            continue
        loaded = importlib.import_module(f"benchmarks.{module}")
        table: Mapping[str, Bench] = getattr(loaded, "BENCHES", {})
        benches.update(table)
        large.update(getattr(loaded, "LARGE", ()))
        also.update(getattr(loaded, "ALSO", {}))
    return benches, frozenset(large), also


def run(name: str, place: Place) -> list[Result]:
    """Run one benchmark by its name."""
    return found()[0][name](place)


def peak_mb(pid: int | None = None) -> float:
    """Return the most memory this process, or another, has had, in MB (2**20 bytes)."""
    try:  # what getrusage says counts the process that started this one, up to its exec
        for line in Path(f"/proc/{pid or 'self'}/status").read_text("ascii").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


@contextmanager
def apart(workers: int = 1) -> Iterator[ProcessPoolExecutor]:
    """Give new processes to run functions in: nobody's memory or caches count as another's, or help it."""
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as children:
        yield children


def url_of(engine: Engine) -> str:
    """Return the URL of an engine's database, password included, to hand to another process or to psycopg."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def settle(engine: Engine) -> None:
    """Leave nothing of the filling to be done while something is measured."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def scalar(engine: Engine, query: str) -> Any:
    """Ask the database for one figure."""
    with engine.connect() as connection:
        return connection.execute(text(query)).scalar_one()


def spaced(number: int) -> str:
    """Return a whole number as one reads it: 1 000 000."""
    return f"{number:_}".replace("_", " ")


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Give a function that says how many seconds the block took (so far, or in all when it has ended)."""
    began = time.monotonic()
    ended: list[float] = []
    yield lambda: (ended[0] if ended else time.monotonic()) - began
    ended.append(time.monotonic())


def server_url() -> str | None:
    """Return the server named by DATABASE_URL, or None for the embedded one."""
    return os.environ.get("DATABASE_URL") or None
