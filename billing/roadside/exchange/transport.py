"""How files reach a charger: its folder, or its server. Both are an ``Outbox`` (see lists.outbox)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from accounts.chargers.models import Charger
from billing.roadside.exchange.keys import KeyFileError, read_secret
from billing.roadside.exchange.models import Exchange
from billing.roadside.lists.outbox import FolderOutbox, Outbox, SwitchedOff
from config.database import SessionFactory
from config.settings import Settings
from config.sftp import Server, Sftp


def folder_of(settings: Settings, code: str) -> Path:
    """Return a charger's folder: ``in``, ``done``, ``refused`` and ``out`` are in it."""
    return settings.roadside_folder / code


def connect(exchange: Exchange, settings: Settings) -> Sftp:
    """Return the connection to a charger's server, to be entered. Raises KeyFileError."""
    assert exchange.host is not None
    assert exchange.port is not None
    assert exchange.username is not None
    assert exchange.host_key is not None
    key = read_secret(settings.roadside_keys, exchange.key_file) if exchange.key_file else None
    password = None
    if exchange.password_file:
        try:
            password = read_secret(settings.roadside_keys, exchange.password_file).decode().strip("\r\n")
        except UnicodeDecodeError:
            raise KeyFileError(f"{exchange.password_file} in ROADSIDE_KEYS is not text") from None
    server = Server(exchange.host, exchange.port, exchange.username, exchange.host_key, key, password)
    return Sftp(server, settings.exchange_timeout_seconds)


class ConnectedOutbox:
    """A folder on a server that one is connected to."""

    def __init__(self, there: Sftp, folder: str) -> None:
        self._there, self._folder = there, folder

    def deliver(self, name: str, content: Iterable[bytes]) -> None:
        """Put a file there whole, or raise OSError and put none."""
        self._there.put(self._folder, name, content)


class SftpOutbox:
    """A folder on a server, with a connection for each file: for the few that are not sent from rows of ours."""

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange, self._settings = exchange, settings

    def deliver(self, name: str, content: Iterable[bytes]) -> None:
        """Put a file there whole, or raise OSError and put none."""
        assert self._exchange.remote_out is not None
        with connect(self._exchange, self._settings) as there:
            there.put(self._exchange.remote_out, name, content)


def outbox_of(sessions: SessionFactory, settings: Settings, code: str) -> Outbox:
    """Return where files for a charger go: its server, else ``out`` in its folder. Raises SwitchedOff."""
    with sessions() as session:
        exchange = session.scalar(select(Exchange).join(Charger).where(Charger.code == code))
    if exchange is not None and not exchange.enabled:
        raise SwitchedOff(f"files are not exchanged with {code}: it is switched off")
    if exchange is not None and exchange.kind == "sftp":
        return SftpOutbox(exchange, settings)
    return FolderOutbox(folder_of(settings, code) / "out")


def switched_off(session: Session) -> frozenset[int]:
    """Return the chargers (ids) that no files are exchanged with at this moment."""
    return frozenset(session.scalars(select(Exchange.charger_id).where(~Exchange.enabled)))
