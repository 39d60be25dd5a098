"""A partner's SFTP server: the little of asyncssh that we need, step by step, with a limit on each step.

Everything that goes wrong between us and the server is an ``ExchangeError`` in one line without secrets; ``broken``
says that the connection is of no use any more. Nothing is taken from the user's own ssh configuration.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast

import asyncssh

T = TypeVar("T")

UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload")
"""Endings that transfer programs give to what is still coming."""

PIECE = 256 * 1024
MOST_LISTED = 20_000
"""Names of a folder that are looked at; what is beyond them waits until some are gone."""
_HOST_KEYS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip


class ExchangeError(OSError):
    """Something between us and a partner did not work; the message says what in one line."""


def unfinished(name: str) -> bool:
    """Say whether a file's name says that it is not to be taken (yet): hidden, or still coming."""
    return name.startswith(".") or PurePosixPath(name).suffix.lower() in UNFINISHED


@dataclass(frozen=True)
class Server:
    """Where a server is, who we are there, and by what it is known. Secrets are never shown."""

    host: str
    port: int
    username: str
    host_key: str
    private_key: bytes | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, order=True)
class RemoteFile:
    """A file on a server: its name, bytes, and time of change in seconds since 1970."""

    name: str
    size: int
    mtime: int


class _Client(asyncssh.SSHClient):
    """Takes a host by its fingerprint and nothing else."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.shown: str | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = key.get_fingerprint("sha256")
        return hmac.compare_digest(self.shown, self.wanted)


class Sftp:
    """A connection, as a context: ``with Sftp(server, timeout) as there``. Raises ExchangeError, as all it does."""

    def __init__(self, server: Server, timeout: float) -> None:
        self.server, self.timeout = server, timeout
        self.broken = False
        # In a thread of its own: whoever calls may be in a loop already.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sftp")
        self._runner = asyncio.Runner()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._there: asyncssh.SFTPClient

    def __enter__(self) -> Sftp:
        client = _Client(self.server.host_key)
        try:
            self._do("connect", self._connect(client), 3 * self.timeout)
        except ExchangeError as error:
            self.__exit__()
            if client.shown is not None and client.shown != self.server.host_key:
                raise ExchangeError(f"connect: the host key is {client.shown}, not the one agreed on") from error
            raise
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._thread.submit(connection.abort if self.broken else connection.close).result()
            try:
                self._run(asyncio.wait_for(connection.wait_closed(), self.timeout))
            except (TimeoutError, OSError, asyncssh.Error):
                self._thread.submit(connection.abort).result()
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._runner.run, work).result()

    def listing(self, folder: str) -> list[RemoteFile]:
        """Return the files of a folder, whatever they are called; not links, folders, empty or unfinished ones."""
        return self._do(f"list {folder}", self._listing(folder), 3 * self.timeout)

    def stat(self, path: str) -> RemoteFile | None:
        """Return a file as it is now; None when it is not there."""
        return self._do(f"look at {path}", self._stat(path), self.timeout)

    def fetch(self, path: str, out: BinaryIO, size: int) -> None:
        """Write a file's bytes to ``out``. Raises ExchangeError also when they are not ``size``."""
        self._do(f"fetch {path}", self._fetch(path, out, size), None)

    def put(self, folder: str, name: str, content: Iterable[bytes]) -> None:
        """Put a file into a folder: it appears under its name when it is whole, over one of that name."""
        self._do(f"put {name}", self._put(f"{folder}/{name}", content), None)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self._do(f"remove {path}", self._there.remove(path), self.timeout)

    def move(self, path: str, target: str) -> None:
        """Rename a file; where there is one already it is an error."""
        self._do(f"move {path}", self._there.rename(path, target), self.timeout)

    def _do(self, what: str, work: Coroutine[Any, Any, T], timeout: float | None) -> T:
        """Run a step. ``timeout`` None: its parts have limits of their own."""
        try:
            return self._run(asyncio.wait_for(work, timeout))
        except TimeoutError:
            self.broken = True
            raise ExchangeError(f"{what}: no answer in time") from None
        except (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            self.broken = True
            raise ExchangeError(f"{what}: the connection was lost") from None
        except asyncssh.SFTPError as error:
            raise ExchangeError(f"{what}: {_plain(error.reason) or type(error).__name__}") from None
        except asyncssh.PermissionDenied:
            self.broken = True
            raise ExchangeError(f"{what}: we are not let in as {self.server.username}") from None
        except asyncssh.HostKeyNotVerifiable as error:
            self.broken = True
            raise ExchangeError(f"{what}: {_plain(error.reason)}") from None
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            self.broken = True
            raise ExchangeError(f"{what}: our key cannot be read") from None
        except asyncssh.Error as error:
            self.broken = True
            raise ExchangeError(f"{what}: {_plain(error.reason)}") from None
        except ExchangeError:
            raise
        except ConnectionError as error:
            self.broken = True
            raise ExchangeError(f"{what}: {_why(error)}") from None

    async def _connect(self, client: _Client) -> None:
        server = self.server
        keys = [] if server.private_key is None else [asyncssh.import_private_key(server.private_key)]
        try:
            self._connection, _ = await asyncssh.create_connection(
                lambda: client,
                server.host,
                server.port,
                username=server.username,
                client_keys=keys,
                password=server.password,
                known_hosts=lambda host, address, port: ([], [], []),  # none by name: the client's own check decides
                server_host_key_algs=_HOST_KEYS,
                preferred_auth=("publickey", "password") if server.password is not None else ("publickey",),
                config=[],
                agent_path=None,
                x509_trusted_certs=None,
                gss_host=None,
                connect_timeout=self.timeout,
                login_timeout=self.timeout,
                keepalive_interval=self.timeout,
            )
        except asyncssh.Error:
            raise
        except OSError as error:  # refused, no such host, unreachable
            self.broken = True
            raise ExchangeError(f"connect: {_why(error)}") from None
        # A name that is not UTF-8 is one of many: it must not hide the others.
        self._there = await self._connection.start_sftp_client(path_errors="surrogateescape")

    async def _listing(self, folder: str) -> list[RemoteFile]:
        found = []
        looked = 0
        async for entry in self._there.scandir(folder):
            looked += 1
            if looked > MOST_LISTED:
                break
            one = _file(str(entry.filename), entry.attrs)
            if one is not None and one.size and not unfinished(one.name):
                found.append(one)
        return sorted(found)

    async def _stat(self, path: str) -> RemoteFile | None:
        try:
            attributes = await self._there.lstat(path)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            return None
        return _file(path.rpartition("/")[2], attributes)

    @asynccontextmanager
    async def _open(self, path: str, mode: str) -> AsyncIterator[asyncssh.SFTPClientFile]:
        """Open a file there. One whose server is silent is not closed: that would wait for the server as well."""
        file = await asyncio.wait_for(self._there.open(path, mode), self.timeout)
        try:
            yield file
        except TimeoutError:
            raise
        except BaseException:
            with suppress(asyncssh.Error, TimeoutError, OSError):
                await asyncio.wait_for(file.close(), self.timeout)
            raise
        await asyncio.wait_for(file.close(), self.timeout)

    async def _fetch(self, path: str, out: BinaryIO, size: int) -> None:
        done = 0
        async with self._open(path, "rb") as file:
            while piece := await asyncio.wait_for(file.read(PIECE), self.timeout):
                done += len(piece)
                if done > size:
                    break
                out.write(cast(bytes, piece))  # opened as bytes
        if done != size:
            raise ExchangeError(f"fetch {path}: has {done} bytes where {size} were listed: it is still being written")

    async def _put(self, path: str, content: Iterable[bytes]) -> None:
        unfinished = f"{path}.part"
        try:
            size = await self._write(unfinished, content)
            there = await asyncio.wait_for(self._there.stat(unfinished), self.timeout)
            if there.size != size:
                raise ExchangeError(f"put {path}: {there.size} of {size} bytes arrived")
            await asyncio.wait_for(self._rename_over(unfinished, path), self.timeout)
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, TimeoutError):
            raise
        except (asyncssh.SFTPError, ExchangeError):
            await self._forget(unfinished)
            raise

    async def _write(self, path: str, content: Iterable[bytes]) -> int:
        size = 0
        async with self._open(path, "wb") as file:
            for piece in content:
                await asyncio.wait_for(file.write(piece), self.timeout)
                size += len(piece)
            with suppress(asyncssh.SFTPOpUnsupported):  # not every server can; the size is looked at anyway
                await asyncio.wait_for(file.fsync(), self.timeout)
        return size

    async def _rename_over(self, path: str, target: str) -> None:
        try:
            await self._there.posix_rename(path, target)
        except asyncssh.SFTPOpUnsupported:
            if await self._there.exists(target):  # of an earlier time: what is sent again has the same bytes
                await self._there.remove(target)
            await self._there.rename(path, target)

    async def _forget(self, path: str) -> None:
        """Try not to leave half a file on a disk that may be full."""
        with suppress(asyncssh.Error, TimeoutError, OSError):
            await asyncio.wait_for(self._there.remove(path), self.timeout)


def _file(name: str, attributes: asyncssh.SFTPAttrs) -> RemoteFile | None:
    """Return a plain file; None for anything else, and for one whose size or time the server does not say."""
    mode = attributes.permissions
    plain = attributes.type == asyncssh.FILEXFER_TYPE_REGULAR if mode is None else mode & 0o170000 in (0, 0o100000)
    if not plain or attributes.size is None or attributes.mtime is None:
        return None
    return RemoteFile(name, attributes.size, int(attributes.mtime))


def _why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno is not None and error.errno > 0 else type(error).__name__


def _plain(reason: str) -> str:
    """Return what a server says, as one printable line."""
    return "".join(char if char.isprintable() else " " for char in reason)[:300].strip()
