"""What tests are lent is like a fresh copy, whatever the test before has done to it."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator

import psycopg
import pytest

from billing.passages.partitions import ensure
from config.database import session_factory
from tests.databases import TEMPLATE, Connection, Database, Databases, Fresh

INSERT = (
    "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) "
    "VALUES ('private', 'Kari', 'kari@example.org', 'Veien 1', '0150', 'Oslo', now())"
)


@pytest.fixture
def databases() -> Iterator[Databases]:
    """Databases of this test's own."""
    found = Databases(os.environ[TEMPLATE])
    yield found
    found.close()


def look(one: Database) -> Fresh:
    with psycopg.connect(one.url, autocommit=True) as connection:
        return Fresh.of(connection)


def used(databases: Databases, *orders: str) -> tuple[Fresh, Fresh, Database]:
    """Use a database; return how it was, how the next test finds it, and it."""
    one = databases.take()
    before = look(one)
    with psycopg.connect(one.url, autocommit=True) as connection:
        for order in orders:
            connection.execute(order.encode())
    databases.give(one)
    again = databases.take()
    assert again is one
    return before, look(again), again


def rows(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT id, name FROM customers").fetchall()


def test_what_was_written_is_gone_and_numbers_begin_anew(databases: Databases) -> None:
    before, after, one = used(databases, INSERT, INSERT, "UPDATE alembic_version SET version_num = 'x'")
    assert databases.why == {"handed on": 1}
    assert (after.catalog, after.content["alembic_version"], after.rows["alembic_version"]) == (
        before.catalog, before.content["alembic_version"], before.rows["alembic_version"],
    )  # fmt: skip
    assert after.sequences == before.sequences
    with psycopg.connect(one.url, autocommit=True) as connection:
        assert rows(connection) == []
        connection.execute(INSERT.encode())
        first = rows(connection)
        databases.give(one)  # somebody is connected: it is not handed on
        assert databases.why["somebody is connected"] == 1
    fresh = databases.take()
    with psycopg.connect(fresh.url, autocommit=True) as connection:
        assert rows(connection) == []
        connection.execute(INSERT.encode())
        assert rows(connection) == first  # the same number as in a copy just made


def test_partitions_of_months_go_again(databases: Databases) -> None:
    one = databases.take()
    before = look(one)
    with session_factory(one.engine()).begin() as session:
        assert ensure(session, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) == 2
    databases.give(one)
    assert databases.why == {"handed on": 1}
    again = databases.take()
    assert look(again) == before
    with session_factory(again.engine()).begin() as session:
        assert ensure(session, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)) == 2


@pytest.mark.parametrize(
    "order",
    [
        "CREATE TABLE left_over (id integer)",
        "CREATE SCHEMA left_over",
        "ALTER TABLE agreements DISABLE TRIGGER ALL",
        "ALTER TABLE customers ADD COLUMN left_over integer",
        "ALTER TABLE customers ALTER COLUMN city SET DEFAULT 'Oslo'",
        "CREATE FUNCTION left_over() RETURNS integer LANGUAGE sql RETURN 1",
        "TRUNCATE customers CASCADE",
        "ANALYZE customers",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64', current_database()); END $$",
        "COMMENT ON TABLE customers IS 'left over'",
        "INSERT INTO customers (kind, name, email, street, postal_code, city, created_at) SELECT 'private', 'Kari', "
        "'k@example.org', 'Veien 1', '0150', 'Oslo', now() FROM generate_series(1, 2000)",
    ],
)
def test_what_cannot_be_cleaned_is_made_anew(databases: Databases, order: str) -> None:
    before, after, _ = used(databases, order)
    assert databases.why["handed on"] == 0
    assert (after.catalog, after.sequences, after.content) == (before.catalog, before.sequences, before.content)
