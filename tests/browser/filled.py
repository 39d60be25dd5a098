"""A database with the town in it, made once and copied: living through three months takes seconds, a copy does not."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg import sql

from config.database import make_engine, session_factory
from config.settings import load
from simulator.gateway import GatewayServer
from tests.browser.world import People, Town, fill
from tests.conftest import SERVER, TEMPLATE


@dataclass(frozen=True)
class Filled:
    """The name of a database with the town, and who lives in it."""

    database: str
    people: People


@contextmanager
def copy_of(template: str) -> Iterator[str]:
    """Give the URL of a copy of a database, dropped afterwards."""
    server, name = os.environ[SERVER], f"test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(sql.Identifier, (name, template))))
    try:
        yield server.rsplit("/", 1)[0] + "/" + name
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def filled_town() -> Iterator[Filled]:
    """Give a database in which the town has lived until 20 March 2026, nobody connected to it."""
    with copy_of(os.environ[TEMPLATE]) as url:
        engine = make_engine(url)
        with GatewayServer() as gateway, tempfile.TemporaryDirectory() as folder:
            settings = load({"BRIKKE_VAR": folder, "DEMO": "true"}, Path(folder) / ".env")
            with_cards = replace(settings, stripe_api_key="sk_test_x", stripe_api_base=gateway.url)
            people = fill(Town(session_factory(engine), with_cards), gateway)
        engine.dispose()
        yield Filled(url.rsplit("/", 1)[1], people)
