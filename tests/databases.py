"""Databases for tests: a copy of the migrated template each, cleaned and handed on instead of made anew.

Making and dropping a copy costs a seventh of a second of the server, and far more on a busy machine; to clean one
takes some milliseconds. Cleaned means: equal to a fresh copy in everything a test can see. So one is handed on only
when nobody is connected to it and its catalog is the template's: no table, trigger, statistics or setting came, went
or changed, but for partitions of months, which are dropped. Then every table that was written is emptied, or has the
rows the migrations put there, and every sequence stands where the migrations left it. Whatever is not so, or grew
so much that plans could differ, or saw a deadlock, is dropped, and the next test has a new copy.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from config.database import make_engine

SERVER = "BRIKKE_TEST_SERVER"
TEMPLATE = "BRIKKE_TEST_TEMPLATE"

SMALL = 10 * 8192
"""The planner takes a table that was never analysed for at least so large: up to here nothing shows in plans."""
PATIENCE = 0.3

_CATALOGS = {
    "pg_attribute": "attrelid >= 16384",
    "pg_proc": "oid >= 16384",
    "pg_type": "oid >= 16384",
    "pg_namespace": "nspname !~ '^pg_(toast_)?temp_'",
}
_OTHER_CATALOGS = """pg_attrdef pg_cast pg_constraint pg_default_acl pg_description pg_enum pg_event_trigger
    pg_extension pg_index pg_inherits pg_largeobject_metadata pg_policy pg_publication pg_rewrite pg_sequence
    pg_statistic pg_statistic_ext pg_trigger"""
_CATALOGS |= dict.fromkeys(_OTHER_CATALOGS.split(), "true")
_ONE_CATALOG = "(SELECT concat_ws(' ', '{0}', count(*), sum(xmin::text::bigint)) FROM {0} WHERE {1})"
_CATALOG = f"""SELECT concat_ws(', ', {", ".join(_ONE_CATALOG.format(*one) for one in _CATALOGS.items())},
    (SELECT concat_ws(' ', 'pg_class', count(*), sum(hashtextextended(ROW({{columns}})::text, 0)))
     FROM pg_class WHERE oid >= 16384),
    (SELECT string_agg(s::text, ',') FROM pg_db_role_setting AS s, pg_database AS d
     WHERE d.oid = s.setdatabase AND d.datname = current_database()),
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()),
    (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()))"""
_CLASS_COLUMNS = """SELECT string_agg(attname, ', ') FROM pg_attribute
    WHERE attrelid = 'pg_class'::regclass AND attnum > 0 AND attname <> 'relhassubclass'"""
_PARTITIONS = """SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE relkind IN ('r', 'p') ORDER BY 1"""
_WRITTEN = """SELECT oid::regclass::text, pg_relation_size(oid) AS size FROM pg_class
    WHERE relkind IN ('r', 'm') AND oid >= 16384 AND relpersistence <> 't' AND pg_relation_size(oid) > 0 ORDER BY 1"""
_SEQUENCES = """SELECT s.seqrelid::regclass::text, coalesce(pg_sequence_last_value(s.seqrelid), s.seqstart),
    pg_sequence_last_value(s.seqrelid) IS NOT NULL FROM pg_sequence AS s ORDER BY 1"""
_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_CONTENT = "SELECT '{0}', md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {0} AS t"

Connection = psycopg.Connection[tuple[object, ...]]
Sequences = dict[str, tuple[int, bool]]


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return url.rsplit("/", 1)[0] + "/" + name


def create(name: str, template: str) -> None:
    """Make a copy of a database that nobody is connected to."""
    with psycopg.connect(os.environ[SERVER], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))


def drop(name: str) -> None:
    """Drop a database, whoever is connected."""
    with psycopg.connect(os.environ[SERVER], autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@dataclass(frozen=True)
class Fresh:
    """What a fresh copy of the template looks like; ``look`` asks what its catalog is."""

    look: str
    catalog: str
    sequences: Sequences
    content: dict[str, str]
    rows: dict[str, bytes]
    sizes: dict[str, int]
    partitions: list[str]

    @classmethod
    def of(cls, connection: Connection) -> Fresh:
        """Look at a copy that nobody has used."""
        sizes = {str(name): int(str(size)) for name, size in connection.execute(_WRITTEN)}
        rows = {}
        for table in sizes:
            with connection.cursor().copy(f"COPY {table} TO STDOUT") as copy:
                rows[table] = b"".join(bytes(part) for part in copy)
        content = _content(connection, list(sizes))
        look = _CATALOG.format(columns=_value(connection, _CLASS_COLUMNS))
        catalog, sequences = _value(connection, look), _sequences(connection)
        return cls(look, catalog, sequences, content, rows, sizes, _partitions(connection))


def _value(connection: Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def _content(connection: Connection, tables: list[str]) -> dict[str, str]:
    """Return a digest of all rows of each table."""
    query = " UNION ALL ".join(_CONTENT.format(table) for table in tables)
    return {str(table): str(digest) for table, digest in connection.execute(query.encode())}


def _partitions(connection: Connection) -> list[str]:
    return [str(table) for (table,) in connection.execute(_PARTITIONS)]


def _sequences(connection: Connection) -> Sequences:
    return {name: (value, called) for name, value, called in connection.execute(_SEQUENCES)}  # type: ignore[misc]


@dataclass
class Database:
    """One that tests use one after the other; ``engine`` is made at the first wish for it."""

    name: str = field(default_factory=lambda: f"test_{uuid.uuid4().hex[:16]}")
    exists: bool = False
    parent: Engine | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        return with_database(os.environ[SERVER], self.name)

    def engine(self) -> Engine:
        """Return an engine with listeners of its own, which shares the statements that earlier tests compiled."""
        if self.parent is None:
            self.parent = make_engine(self.url)
        return self.parent.execution_options()


class Databases:
    """Those of one process that are like one template."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.free: list[Database] = []
        self.taken: dict[str, Database] = {}
        self.why: Counter[str] = Counter()
        self._fresh: Fresh | None = None

    def take(self) -> Database:
        """Return a database like a fresh copy of the template."""
        found = self.free.pop() if self.free else Database()
        if not found.exists:
            create(found.name, self.template)
            found.exists = True
            if self._fresh is None:
                with psycopg.connect(found.url, autocommit=True) as connection:
                    self._fresh = Fresh.of(connection)
        self.taken[found.url] = found
        return found

    def engine(self, url: str) -> Engine | None:
        """Return an engine on one that is taken, or None when it is none of ours."""
        found = self.taken.get(url)
        return found.engine() if found else None

    def give(self, used: Database) -> None:
        """Take a database back: cleaned, or dropped and the name kept."""
        del self.taken[used.url]
        if used.parent is not None:
            used.parent.dispose()
        try:
            with psycopg.connect(used.url, autocommit=True) as connection:
                wrong = self._clean(connection)
        except psycopg.Error as error:
            wrong = type(error).__name__
        self.why[wrong or "handed on"] += 1
        if wrong:
            drop(used.name)
            used.exists = False
        self.free.append(used)

    def close(self) -> None:
        """Drop them all."""
        for one in (*self.free, *self.taken.values()):
            if one.exists:
                drop(one.name)
        self.free.clear()

    def _clean(self, connection: Connection) -> str | None:
        """Make a used database like a fresh one; returns why it cannot be, or None."""
        assert self._fresh is not None
        fresh, until = self._fresh, time.monotonic() + PATIENCE
        while _value(connection, _OTHERS) != "0":
            if time.monotonic() > until:
                return "somebody is connected"
            time.sleep(0.002)
        more = [table for table in _partitions(connection) if table not in fresh.partitions]
        if more:  # of months in which a test has booked; the table then keeps a mark that it may have had some
            connection.execute(f"DROP TABLE {', '.join(more)}".encode())
        if _value(connection, fresh.look) != fresh.catalog:
            return "its catalog changed"
        written = connection.execute(_WRITTEN).fetchall()
        if any(int(str(size)) > SMALL + fresh.sizes.get(str(table), 0) for table, size in written):
            return "it grew"
        orders = ["SET session_replication_role = replica"]  # neither triggers nor foreign keys
        orders += [f"DELETE FROM {table}" for table, _ in written if table not in fresh.content]
        digests = _content(connection, list(fresh.content))
        changed = [table for table in digests if digests[table] != fresh.content[table]]
        orders += [f"DELETE FROM {table}" for table in changed]
        found = _sequences(connection)
        for name, (value, called) in fresh.sequences.items():
            if found[name] != (value, called):
                orders.append(f"SELECT setval('{name}', {value}, {called})")
        with connection.transaction():
            connection.execute(";".join(orders).encode())
            for table in changed:
                with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                    copy.write(fresh.rows[table])
        return None


_KNOWN: dict[str, Databases] = {}


@contextmanager
def lent(template: str) -> Iterator[str]:
    """Give the URL of a database like a fresh copy of the template."""
    known = _KNOWN.setdefault(template, Databases(template))
    taken = known.take()
    try:
        yield taken.url
    finally:
        known.give(taken)


def engine_on(url: str) -> Engine:
    """Return an engine on a database, one that is lent or any other."""
    return next(filter(None, (known.engine(url) for known in _KNOWN.values())), None) or make_engine(url)


def drop_all() -> None:
    """Drop what this process has made."""
    for known in _KNOWN.values():
        known.close()


@contextmanager
def copied(template: str) -> Iterator[str]:
    """Give the URL of a new copy of a database that nobody is connected to, dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    create(name, template)
    try:
        yield with_database(os.environ[SERVER], name)
    finally:
        drop(name)
