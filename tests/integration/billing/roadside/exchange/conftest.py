"""The world of these tests: a charger with a folder here, or with a server of its own."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from billing.roadside.exchange.keep import ExchangeGiven, keep_exchange
from billing.roadside.exchange.models import Exchange, Incoming, Outgoing
from billing.roadside.exchange.run import look_at_all
from config.clock import move_clock, now_utc
from config.database import SessionFactory
from config.settings import Settings
from tests.integration.billing.passages.conftest import NOW, PASSED, Road, road
from tests.integration.billing.roadside.exchange import sftp_server
from tests.integration.billing.roadside.exchange.sftp_server import PASSWORD, USER

__all__ = ["road"]

OLD = NOW.timestamp()
"""When files of these tests were last changed: long ago, so that nobody waits for them to settle."""


def record(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": name, "passed_at": PASSED.isoformat(), "station": "S1", "service": "toll", "list_price": 3100,
        "amount": 100, "vat_rate": 0, "plate": "EV10001",
    }  # fmt: skip
    return fields | changes


def lines(*names: str, **changes: Any) -> bytes:
    """A file of records as JSON Lines."""
    return "".join(json.dumps(record(name, **changes)) + "\n" for name in names).encode()


@dataclass
class Party:
    """The exchange with FJELL."""

    sessions: SessionFactory
    settings: Settings
    road: Road

    @property
    def folder(self) -> Path:
        return self.settings.roadside_folder / "FJELL"

    def put(self, name: str, content: bytes, at: float = OLD) -> Path:
        """Put a file in our watched folder."""
        return write(self.folder / "in" / name, content, at)

    def look(self, **changed: Any) -> dict[str, int]:
        """Look once; return what was done, without what was not."""
        done = look_at_all(self.sessions, dataclasses.replace(self.settings, **changed))
        return {word: int(count) for word, count in done.items() if count}

    def again(self) -> None:
        """Let the time pass that failed attempts wait."""
        with self.sessions.begin() as session:
            session.execute(update(Exchange).values(next_at=None))
            for table in (Incoming, Outgoing):
                session.execute(update(table).where(table.next_at.is_not(None)).values(next_at=now_utc()))

    def keep(self, **given: Any) -> None:
        with self.sessions.begin() as session:
            keep_exchange(session, self.road.toll, ExchangeGiven(**given))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with self.sessions() as session:
            return [tuple(row) for row in session.execute(text(query))]

    def out(self, name: str) -> bytes:
        return (self.folder / "out" / name).read_bytes()

    def names(self, place: str) -> list[str]:
        """The files in a part of our folder, half ones too."""
        folder = self.folder / place
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def write(path: Path, content: bytes, at: float = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (at, at))
    return path


@pytest.fixture
def party(road: Road, sessions: SessionFactory, settings: Settings) -> Party:
    """FJELL with a folder; an agreement has EV10001, the business clock stands at NOW."""
    road.vehicle(road.agreement())
    move_clock(road.session, NOW, running=False)
    road.session.commit()
    made = Party(sessions, dataclasses.replace(settings, exchange_settle_seconds=0), road)
    (made.folder / "in").mkdir(parents=True)
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[sftp_server.Charger]:
    """FJELL's SFTP server."""
    made = sftp_server.Charger(tmp_path / "fjell")
    made.start()
    try:
        yield made
    finally:
        made.stop()


def secret(settings: Settings, name: str, content: bytes, mode: int = 0o600) -> None:
    settings.roadside_keys.mkdir(parents=True, exist_ok=True)
    path = settings.roadside_keys / name
    path.write_bytes(content)
    path.chmod(mode)


def by_sftp(server: sftp_server.Charger, **changes: Any) -> dict[str, Any]:
    given = {
        "kind": "sftp", "host": "127.0.0.1", "port": server.port, "username": USER, "key_file": "fjell.key",
        "host_key": server.fingerprint, "remote_in": "to-brikke", "remote_out": "from-brikke",
    }  # fmt: skip
    return given | changes


@pytest.fixture
def remote(party: Party, server: sftp_server.Charger) -> Party:
    """FJELL, reached by its server with our key."""
    secret(party.settings, "fjell.key", server.let_in.export_private_key())
    secret(party.settings, "fjell.password", PASSWORD.encode() + b"\n")
    party.keep(**by_sftp(server))
    return party
