"""The database: engine, sessions, the declarative base, and the few column kinds everyone uses.

PostgreSQL only. Callers own transactions: a verb takes a Session and never commits.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, cast

import psycopg
from psycopg.types.array import ListDumper
from sqlalchemy import (
    BigInteger,
    CursorResult,
    DateTime,
    Engine,
    Identity,
    MetaData,
    Result,
    Text,
    create_engine,
    event,
)
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column, sessionmaker

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Id = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Ore = Annotated[int, mapped_column(BigInteger)]
Instant = Annotated[dt.datetime, mapped_column(DateTime(timezone=True))]
Str = Annotated[str, mapped_column(Text)]

SessionFactory = sessionmaker[Session]


class _Lists(ListDumper):
    """Lists as arrays, those of whole numbers in one step: bulk verbs hand over thousands of ids at a time, and an
    element at a time that was a fifth of an invoice run's own work."""

    def dump(self, obj: list[Any]) -> Any:
        """Return the array as text; what is not all whole numbers goes psycopg's way."""
        if obj and set(map(type, obj)) == {int}:
            return b"{" + str(obj)[1:-1].encode() + b"}"
        return super().dump(obj)


psycopg.adapters.register_dumper(list, _Lists)


class Base(DeclarativeBase):
    """Every table of Brikke. Relationships are declared with ``lazy="raise"``."""

    metadata = MetaData(naming_convention=NAMING)


def sqlalchemy_url(url: str) -> str:
    """Return a ``postgresql://`` URL with the psycopg driver named."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url[len(prefix) :]
    return url


# Compiling a statement takes longer than running ours does, and a chunk of passages fits into memory. Each connection
# takes that memory only when it makes temporary tables.
_OPTIONS = "-c timezone=UTC -c jit=off -c temp_buffers=32MB"


PREPARED = 400
"""Statements that a connection remembers. With the driver's hundred a worker, whose jobs use twice as many one after
another, has forgotten each when it comes again, and the server plans them all anew."""
SPARE = 5
"""Connections that are made besides those that are kept, when all are in use."""


def make_engine(url: str, *, pool_size: int = 5) -> Engine:
    """Return an engine on ``url``; connections run in UTC, READ COMMITTED."""
    engine = create_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=SPARE,
        pool_pre_ping=True,
        connect_args={"options": _OPTIONS, "connect_timeout": 10},
    )
    event.listen(engine, "connect", _remember)
    return engine


def _remember(connection: psycopg.Connection[Any], _record: object) -> None:
    connection.prepared_max = PREPARED


def session_factory(engine: Engine) -> SessionFactory:
    """Return a factory of sessions; objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def raw(session: Session) -> psycopg.Connection[Any]:
    """Return the driver's connection of a session's transaction: for COPY, and for statements sent as they are."""
    return cast("psycopg.Connection[Any]", session.connection().connection.driver_connection)


def touched(result: Result[Any]) -> int:
    """Return how many rows a statement changed."""
    return cast("CursorResult[Any]", result).rowcount
