"""A database with the town in it, made once and copied: living through three months takes seconds, a copy does not."""

from __future__ import annotations

import base64
import os
import pickle
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg import sql

from config.database import make_engine, session_factory
from config.settings import load
from simulator.gateway import GatewayServer
from tests.browser.world import People, Town, fill
from tests.databases import SERVER, TEMPLATE, create, drop, with_database


@dataclass(frozen=True)
class Filled:
    """The name of a database with the town, and who lives in it."""

    database: str
    people: People


_TAKEN_BY_ONE = "SELECT pg_advisory_lock(hashtextextended('brikke tests: the town', 0))"
_REMEMBERED = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"


def filled_town() -> Filled:
    """Return a database in which the town has lived until 20 March 2026, nobody connected to it: made once a run,
    by the first process that wants it, and dropped with the template."""
    name = f"{os.environ[TEMPLATE]}_town"
    with psycopg.connect(os.environ[SERVER], autocommit=True) as admin:
        admin.execute(_TAKEN_BY_ONE)
        known = admin.execute(_REMEMBERED, [name]).fetchone()
        if known is not None and known[0] is not None:
            return Filled(name, pickle.loads(base64.b64decode(known[0])))
        drop(name)
        create(name, os.environ[TEMPLATE])
        people = _live(with_database(os.environ[SERVER], name))
        # Only what lived to the end is found by others: a half-made town has no people.
        remember = sql.SQL("COMMENT ON DATABASE {} IS {}")
        admin.execute(remember.format(sql.Identifier(name), base64.b64encode(pickle.dumps(people)).decode()))
    return Filled(name, people)


def _live(url: str) -> People:
    engine = make_engine(url)
    with GatewayServer() as gateway, tempfile.TemporaryDirectory() as folder:
        settings = load({"BRIKKE_VAR": folder, "DEMO": "true"}, Path(folder) / ".env")
        with_cards = replace(settings, stripe_api_key="sk_test_x", stripe_api_base=gateway.url)
        people = fill(Town(session_factory(engine), with_cards), gateway)
    engine.dispose()
    return people
