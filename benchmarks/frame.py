"""What every benchmark uses: a result, a database of its own, and peak memory."""

from __future__ import annotations

import importlib
import os
import pkgutil
import resource
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Engine

import benchmarks
import migrations.tables  # noqa: F401 - every table is declared, as in the application
from config.database import make_engine
from migrations.run import migrate

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Place:
    """Where a benchmark runs: an administrator's URL of the server, and a folder for its files."""

    server: str
    folder: Path

    @contextmanager
    def database(self, name: str, like: Engine | None = None) -> Iterator[Engine]:
        """Give an engine on a fresh, migrated database, or on a copy of another's; dropped afterwards."""
        fresh = f"bench_{name}_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(self.server, autocommit=True) as admin:
            if like is not None:
                like.dispose()  # what is copied must not be in use
            template = like.url.database if like is not None else "template1"
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(fresh), sql.Identifier(str(template)))
            )
        engine = make_engine(self.server.rsplit("/", 1)[0] + "/" + fresh)
        try:
            if like is None:
                migrate(engine)
            yield engine
        finally:
            engine.dispose()
            with psycopg.connect(self.server, autocommit=True) as admin:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(fresh)))


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

    def as_dict(self) -> dict[str, object]:
        """Return the entry of ``var/bench.json``."""
        return {key: value for key, value in asdict(self).items() if key != "note"}


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


def peak_mb() -> float:
    """Return the most memory this process has had, in MB (2**20 bytes)."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


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
