"""Run the migrations from code: the command line, the tests and the first start all come through here."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

LOCK = 5_209_001
"""Key of the advisory lock: two starting processes migrate one after the other."""


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def current(engine: Engine) -> str | None:
    """Return the revision the database stands at; None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """Return the newest revision there is."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def migrate(engine: Engine, *, down_to: str | None = None) -> list[str]:
    """Bring the database to the newest revision, or down to ``down_to`` ("base" empties it).

    Returns the revisions gone through, as ``0002 Accounts: …``, in order; empty when there was nothing to do.
    """
    config = _config()
    script = ScriptDirectory.from_config(config)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
        connection.commit()
        try:
            before = MigrationContext.configure(connection).get_current_revision()
            connection.execute(text("SET lock_timeout = '5s'"))
            connection.commit()
            config.attributes["connection"] = connection
            if down_to is None:
                command.upgrade(config, "head")
            else:
                command.downgrade(config, down_to)
            connection.commit()
            after = MigrationContext.configure(connection).get_current_revision()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
            connection.commit()
    low, high = (before, after) if down_to is None else (after, before)
    if low == high:
        return []
    steps = list(script.iterate_revisions(high or "base", low or "base"))
    if down_to is None:
        steps.reverse()
    return [f"{step.revision} {step.doc}" for step in steps]
