"""Alembic's way in: run the migrations on a connection that the caller hands over, or on a URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from config.database import make_engine
from migrations.tables import include_object, metadata

config = context.config


def run(connection: Connection) -> None:
    """Run the migrations in one transaction each; a lock that is not had in 5 s gives up rather than queues."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        include_object=include_object,
    )
    with context.begin_transaction():
        context.run_migrations()


connection = config.attributes.get("connection")
if connection is not None:
    run(connection)
else:
    engine = make_engine(config.get_main_option("sqlalchemy.url") or "")
    with engine.connect() as own:
        run(own)
