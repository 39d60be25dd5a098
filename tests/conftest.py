"""What every test may use: one migrated template database a run, a fresh copy of it a test.

The server is the one in ``BRIKKE_TEST_SERVER`` (a ``postgresql://`` URL of an administrator) or our embedded
one without durability, started by the first process and shared by all workers.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from config.database import SessionFactory, make_engine, session_factory
from config.embedded import start
from migrations.run import migrate

SERVER = "BRIKKE_TEST_SERVER"
TEMPLATE = "BRIKKE_TEST_TEMPLATE"


def _with_database(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + "/" + name


def pytest_configure(config: pytest.Config) -> None:
    """Start the server and make the template once, in the process that started the run."""
    if hasattr(config, "workerinput") or config.option.collectonly:
        return
    if SERVER not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="brikke-test-")
        # As root the server runs as another user, who must be let in; else its data would lie elsewhere and stay.
        Path(folder.name).chmod(0o711)
        config.add_cleanup(folder.cleanup)
        server = start(Path(folder.name), durable=False)
        config.add_cleanup(server.stop)
        os.environ[SERVER] = server.url
    name = f"template_{uuid.uuid4().hex[:12]}"
    os.environ[TEMPLATE] = name
    with psycopg.connect(os.environ[SERVER], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    engine = make_engine(_with_database(os.environ[SERVER], name))
    migrate(engine)
    engine.dispose()
    config.add_cleanup(_drop_template)


def _drop_template() -> None:
    with psycopg.connect(os.environ[SERVER], autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(os.environ[TEMPLATE])))


@contextmanager
def database(like: str | None = None) -> Iterator[str]:
    """Give the URL of a fresh copy of the template, or of the database named (in use by nobody); dropped afterwards."""
    server, name = os.environ[SERVER], f"test_{uuid.uuid4().hex[:16]}"
    template = like or os.environ[TEMPLATE]
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield _with_database(server, name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database_url() -> Iterator[str]:
    """The URL of a database of the test's own: migrated, empty, dropped afterwards."""
    with database() as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the test's own database."""
    engine = make_engine(database_url)
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
