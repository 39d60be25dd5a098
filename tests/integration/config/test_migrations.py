"""The models say the same as the migrations; the newest migrations go down and up again, with data in the tables."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, text
from sqlalchemy.exc import DBAPIError

from accounts.customers.sign_up import sign_up
from billing.delivery.plan import plan
from config.clock import now_utc
from config.database import SessionFactory
from migrations.run import migrate
from migrations.tables import include_object, metadata


def test_the_models_are_what_the_migrations_make(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": include_object})
        assert compare_metadata(context, metadata) == []
        rows = connection.execute(
            text("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' AND conparentid = 0")
        )
        made = {(row[0], row[1]) for row in rows if row[0] in metadata.tables}
    said = {
        (table.name, str(constraint.name))
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert made == said


def test_what_was_told_by_mail_goes_down_and_up_again(sessions: SessionFactory, engine: Engine) -> None:
    with sessions.begin() as session:
        now = now_utc()
        kari = {"name": "Kari", "email": "k@example.no", "street": "S 1", "postal_code": "0155", "city": "Oslo"}
        sign_up(session, "private", kari, now=now, actor="test")
        assert plan(session, now=now, real=now) == 1
    migrate(engine, down_to="0024")
    migrate(engine)
    with sessions.begin() as session:
        assert session.execute(text("SELECT channel, state, presents FROM deliveries")).all() == [
            ("email", "queued", False)
        ]
        session.execute(text("UPDATE deliveries SET channel = 'paper'"))
    with pytest.raises(DBAPIError, match="other channels"):
        migrate(engine, down_to="0024")
