"""What a process of Brikke stands on: its settings, its database, its sessions."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Engine

from config import embedded
from config.database import SessionFactory, make_engine, session_factory
from config.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """Made once a process (after any fork). ``url`` is the database's, ours or the embedded one's."""

    settings: Settings
    url: str
    engine: Engine
    sessions: SessionFactory
    server: embedded.EmbeddedServer | None = field(default=None, repr=False)

    def close(self) -> None:
        """Let go of the database; the embedded server stops when nobody uses it any more."""
        self.engine.dispose()
        if self.server is not None:
            self.server.stop()


def open_runtime(settings: Settings) -> Runtime:
    """Open the database of these settings, starting the embedded one when they name none.

    Raises config.embedded.EmbeddedError when that cannot be done.
    """
    server = None if settings.database_url else embedded.start(settings.var)
    url = settings.database_url or (server.url if server else "")
    engine = make_engine(url, pool_size=settings.database_pool)
    return Runtime(settings, url, engine, session_factory(engine), server)
