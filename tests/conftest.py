"""What every test may use: one migrated template database a run, and for each test a database like a fresh copy.

The server is the one in ``BRIKKE_TEST_SERVER`` (a ``postgresql://`` URL of an administrator) or our embedded
one without durability, started by the first process and shared by all workers.
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
import structlog
from psycopg import sql
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from config.database import SessionFactory, make_engine, session_factory
from config.embedded import ROLE, start
from migrations.run import migrate
from tests.databases import SERVER, TEMPLATE, copied, drop, drop_all, engine_on, lent, with_database


def pytest_configure(config: pytest.Config) -> None:
    """Start the server and make the template once, in the process that started the run."""
    if config.option.collectonly:
        return
    if hasattr(config, "workerinput"):
        config.add_cleanup(drop_all)
        return
    if SERVER not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="brikke-test-")
        # As root the server runs as another user, who must be let in; else its data would lie elsewhere and stay.
        Path(folder.name).chmod(0o711)
        config.add_cleanup(folder.cleanup)
        server = start(Path(folder.name), durable=False)
        config.add_cleanup(server.stop)
        os.environ[SERVER] = server.url
        with psycopg.connect(server.url, autocommit=True) as admin:
            # Thousands of connections are made, and deriving the key from the password anew was half of each.
            admin.execute("SET scram_iterations = 1")
            admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(ROLE), server.password))
    name = f"template_{uuid.uuid4().hex[:12]}"
    os.environ[TEMPLATE] = name
    with psycopg.connect(os.environ[SERVER], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    engine = make_engine(with_database(os.environ[SERVER], name))
    migrate(engine)
    engine.dispose()
    config.add_cleanup(lambda: drop(name))
    config.add_cleanup(lambda: drop(f"{name}_town"))
    config.add_cleanup(drop_all)


def database(like: str | None = None) -> AbstractContextManager[str]:
    """Give the URL of a database like a fresh copy of the template, or of a copy of the database named (in use by
    nobody), dropped afterwards."""
    return copied(like) if like else lent(os.environ[TEMPLATE])


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a quarter of the time a worker waits, for the server or a process of its own."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that none of them is what everything waits for at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that runs in this process sets logging up for it; the next test finds it as it was."""
    said, root = structlog.get_config(), logging.getLogger()
    processors, handlers, level = list(said["processors"]), list(root.handlers), root.level
    yield
    structlog.configure(**{**said, "processors": processors})
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def database_url() -> Iterator[str]:
    """The URL of a database of the test's own: migrated and empty."""
    with database() as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the test's own database."""
    engine = engine_on(database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> SessionFactory:
    """A factory of sessions on the test's own database."""
    return session_factory(engine)


@pytest.fixture
def session(sessions: SessionFactory) -> Iterator[Session]:
    """One session on the test's own database; the test commits what others shall see."""
    with sessions() as session:
        yield session
