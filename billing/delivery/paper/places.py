"""Where the print house's files are exchanged: a folder, or its SFTP server. We put into ``in``, and take from ``out``.

A file appears under its name when it is whole, over one of that name: what is put again has the same bytes.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from config.clock import now_utc
from config.secret_files import read_private
from config.settings import Settings
from config.sftp import ExchangeError, RemoteFile, Server, Sftp, unfinished

OUR_PUTS, THEIR_PUTS = "in", "out"
DONE, REFUSED = "done", "refused"
_REFUSED_SUFFIX = ".refused"


class Place(Protocol):
    """Where files are exchanged. Raises OSError (ExchangeError is one), as all it does."""

    def put(self, name: str, content: bytes) -> None:
        """Put a file there whole, over one of its name."""

    def waiting(self) -> Sequence[RemoteFile]:
        """Return the print house's files that are there whole."""

    def fetch(self, file: RemoteFile) -> bytes:
        """Return what a file holds."""

    def clear(self, file: RemoteFile, *, refused: bool) -> None:
        """Move a file away that has been read, unless it has become another one meanwhile."""


class Folder:
    """A folder that a transfer program, or the print house itself, looks after. ``settle_seconds``: how long a file
    must have stayed as it is to be whole."""

    def __init__(self, folder: Path, settle_seconds: float) -> None:
        self.folder, self.settle_seconds = folder, settle_seconds

    def put(self, name: str, content: bytes) -> None:
        """See ``Place``: written beside, on disk, then renamed."""
        folder = self.folder / OUR_PUTS
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{name}.part"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / name)

    def waiting(self) -> Sequence[RemoteFile]:
        """See ``Place``."""
        folder, before = self.folder / THEIR_PUTS, now_utc().timestamp() - self.settle_seconds
        found = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if not unfinished(path.name) and path.is_file() and not path.is_symlink() and path.name.isprintable():
                status = path.stat()
                if status.st_size and status.st_mtime <= before:
                    found.append(RemoteFile(path.name, status.st_size, status.st_mtime_ns))
        return found

    def fetch(self, file: RemoteFile) -> bytes:
        """See ``Place``."""
        return (self.folder / THEIR_PUTS / file.name).read_bytes()

    def clear(self, file: RemoteFile, *, refused: bool) -> None:
        """See ``Place``: moved to ``done`` or ``refused`` beside the folder, never over another."""
        path = self.folder / THEIR_PUTS / file.name
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime):
            return
        folder = self.folder / (REFUSED if refused else DONE)
        folder.mkdir(exist_ok=True)
        target, number = folder / file.name, 1
        while target.exists():
            number += 1
            target = folder / f"{path.stem}-{number}{path.suffix}"
        path.rename(target)


class Remote:
    """A server that we are connected to. What has been read is removed there; what could not be used is renamed."""

    def __init__(self, there: Sftp, path: str) -> None:
        self._there = there
        self._in, self._out = (f"{path.rstrip('/')}/{name}".removeprefix("./") for name in (OUR_PUTS, THEIR_PUTS))

    def put(self, name: str, content: bytes) -> None:
        """See ``Place``."""
        self._there.put(self._in, name, (content,))

    def waiting(self) -> Sequence[RemoteFile]:
        """See ``Place``."""
        files = self._there.listing(self._out)
        return [file for file in files if not file.name.endswith(_REFUSED_SUFFIX) and file.name.isprintable()]

    def fetch(self, file: RemoteFile) -> bytes:
        """See ``Place``."""
        out = io.BytesIO()
        self._there.fetch(f"{self._out}/{file.name}", out, file.size)
        return out.getvalue()

    def clear(self, file: RemoteFile, *, refused: bool) -> None:
        """See ``Place``."""
        path = f"{self._out}/{file.name}"
        if self._there.stat(path) != file:
            return
        if refused:
            self._there.move(path, f"{path}{_REFUSED_SUFFIX}")
        else:
            self._there.remove(path)


@contextmanager
def open_place(settings: Settings) -> Iterator[Place | None]:
    """Give the place that PRINT_TARGET names, None where it names none. Raises OSError."""
    target = settings.print_target
    if target is None:
        yield None
        return
    if target.folder is not None:
        yield Folder(target.folder, settings.exchange_settle_seconds)
        return
    key = read_private(Path(settings.print_key_file), "PRINT_KEY_FILE") if settings.print_key_file else None
    server = Server(target.host, target.port, target.username, settings.print_host_key, key, target.password)
    with Sftp(server, settings.exchange_timeout_seconds) as there:
        yield Remote(there, target.path)


__all__ = ["ExchangeError", "Folder", "Place", "Remote", "open_place"]
